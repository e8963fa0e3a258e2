using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Format;

namespace Millrace.Log.Segments;

/// <summary>The segments there are, oldest first; the last one is the active one. Thread-safe; one thread changes it.</summary>
/// <param name="writable">Whether indexes that were missing may be put on disk.</param>
internal sealed class SegmentCatalog(IDisk disk, string folder, LogMeta meta, bool writable, ILogger log)
{
    private const int IndexesKept = 16;
    private const int HeaderReadAheadBytes = 16 << 10;

    private readonly Lock _gate = new();
    private readonly Dictionary<Segment, SparseIndex> _indexes = [];
    private readonly Queue<Segment> _loaded = new();
    private readonly HashSet<long> _reported = [];
    private Segment[] _segments = [];

    public IDisk Disk => disk;

    public string Folder => folder;

    public LogMeta Meta => meta;

    public ReadOnlySpan<Segment> Segments => Volatile.Read(ref _segments);

    public Segment Active => Segments[^1];

    /// <summary>Adds the next segment, which becomes the active one, with the index that will grow with it.</summary>
    public void Add(Segment segment, SparseIndex index)
    {
        lock (_gate)
        {
            if (_segments.Length > 0)
                _loaded.Enqueue(_segments[^1]); // the old active one's index may go like any other from now on
            _indexes[segment] = index;
            Volatile.Write(ref _segments, [.. _segments, segment]);
            Trim();
        }
    }

    /// <summary>Fills the catalog when a folder is opened; only the last segment's index is known by then.</summary>
    public void Load(IEnumerable<Segment> segments, SparseIndex activeIndex)
    {
        lock (_gate)
        {
            Volatile.Write(ref _segments, [.. segments]);
            _indexes[_segments[^1]] = activeIndex;
        }
    }

    public void RemoveOldest()
    {
        lock (_gate)
        {
            _indexes.Remove(_segments[0]);
            Volatile.Write(ref _segments, _segments[1..]);
        }
    }

    /// <summary>The segment that holds the position, or the first one after it; null behind the last.</summary>
    public Segment? Find(long position)
    {
        foreach (var segment in Segments)
        {
            if (position < segment.End || (position == segment.End && segment == Active))
                return segment;
        }

        return null;
    }

    /// <summary>The segment after this one, or null while it is the active one.</summary>
    public Segment? After(Segment segment)
    {
        foreach (var other in Segments)
        {
            if (other.Base > segment.Base)
                return other;
        }

        return null;
    }

    /// <summary>The sparse index of a segment: from memory, from its file, or made again from the segment.</summary>
    public SparseIndex IndexOf(Segment segment)
    {
        lock (_gate)
        {
            if (_indexes.TryGetValue(segment, out var known))
                return known;
        }

        var index = ReadIndex(segment) ?? Rebuild(segment);
        lock (_gate)
        {
            if (_indexes.TryAdd(segment, index))
                _loaded.Enqueue(segment);
            Trim();
        }

        return index;
    }

    /// <summary>Opens a scanner over a segment, at its first block.</summary>
    public (IDiskFile File, BlockScanner Scanner) OpenScanner(Segment segment, ScanScope scope, int readAheadBytes)
    {
        var file = disk.Open(segment.Path, DiskOpen.Read);
        return (file, new BlockScanner(file, segment.Base, meta, scope, readAheadBytes, readAroundErrors: true));
    }

    public BlockScanner HeaderScanner(IDiskFile file, Segment segment) =>
        new(file, segment.Base, meta, ScanScope.HeadersOnly, HeaderReadAheadBytes, readAroundErrors: true);

    /// <summary>Tells of damage that a reader met, once per place.</summary>
    public void ReportDamage(Segment segment, in BadStretch bad)
    {
        lock (_gate)
        {
            if (!_reported.Add(segment.Base + bad.From))
                return;
        }

        LogLog.DamageMet(log, segment.Path, bad.From, bad.To);
    }

    private SparseIndex? ReadIndex(Segment segment)
    {
        try
        {
            using var file = disk.Open(segment.IndexPath, DiskOpen.Read);
            var bytes = new byte[file.Length];
            var read = file.ReadAt(0, bytes);
            return SparseIndex.Read(bytes.AsSpan(0, read), meta.Partitions, meta.Salt, segment.Base, segment.Length);
        }
        catch (IOException)
        {
            return null; // Missing or unreadable: it is made again from the segment.
        }
    }

    private SparseIndex Rebuild(Segment segment)
    {
        var index = new SparseIndex(meta.Partitions);
        using var file = disk.Open(segment.Path, DiskOpen.Read);
        var scanner = HeaderScanner(file, segment);
        while (scanner.Next(segment.Length) is var step && step != ScanStep.End)
        {
            if (step == ScanStep.Block && scanner.Header.Kind == BlockKind.Records)
                index.Add(scanner.Header, scanner.BlockOffset);
        }

        LogLog.IndexRebuilt(log, segment.Path);
        if (writable && After(segment) is { } next)
            WriteIndex(segment, index, next.StartReceivedAt, next.Start);
        return index;
    }

    /// <summary>Puts a sealed segment's index on disk. Not flushed, and no harm if it fails: it can be made again at any time.</summary>
    public void WriteIndex(Segment segment, SparseIndex index, long lastReceivedAt, PositionVector end)
    {
        var temporary = segment.IndexPath + Segment.NewExtension;
        try
        {
            using (var file = disk.Open(temporary, DiskOpen.Create))
                file.WriteAt(0, index.ToBytes(meta.Salt, segment.Base, segment.Length, lastReceivedAt, end));
            disk.Rename(temporary, segment.IndexPath);
        }
        catch (IOException failure)
        {
            LogLog.IndexNotWritten(log, segment.Path, failure);
        }
    }

    private void Trim()
    {
        while (_loaded.Count > IndexesKept)
            _indexes.Remove(_loaded.Dequeue());
    }
}
