using System.Diagnostics;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Format;

namespace Millrace.Log.Segments;

/// <summary>A journal as it was found, ready to go on.</summary>
/// <param name="ActiveFile">The unsealed segment; writable unless the folder was opened for reading.</param>
internal sealed record OpenedJournal(
    SegmentCatalog Catalog, IDiskFile ActiveFile, PositionVector Next, long LastReceivedAt, IReadOnlyList<LostRange> Lost);

/// <summary>Opens the log's folder: finds or makes what is in it, and recovers the unsealed segment.</summary>
internal sealed class JournalFolder(string folder, IDisk disk, TimeProvider time, ILogger log)
{
    private const int ScanReadAheadBytes = 1 << 20;

    /// <summary>Opens for writing: removes what was in the making, cuts what is torn, makes the rest durable.</summary>
    public OpenedJournal Open(int partitionsOfNewLog)
    {
        var started = time.GetTimestamp();
        disk.CreateFolder(folder);
        var names = disk.List(folder);
        foreach (var entry in names.Where(e => e.Name.EndsWith(Segment.NewExtension, StringComparison.Ordinal)))
            disk.Delete(PathOf(entry.Name));

        var meta = ReadMeta(names) ?? RestoreMeta(names) ?? CreateMeta(names, partitionsOfNewLog);
        if (meta.Partitions != partitionsOfNewLog)
            LogLog.PartitionsDiffer(log, meta.Partitions, partitionsOfNewLog);

        var segments = LoadSegments(names, meta);
        if (segments.Count == 0)
        {
            var first = new SegmentHeader(meta.Salt, 0, 0, time.Now(), new PositionVector(meta.Partitions));
            segments.Add(CreateSegment(first, out var made));
            made.Dispose();
        }

        RemoveOrphanIndexes(names, segments);
        SyncNames();
        var file = disk.Open(segments[^1].Path, DiskOpen.ReadWrite);
        try
        {
            var length = file.Length;
            if (length < SegmentHeader.Bytes || !ReadHeader(file, out _))
                RewriteHeader(file, segments[^1], meta);
            var opened = Recover(segments, file, Math.Max(length, SegmentHeader.Bytes), meta, mend: true);
            LogLog.Opened(log, folder, segments.Count, segments.Sum(s => s.Length), meta.Partitions, (long)time.GetElapsedTime(started).TotalMilliseconds);
            return opened;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Opens beside a process that may be writing: changes nothing, and reads to the durable end of this moment.</summary>
    public OpenedJournal OpenForReading()
    {
        var names = disk.List(folder);
        var meta = ReadMeta(names) ?? FromAnySegment(names)?.Meta
            ?? throw new LogFolderException($"{folder} holds no event log.");
        var segments = LoadSegments(names, meta);
        if (segments.Count == 0)
            throw new LogFolderException($"{folder} holds no segment of an event log.");

        var file = disk.Open(segments[^1].Path, DiskOpen.Read);
        try
        {
            // What the file holds now is durable after this flush, whoever wrote it.
            var length = file.Length;
            file.Flush();
            return Recover(segments, file, length, meta, mend: false);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Makes a segment file under its final name, header and name durable.</summary>
    public Segment CreateSegment(SegmentHeader header, out IDiskFile file)
    {
        var path = PathOf(Segment.NameOf(header.Base));
        WriteNew(path, header.ToBytes());
        file = disk.Open(path, DiskOpen.ReadWrite);
        return new Segment(path, header.Base, header.LastReceivedAt, header.CreatedAt, header.Start, SegmentHeader.Bytes);
    }

    /// <summary>A mark for the end of the journal: a whole block.</summary>
    public static byte[] Mark(LogMeta meta, long position, PositionVector next, long lastReceivedAt)
    {
        var bytes = new byte[BlockHeader.Bytes + (8 * meta.Partitions)];
        Vectors.Write(next, bytes.AsSpan(BlockHeader.Bytes));
        var crc = Crc32C.Of(bytes.AsSpan(BlockHeader.Bytes));
        new BlockHeader(BlockKind.Mark, 0, 0, 8 * meta.Partitions, crc, position, position, 0, lastReceivedAt, lastReceivedAt)
            .Write(bytes, meta.SaltState);
        return bytes;
    }

    private OpenedJournal Recover(List<Segment> segments, IDiskFile file, long length, LogMeta meta, bool mend)
    {
        var segment = segments[^1];
        var scanner = new BlockScanner(file, segment.Base, meta, ScanScope.Everything, ScanReadAheadBytes, readAroundErrors: true);
        var scan = JournalScan.Run(scanner, segment, length, meta.Partitions);
        if (mend && scan.End < length && scanner.UnreadableTo > scan.End)
        {
            // What cannot be read there may be the last group that was acknowledged: it must not pass for torn and be cut.
            throw new IOException(
                $"{segment.Path} cannot be read from byte {scan.End} on, where the last acknowledged readings may be; nothing was cut. " +
                "Check the disk, or copy the data folder to a sound one, and start again.");
        }

        foreach (var damage in scan.Damage)
            LogLog.DamageFound(log, segment.Path, damage.From, damage.To);
        foreach (var lost in scan.Lost)
            LogLog.SequencesLost(log, lost.Partition, lost.From, lost.To);

        segment.Length = scan.End;
        if (mend)
            Mend(file, segment, scan, length, meta);

        var catalog = new SegmentCatalog(disk, folder, meta, writable: mend, log);
        catalog.Load(segments, scan.Index);
        return new OpenedJournal(catalog, file, scan.Next, scan.LastReceivedAt, scan.Lost);
    }

    private void Mend(IDiskFile file, Segment segment, JournalScan scan, long length, LogMeta meta)
    {
        if (scan.End < length)
        {
            LogLog.TornTailCut(log, segment.Path, scan.End, length - scan.End);
            file.Truncate(scan.End);
        }

        MakeDurable(file, scan.FlushedTo, scan.End);
        if (!scan.EndsWithMark && !segment.IsEmpty)
            AppendMark(file, segment, scan, meta);
    }

    /// <summary>
    /// Writes the bytes again before flushing: after a flush that failed the system may hold them as clean pages that
    /// never reached the disk, and a flush alone would report success.
    /// </summary>
    private static void MakeDurable(IDiskFile file, long from, long to)
    {
        var buffer = new byte[(int)Math.Min(ScanReadAheadBytes, Math.Max(0, to - from))];
        while (from < to)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, to - from));
            if (file.ReadAt(from, part) < part.Length)
                throw new IOException("The segment shrank while it was recovered.");
            file.WriteAt(from, part);
            from += part.Length;
        }

        file.Flush();
    }

    private static void AppendMark(IDiskFile file, Segment segment, JournalScan scan, LogMeta meta)
    {
        var mark = Mark(meta, segment.End, scan.Next, scan.LastReceivedAt);
        try
        {
            file.WriteAt(segment.Length, mark);
            file.Flush();
            segment.Length += mark.Length;
        }
        catch (DiskFullException)
        {
            file.Truncate(segment.Length); // The mark is a convenience; a full disk must not keep the log from being read.
        }
    }

    private LogMeta? ReadMeta(IReadOnlyList<DiskEntry> names)
    {
        if (!names.Any(e => e.Name == LogMeta.FileName))
            return null;
        using var file = disk.Open(PathOf(LogMeta.FileName), DiskOpen.Read);
        Span<byte> bytes = stackalloc byte[LogMeta.Bytes];
        return LogMeta.Read(bytes[..file.ReadAt(0, bytes)]);
    }

    private LogMeta? RestoreMeta(IReadOnlyList<DiskEntry> names)
    {
        if (FromAnySegment(names) is not { } found)
            return null;
        WriteNew(PathOf(LogMeta.FileName), found.Meta.ToBytes());
        LogLog.MetaRestored(log, found.Path);
        return found.Meta;
    }

    private (LogMeta Meta, string Path)? FromAnySegment(IReadOnlyList<DiskEntry> names)
    {
        foreach (var (path, _, _) in SegmentFiles(names))
        {
            using var file = disk.Open(path, DiskOpen.Read);
            if (ReadHeader(file, out var header))
                return (new LogMeta(header!.Start.Count, header.Salt, header.CreatedAt), path);
        }

        return null;
    }

    private LogMeta CreateMeta(IReadOnlyList<DiskEntry> names, int partitions)
    {
        if (names.Any(e => e.Name == LogMeta.FileName) || SegmentFiles(names).Any())
        {
            throw new LogFolderException(
                $"{folder} holds an event log whose meta file and segment headers are all damaged: restore them from a backup, or move the folder away to begin a new log.");
        }

        var meta = new LogMeta(partitions, BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)), time.Now());
        WriteNew(PathOf(LogMeta.FileName), meta.ToBytes());
        LogLog.Created(log, folder, partitions);
        return meta;
    }

    private List<Segment> LoadSegments(IReadOnlyList<DiskEntry> names, LogMeta meta)
    {
        List<Segment> segments = [];
        var files = SegmentFiles(names).ToList();
        for (var i = 0; i < files.Count; i++)
        {
            var (path, basePosition, length) = files[i];
            if (i + 1 < files.Count && files[i + 1].Base != basePosition + length)
            {
                LogLog.JournalGap(log, basePosition + length, files[i + 1].Base);
                length = Math.Min(length, files[i + 1].Base - basePosition);
            }

            segments.Add(LoadSegment(path, basePosition, length, meta, segments.Count > 0 ? segments[^1] : null));
        }

        return segments;
    }

    private Segment LoadSegment(string path, long basePosition, long length, LogMeta meta, Segment? before)
    {
        SegmentHeader? header;
        using (var file = disk.Open(path, DiskOpen.Read))
            ReadHeader(file, out header);
        if (header is not null && (header.Salt != meta.Salt || header.Base != basePosition || header.Start.Count != meta.Partitions))
            throw new LogFolderException($"{path} belongs to another log or was renamed: move it away, or restore its name.");

        if (header is not null)
            return new Segment(path, basePosition, header.LastReceivedAt, header.CreatedAt, header.Start, length);
        if (before is null)
        {
            throw new LogFolderException(
                $"Both header copies of {path} are damaged and no older segment says where its sequences begin: restore the file from a backup.");
        }

        LogLog.SegmentHeaderLost(log, path);
        using var earlier = disk.Open(before.Path, DiskOpen.Read);
        var scanner = new BlockScanner(earlier, before.Base, meta, ScanScope.Everything, ScanReadAheadBytes, readAroundErrors: true);
        var scan = JournalScan.Run(scanner, before, before.Length, meta.Partitions);
        return new Segment(path, basePosition, scan.LastReceivedAt, before.CreatedAt, scan.Next, length);
    }

    private void RewriteHeader(IDiskFile file, Segment segment, LogMeta meta)
    {
        file.WriteAt(0, new SegmentHeader(meta.Salt, segment.Base, segment.StartReceivedAt, segment.CreatedAt, segment.Start).ToBytes());
        file.Flush();
    }

    /// <summary>
    /// A process that was killed may have left names that only the cache knows. What is appended now must not hang on
    /// such a name, so all of them are made durable before anything is.
    /// </summary>
    private void SyncNames()
    {
        disk.SyncFolder(folder);
        if (Path.GetDirectoryName(folder) is { Length: > 0 } parent)
            disk.SyncFolder(parent);
    }

    private void RemoveOrphanIndexes(IReadOnlyList<DiskEntry> names, List<Segment> segments)
    {
        foreach (var entry in names.Where(e => e.Name.EndsWith(Segment.IndexExtension, StringComparison.Ordinal)))
        {
            var path = PathOf(entry.Name);
            if (!segments.Any(s => s.IndexPath == path))
                disk.Delete(path);
        }
    }

    private void WriteNew(string path, byte[] bytes)
    {
        var temporary = path + Segment.NewExtension;
        try
        {
            using (var file = disk.Open(temporary, DiskOpen.Create))
            {
                file.WriteAt(0, bytes);
                file.Flush();
            }
        }
        catch (DiskFullException)
        {
            disk.Delete(temporary);
            throw;
        }

        disk.Rename(temporary, path);
        disk.SyncFolder(folder);
    }

    private static bool ReadHeader(IDiskFile file, out SegmentHeader? header)
    {
        var bytes = new byte[SegmentHeader.Bytes];
        var read = file.ReadAt(0, bytes);
        return SegmentHeader.TryRead(bytes.AsSpan(0, read), out header);
    }

    private IEnumerable<(string Path, long Base, long Length)> SegmentFiles(IReadOnlyList<DiskEntry> names) =>
        names.Select(e => (Ok: Segment.TryParseName(e.Name, out var position), Path: PathOf(e.Name), Base: position, e.Length))
            .Where(s => s.Ok).OrderBy(s => s.Base).Select(s => (s.Path, s.Base, s.Length));

    private string PathOf(string name) => Path.Combine(folder, name);
}
