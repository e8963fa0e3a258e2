using Millrace.Core;
using Millrace.Log.Format;

namespace Millrace.Log.Segments;

/// <summary>
/// What the scan of an unsealed segment found, by the rule of docs/formats/log.md ("Opening: recovery"). Pure reading:
/// the cut, the second write and the mark are the caller's.
/// </summary>
internal sealed class JournalScan
{
    /// <summary>Records are at least this long, which bounds how many a damaged stretch can have held.</summary>
    private const int RecordBytesMin = ReadingRecord.HeaderBytes;

    private readonly List<(BadStretch Stretch, State Before)> _stretches = [];
    private State _state;

    private JournalScan(PositionVector start, long startReceivedAt, int partitions)
    {
        _state = new State([.. Enumerable.Range(0, partitions).Select(p => start[p])], new long[partitions], startReceivedAt, 0, 0, false);
        Index = new SparseIndex(partitions);
    }

    /// <summary>Offset at which the segment ends; what lies behind it is torn.</summary>
    public long End { get; private set; }

    /// <summary>Offset below which everything is known to be on stable storage.</summary>
    public long FlushedTo { get; private set; } = SegmentHeader.Bytes;

    /// <summary>Per partition the next sequence number to give.</summary>
    public PositionVector Next => new(_state.Next);

    public long LastReceivedAt => _state.LastReceivedAt;

    public SparseIndex Index { get; }

    /// <summary>Whether the last block is a mark, so that nothing needs another one.</summary>
    public bool EndsWithMark => _state.AfterMark;

    public IReadOnlyList<BadStretch> Damage { get; private set; } = [];

    /// <summary>Sequences that damage took, at most.</summary>
    public List<LostRange> Lost { get; } = [];

    public static JournalScan Run(BlockScanner scanner, Segment segment, long length, int partitions)
    {
        var scan = new JournalScan(segment.Start, segment.StartReceivedAt, partitions);
        while (scanner.Next(length) is var step && step != ScanStep.End)
        {
            if (step == ScanStep.Block && scan.Fits(scanner.Header))
            {
                scan.Take(scanner);
                scan.FlushedTo = Math.Max(scan.FlushedTo, scanner.Header.FlushedTo - segment.Base);
                continue;
            }

            if (step == ScanStep.Block)
                scanner.Reject(length);
            scan.TakeBad(scanner.Bad);
        }

        scan.Conclude(length);
        return scan;
    }

    /// <summary>A block that repeats sequences or stamps is left over from an earlier life of these bytes.</summary>
    private bool Fits(in BlockHeader header) => header.Kind == BlockKind.Mark
        ? header.LastReceivedAt >= _state.LastReceivedAt
        : header.FirstSequence >= _state.Next[header.Partition] && header.FirstReceivedAt > _state.LastReceivedAt;

    private void Take(BlockScanner scanner)
    {
        ref readonly var header = ref scanner.HeaderRef;
        if (header.Kind == BlockKind.Mark)
        {
            var said = Vectors.Read(scanner.Records.Span, _state.Next.Length);
            for (var p = 0; p < _state.Next.Length; p++)
                Advance(p, said[p], said[p]);
        }
        else
        {
            Advance(header.Partition, header.FirstSequence, header.NextSequence);
            Index.Add(header, scanner.BlockOffset);
        }

        _state = _state with { LastReceivedAt = header.LastReceivedAt, UnprovenStamps = 0, AfterMark = header.Kind == BlockKind.Mark };
    }

    private void Advance(int partition, long first, long next)
    {
        if (first > _state.Next[partition])
            Lost.Add(new LostRange(partition, _state.Next[partition], first));
        _state.Next[partition] = Math.Max(next, _state.Next[partition]);
        _state.Unproven[partition] = 0;
    }

    private void TakeBad(in BadStretch stretch)
    {
        _stretches.Add((stretch, _state.Copy(Lost.Count)));
        _state = _state with { AfterMark = false };
        if (stretch.Header is { Kind: BlockKind.Records } header && Fits(header))
        {
            Advance(header.Partition, header.FirstSequence, header.NextSequence);
            Lost.Add(new LostRange(header.Partition, header.FirstSequence, header.NextSequence));
            _state = _state with { LastReceivedAt = header.LastReceivedAt };
            return;
        }

        var most = stretch.Bytes / RecordBytesMin;
        for (var p = 0; p < _state.Unproven.Length; p++)
            _state.Unproven[p] += most;
        _state = _state with { UnprovenStamps = _state.UnprovenStamps + most };
    }

    private void Conclude(long length)
    {
        End = length;
        var torn = _stretches.FindIndex(s => s.Stretch.From >= FlushedTo);
        if (torn >= 0)
        {
            End = _stretches[torn].Stretch.From;
            _state = _stretches[torn].Before;
            Lost.RemoveRange(_state.LostCount, Lost.Count - _state.LostCount);
            Index.Cut(End);
        }

        Damage = [.. _stretches.Take(torn < 0 ? _stretches.Count : torn).Select(s => s.Stretch)];
        for (var p = 0; p < _state.Next.Length; p++)
            Advance(p, _state.Next[p] + _state.Unproven[p], _state.Next[p] + _state.Unproven[p]);
        _state = _state with { LastReceivedAt = _state.LastReceivedAt + _state.UnprovenStamps };
    }

    /// <param name="Unproven">Per partition how many sequences damage may have hidden since the last proof of its next one.</param>
    private sealed record State(
        long[] Next, long[] Unproven, long LastReceivedAt, long UnprovenStamps, int LostCount, bool AfterMark)
    {
        public State Copy(int lostCount) => this with { Next = [.. Next], Unproven = [.. Unproven], LostCount = lostCount };
    }
}
