using Millrace.Core;

namespace Millrace.Log.Writing;

/// <summary>
/// Readings that are written and made durable together. Appenders copy whole lanes of their batches into it, in the
/// order they come; the writer picks them out by partition. Reused. Hot; guarded by the gathering's lock until it is closed.
/// </summary>
internal sealed class Group(int partitions, int capacity)
{
    private readonly int[] _head = new int[partitions];
    private readonly int[] _tail = new int[partitions];
    private readonly int[] _counts = new int[partitions];
    private readonly int[] _lengths = new int[partitions];
    private byte[] _bytes = GC.AllocateUninitializedArray<byte>(capacity);
    private Piece[] _pieces = new Piece[64];
    private Taken[] _taken = new Taken[16];
    private int _pieceCount;
    private int _takenCount;

    /// <param name="Next">Number of the partition's next piece plus one; 0 at the last.</param>
    private record struct Piece(int Offset, int Length, int Next);

    /// <summary>What one appender has in the group.</summary>
    internal record struct Taken(Appender Appender, long Bytes, long Readings);

    public int Capacity => _bytes.Length;

    /// <summary>Bytes of records in the group.</summary>
    public int Bytes { get; private set; }

    public bool IsEmpty => _takenCount == 0;

    /// <summary>When the first batch came, for the histogram.</summary>
    public long StartedAt { get; private set; }

    /// <summary>Completes when the group is durable, faults when it cannot be; there only if somebody waits.</summary>
    public TaskCompletionSource? Durable { get; private set; }

    public ReadOnlySpan<Taken> TakenFrom => _taken.AsSpan(0, _takenCount);

    public int CountOf(int partition) => _counts[partition];

    public int LengthOf(int partition) => _lengths[partition];

    /// <summary>The task that somebody wants to wait for.</summary>
    public Task Await() => (Durable ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    public void Add(Appender appender, ReadingBatch batch, long now)
    {
        if (_bytes.Length - Bytes < batch.Bytes)
            Array.Resize(ref _bytes, Bytes + batch.Bytes); // One batch larger than a whole group.
        if (IsEmpty)
            StartedAt = now;
        for (var p = 0; p < _counts.Length; p++)
        {
            var records = batch.RecordsOf(p);
            if (!records.IsEmpty)
                AddPiece(p, records, batch.CountOf(p));
        }

        if (_takenCount > 0 && _taken[_takenCount - 1].Appender == appender)
        {
            ref var last = ref _taken[_takenCount - 1];
            last.Bytes += batch.Bytes;
            last.Readings += batch.Count;
            return;
        }

        if (_takenCount == _taken.Length)
            Array.Resize(ref _taken, _taken.Length * 2);
        _taken[_takenCount++] = new Taken(appender, batch.Bytes, batch.Count);
    }

    /// <summary>Copies a partition's records, in the order they came.</summary>
    public void CopyRecords(int partition, Span<byte> target)
    {
        for (var i = _head[partition]; i != 0; i = _pieces[i - 1].Next)
        {
            ref readonly var piece = ref _pieces[i - 1];
            _bytes.AsSpan(piece.Offset, piece.Length).CopyTo(target);
            target = target[piece.Length..];
        }
    }

    public void Clear()
    {
        Array.Clear(_head);
        Array.Clear(_tail);
        Array.Clear(_counts);
        Array.Clear(_lengths);
        Array.Clear(_taken, 0, _takenCount);
        Bytes = _pieceCount = _takenCount = 0;
        Durable = null;
    }

    private void AddPiece(int partition, ReadOnlySpan<byte> records, int count)
    {
        if (_pieceCount == _pieces.Length)
            Array.Resize(ref _pieces, _pieces.Length * 2);
        records.CopyTo(_bytes.AsSpan(Bytes));
        _pieces[_pieceCount++] = new Piece(Bytes, records.Length, 0);
        if (_tail[partition] == 0)
            _head[partition] = _pieceCount;
        else
            _pieces[_tail[partition] - 1].Next = _pieceCount;
        _tail[partition] = _pieceCount;
        _counts[partition] += count;
        _lengths[partition] += records.Length;
        Bytes += records.Length;
    }
}
