using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Format;
using Millrace.Log.Segments;

namespace Millrace.Log.Reading;

/// <summary>
/// Walks the journal: from memory as long as the ring holds its place, else from the segment files, and back. What it
/// cannot give it notices by the gap in a partition's sequences, whoever made the gap.
/// </summary>
internal sealed class LogReader : ILogReader
{
    private const int ReadAheadBytes = 256 << 10;

    private readonly SegmentCatalog _catalog;
    private readonly DurableTail _tail;
    private readonly int _partition;
    private readonly Queue<LostRange> _lost = new();
    private long _at;
    private long _number = -1;
    private RingChunk? _lent;
    private Segment? _segment;
    private IDiskFile? _file;
    private BlockScanner? _scanner;

    /// <param name="position">The vector to read from; the reader's own copy.</param>
    /// <param name="at">A journal position at or before everything wanted.</param>
    /// <param name="partition">The only partition wanted, or −1.</param>
    public LogReader(SegmentCatalog catalog, DurableTail tail, PositionVector position, long at, int partition, IEnumerable<LostRange> lost)
    {
        _catalog = catalog;
        _tail = tail;
        Position = position;
        _at = at;
        _partition = partition;
        foreach (var range in lost)
            _lost.Enqueue(range);
    }

    public PositionVector Position { get; }

    public LostRange? TakeLost() => _lost.TryDequeue(out var lost) ? lost : null;

    public async ValueTask<LogBlock> ReadAsync(CancellationToken cancel)
    {
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            if (TryRead() is { } block)
                return block;
            await _tail.WaitBeyondAsync(_at).WaitAsync(cancel).ConfigureAwait(false);
        }
    }

    public LogBlock? TryRead()
    {
        ReturnLent();
        while (true)
        {
            switch (_tail.Read(ref _number, ref _at, _partition, out var entry))
            {
                case TailRead.Found:
                    CloseSegment();
                    _lent = entry.Chunk;
                    if (Accept(entry.Block) is { } block)
                        return block;
                    ReturnLent();
                    break;
                case TailRead.AtEnd:
                    CloseSegment();
                    return null;
                default:
                    if (ReadFromDisk() is { } stored)
                        return stored;
                    break;
            }
        }
    }

    public void Dispose()
    {
        ReturnLent();
        CloseSegment();
    }

    /// <summary>The part of a block that the reader has not had, or null.</summary>
    private LogBlock? Accept(LogBlock block)
    {
        var wanted = Position[block.Partition];
        if (block.NextSequence <= wanted)
            return null;
        NoteLost(block.Partition, block.FirstSequence);
        Position[block.Partition] = block.NextSequence;
        return block.From(wanted);
    }

    private void NoteLost(int partition, long next)
    {
        if (next <= Position[partition])
            return;
        _lost.Enqueue(new LostRange(partition, Position[partition], next));
        Position[partition] = next;
    }

    /// <summary>One step on disk: a block that is wanted, or null when the step only moved on.</summary>
    private LogBlock? ReadFromDisk()
    {
        if (_scanner is null && !Enter())
            return null;

        // In this order: once there is a successor, the segment's length is final.
        var successor = _catalog.After(_segment!);
        var step = _scanner!.Next(_segment!.Length);
        if (step == ScanStep.End)
        {
            if (successor is null)
                return null; // The ring has moved on meanwhile; it is asked again.
            CloseSegment();
            Arrive(successor);
            return null;
        }

        _at = _segment.Base + _scanner.Offset;
        if (step == ScanStep.Bad)
        {
            _catalog.ReportDamage(_segment, _scanner.Bad);
            return null;
        }

        var header = _scanner.Header;
        if (header.Kind != BlockKind.Records || (_partition >= 0 && header.Partition != _partition))
            return null;
        return Accept(new LogBlock(header.Partition, header.FirstSequence, header.Count, header.FirstReceivedAt, _scanner.Records));
    }

    /// <summary>Opens the segment of the reader's place; false when it had to move on instead.</summary>
    private bool Enter()
    {
        var segment = _catalog.Find(_at) ?? _catalog.Active;
        if (_at < segment.Base + SegmentHeader.Bytes)
            Arrive(segment);
        try
        {
            var scope = _partition < 0 ? ScanScope.Everything : new ScanScope(_partition);
            (_file, _scanner) = _catalog.OpenScanner(segment, scope, ReadAheadBytes);
        }
        catch (FileNotFoundException) when (_catalog.After(segment) is not null)
        {
            // Retention took it between the look and the opening (or somebody did behind our back).
            Arrive(_catalog.After(segment)!);
            return false;
        }

        _segment = segment;
        _scanner.Seek(_at - segment.Base);
        return true;
    }

    /// <summary>Places the reader at a segment's first block. What its partitions had before that is past.</summary>
    private void Arrive(Segment segment)
    {
        _at = segment.Base + SegmentHeader.Bytes;
        for (var p = 0; p < Position.Count; p++)
        {
            if (_partition < 0 || p == _partition)
                NoteLost(p, segment.Start[p]);
        }
    }

    private void ReturnLent()
    {
        if (_lent is null)
            return;
        _tail.Return(_lent);
        _lent = null;
    }

    private void CloseSegment()
    {
        _file?.Dispose();
        (_file, _scanner, _segment) = (null, null, null);
    }
}
