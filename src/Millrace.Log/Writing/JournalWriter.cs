using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Format;
using Millrace.Log.Reading;
using Millrace.Log.Segments;

namespace Millrace.Log.Writing;

/// <summary>
/// The one thread that writes the journal. A group is stamped, assembled in the ring, written with one write, flushed;
/// only then do readers see it, ledgers count it and appenders hear of it. Hot per group.
/// </summary>
internal sealed class JournalWriter(
    OpenedJournal journal, JournalFolder folder, DurableTail tail, Gathering gathering, ArrivalStamps stamps,
    Retention retention, LogMetrics metrics, LogOptions options, TimeProvider time, ILogger log)
{
    private const long ReserveBytesDefault = 64L << 20;

    private readonly SegmentCatalog _catalog = journal.Catalog;
    private readonly LogMeta _meta = journal.Catalog.Meta;
    private readonly uint _saltState = journal.Catalog.Meta.SaltState;
    private readonly long[] _next = [.. Enumerable.Range(0, journal.Next.Count).Select(p => journal.Next[p])];
    private readonly RingEntry[] _blocks = new RingEntry[journal.Next.Count];
    private readonly BlockHeader[] _headers = new BlockHeader[journal.Next.Count];
    private readonly Lock _appendersGate = new();
    private Appender[] _appenders = [];
    private IDiskFile _file = journal.ActiveFile;
    private Segment _segment = journal.Catalog.Active;
    private SparseIndex _index = journal.Catalog.IndexOf(journal.Catalog.Active);
    private long _uncheckedBytes;
    private bool _spaceIsKnown;
    private bool _failed;

    /// <summary>Called once when a write or flush failed.</summary>
    public event Action<LogUnavailableException>? Failed;

    public void Register(Appender appender)
    {
        lock (_appendersGate)
            _appenders = [.. _appenders, appender];
    }

    /// <summary>Writes until the gathering is stopped and empty; then marks the journal's end.</summary>
    public void Run()
    {
        while (gathering.Next(out var group) is var work && work != Work.Stop)
            Do(work, group);
        if (!_failed)
            Do(Work.Stop, null);
        _file.Dispose();
    }

    /// <summary>One step, and the one place that decides what its failure means.</summary>
    private void Do(Work work, Group? group)
    {
        try
        {
            if (group is not null)
                Commit(group);
            else if (work == Work.Stop)
                WriteMark();
            else if (!_failed)
                Housekeep();
        }
        catch (DiskFullException full)
        {
            TurnFull(group, full.Message);
        }
        catch (Exception failure)
        {
            Fail(group, failure);
        }
    }

    private void Commit(Group group)
    {
        var bytes = group.Bytes;
        for (var p = 0; p < _next.Length; p++)
            bytes += group.CountOf(p) > 0 ? BlockHeader.Bytes : 0;
        EnsureRoom(bytes);
        if (!_segment.IsEmpty && _segment.Length + bytes > options.SegmentBytes)
            Roll();

        var chunk = tail.Reserve(bytes);
        var blocks = Assemble(group, chunk);
        _file.WriteAt(_segment.Length, chunk.Bytes.AsSpan(chunk.Used, bytes));
        _file.Flush();

        // Durable. Nothing below may fail.
        for (var i = 0; i < blocks; i++)
        {
            _index.Add(_headers[i], _blocks[i].Position - _segment.Base);
            _next[_headers[i].Partition] = _headers[i].NextSequence;
        }

        chunk.Used += bytes;
        _segment.Length += bytes;
        tail.Publish(_blocks.AsSpan(0, blocks), _segment.End);
        Array.Clear(_blocks, 0, blocks);
        stamps.End();

        foreach (ref readonly var taken in group.TakenFrom)
            taken.Appender.Ledger.LandStored(taken.Readings);
        gathering.Settle(group)?.SetResult();
        foreach (ref readonly var taken in group.TakenFrom)
            taken.Appender.Release(taken.Bytes);
        metrics.Appended(Stopwatch.GetElapsedTime(group.StartedAt), bytes);
        gathering.Recycle(group);
    }

    /// <summary>Lays out the group's blocks behind what the chunk holds; returns how many.</summary>
    private int Assemble(Group group, RingChunk chunk)
    {
        var readings = 0;
        for (var p = 0; p < _next.Length; p++)
            readings += group.CountOf(p);
        var receivedAt = stamps.Begin(readings);

        var position = _segment.End;
        var flushedTo = position; // One group at a time: all before this one is on stable storage.
        var offset = chunk.Used;
        var blocks = 0;
        for (var p = 0; p < _next.Length; p++)
        {
            var count = group.CountOf(p);
            if (count == 0)
                continue;
            var records = chunk.Bytes.AsMemory(offset + BlockHeader.Bytes, group.LengthOf(p));
            group.CopyRecords(p, records.Span);
            var header = new BlockHeader(
                BlockKind.Records, p, count, records.Length, Crc32C.Of(records.Span), position, flushedTo,
                _next[p], receivedAt, receivedAt + count - 1);
            header.Write(chunk.Bytes.AsSpan(offset), _saltState);

            _headers[blocks] = header;
            _blocks[blocks++] = new RingEntry(new LogBlock(p, _next[p], count, receivedAt, records), chunk, position, header.End);
            receivedAt += count;
            position = header.End;
            offset += header.TotalLength;
        }

        return blocks;
    }

    /// <summary>Keeps the reserve free, so that the rest of the data folder goes on working on a full disk.</summary>
    private void EnsureRoom(int bytes)
    {
        _uncheckedBytes += bytes;
        if (_spaceIsKnown && _uncheckedBytes < CheckSpacingBytes)
            return;
        var (free, total) = _catalog.Disk.Space(_catalog.Folder);
        if (free - bytes < Reserve(total))
        {
            _spaceIsKnown = false;
            throw new DiskFullException(
                $"only {free} bytes are free where {_catalog.Folder} lies and {Reserve(total)} are kept in reserve");
        }

        _spaceIsKnown = true;
        _uncheckedBytes = 0;
    }

    /// <summary>The free space is looked up once per so many bytes: an eighth of the default reserve.</summary>
    private long CheckSpacingBytes => Math.Min(options.ReserveBytes ?? ReserveBytesDefault, ReserveBytesDefault) / 8;

    private long Reserve(long total) => options.ReserveBytes ?? Math.Min(ReserveBytesDefault, total / 100);

    private void Roll()
    {
        _catalog.WriteIndex(_segment, _index, stamps.Last, new PositionVector(_next));
        var header = new SegmentHeader(_meta.Salt, _segment.End, stamps.Last, time.Now(), new PositionVector(_next));
        var next = folder.CreateSegment(header, out var file);
        LogLog.Sealed(log, _segment.Path, _segment.Length);
        _file.Dispose();
        (_file, _segment, _index) = (file, next, new SparseIndex(_next.Length));
        _catalog.Add(_segment, _index);
    }

    private void Housekeep()
    {
        if (gathering.State == LogState.Accepting)
        {
            _spaceIsKnown = false;
            EnsureRoom(0);
            if (!_segment.IsEmpty && time.Now() - _segment.CreatedAt >= (long)options.SegmentAge.TotalMicroseconds)
                Roll();
        }

        try
        {
            retention.Apply();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            LogLog.RetentionFailed(log, failure);
        }

        if (gathering.State == LogState.Full)
            AcceptAgainIfThereIsRoom();
    }

    private void AcceptAgainIfThereIsRoom()
    {
        // Some bytes more than the reserve, so that the log does not flutter at the edge.
        var (free, total) = _catalog.Disk.Space(_catalog.Folder);
        if (free < Reserve(total) + (Reserve(total) / 4) + (2 * options.GroupBytes))
            return;
        _uncheckedBytes = 0;
        gathering.Accept();
        LogLog.AcceptsAgain(log, free);
    }

    private void WriteMark()
    {
        if (_segment.IsEmpty)
            return;
        var mark = JournalFolder.Mark(_meta, _segment.End, new PositionVector(_next), stamps.Last);
        _file.WriteAt(_segment.Length, mark);
        _file.Flush();
        _segment.Length += mark.Length;
    }

    private void TurnFull(Group? group, string reason)
    {
        try
        {
            _file.Truncate(_segment.Length); // What was half written goes, and stays gone.
        }
        catch (Exception failure)
        {
            Fail(group, failure);
            return;
        }

        var detail = $"The disk is full: {reason}. Nothing is acknowledged; free some space and the log accepts again by itself.";
        if (gathering.State == LogState.Accepting)
            LogLog.Full(log, detail);
        Refuse(group, LogState.Full, detail);
        stamps.End();
    }

    private void Fail(Group? group, Exception failure)
    {
        // The file handle is not touched again: after a failed flush nobody knows what it holds. The low-water mark stays
        // below the group, which may or may not be found when the log is opened again.
        _failed = true;
        var detail = $"Writing the event log failed: {failure.Message} Check the disk, then restart the server; it will recover what is there.";
        LogLog.Failed(log, detail, failure);
        Refuse(group, LogState.Failed, detail);
        Failed?.Invoke(new LogUnavailableException(LogState.Failed, detail));
    }

    private void Refuse(Group? group, LogState state, string detail)
    {
        var refused = gathering.Refuse(state, detail, new PositionVector(_next));
        if (group is not null)
            refused.Insert(0, group);
        var why = new LogUnavailableException(state, detail);
        foreach (var lost in refused)
            Drop(lost, why);
        foreach (var appender in Volatile.Read(ref _appenders))
            appender.Refuse(why);
    }

    private void Drop(Group group, LogUnavailableException why)
    {
        foreach (ref readonly var taken in group.TakenFrom)
            taken.Appender.Ledger.LandDropped(why.Drop(), taken.Readings);
        gathering.Settle(group)?.SetException(why);
        foreach (ref readonly var taken in group.TakenFrom)
            taken.Appender.Release(taken.Bytes);
        gathering.Recycle(group);
    }
}
