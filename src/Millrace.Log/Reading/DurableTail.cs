using System.Diagnostics;
using Millrace.Core;

namespace Millrace.Log.Reading;

/// <summary>Memory of the ring: whole groups, one behind the other, as they were written to disk.</summary>
internal sealed class RingChunk(byte[] bytes)
{
    public byte[] Bytes { get; } = bytes;

    public int Used { get; set; }

    /// <summary>Blocks of this chunk that readers hold; guarded by the tail's lock.</summary>
    public int Lent { get; set; }
}

/// <summary>A durable block in the ring.</summary>
/// <param name="Position">Journal position of the block's header.</param>
/// <param name="End">Journal position behind the block.</param>
internal readonly record struct RingEntry(LogBlock Block, RingChunk Chunk, long Position, long End);

internal enum TailRead
{
    Found,

    /// <summary>The reader has read everything durable.</summary>
    AtEnd,

    /// <summary>The place is older than the ring: read it from disk.</summary>
    OnDisk,
}

/// <summary>
/// How far the journal is durable, and the newest blocks of it in memory. The writer assembles a group right in the ring,
/// writes it to disk from there, and publishes it when it is durable: so a block is copied once on its way to disk and
/// all readers at the tail share it. Thread-safe.
/// </summary>
internal sealed class DurableTail
{
    private const int ChunkBytesMax = 4 << 20;

    private readonly Lock _gate = new();
    private readonly long _ringBytes;
    private readonly int _chunkBytes;
    private readonly Queue<RingChunk> _chunks = new();
    private readonly long[] _durable;
    private readonly long[] _ringStart;
    private RingEntry[] _entries = new RingEntry[64];
    private long _firstNumber;
    private int _count;
    private long _heldBytes;
    private RingChunk? _current;
    private RingChunk? _spare;
    private long _ringStartPosition;
    private long _position;
    private TaskCompletionSource? _grown;
    private bool _closed;

    public DurableTail(long ringBytes, PositionVector durable, long position)
    {
        _ringBytes = ringBytes;
        _chunkBytes = (int)Math.Clamp(ringBytes / 8, 4 << 10, ChunkBytesMax);
        _durable = new long[durable.Count];
        _ringStart = new long[durable.Count];
        for (var p = 0; p < _durable.Length; p++)
            _durable[p] = _ringStart[p] = durable[p];
        _position = _ringStartPosition = position;
    }

    /// <summary>Per partition the next sequence that will become durable; a copy.</summary>
    public PositionVector Durable
    {
        get
        {
            lock (_gate)
                return new PositionVector(_durable);
        }
    }

    /// <summary>Journal position up to which everything is durable.</summary>
    public long Position
    {
        get
        {
            lock (_gate)
                return _position;
        }
    }

    /// <summary>The position at which a reader from a vector can begin in memory, or null when the ring does not reach back so far.</summary>
    public long? PositionFor(PositionVector from)
    {
        lock (_gate)
        {
            var atEnd = true;
            for (var p = 0; p < _durable.Length; p++)
            {
                atEnd &= from[p] >= _durable[p];
                if (from[p] < _ringStart[p])
                    return null;
            }

            return atEnd ? _position : _ringStartPosition;
        }
    }

    /// <summary>Room for the next group. Writer only; the group is not visible before <see cref="Publish"/>.</summary>
    public RingChunk Reserve(int bytes)
    {
        if (_current is { } current && current.Bytes.Length - current.Used >= bytes)
            return current;

        lock (_gate)
        {
            while (_chunks.Count > 0 && _heldBytes + Math.Max(bytes, _chunkBytes) > _ringBytes)
                EvictOldest();
            var chunk = bytes <= _chunkBytes && _spare is not null ? _spare : new RingChunk(GC.AllocateUninitializedArray<byte>(Math.Max(bytes, _chunkBytes)));
            if (chunk == _spare)
                _spare = null;
            chunk.Used = 0;
            _heldBytes += chunk.Bytes.Length;
            _chunks.Enqueue(chunk);
            return _current = chunk;
        }
    }

    /// <summary>Makes the blocks of a group that has become durable visible, all at once.</summary>
    public void Publish(ReadOnlySpan<RingEntry> blocks, long position)
    {
        TaskCompletionSource? grown;
        lock (_gate)
        {
            foreach (ref readonly var entry in blocks)
            {
                if (_count == _entries.Length)
                    Grow();
                _entries[(_firstNumber + _count++) % _entries.Length] = entry;
                _durable[entry.Block.Partition] = entry.Block.NextSequence;
            }

            _position = position;
            grown = _grown;
            _grown = null;
        }

        grown?.SetResult();
    }

    /// <summary>The next block in memory at or behind a place. The block is lent until <see cref="Return"/>.</summary>
    /// <param name="number">The reader's place in the ring, −1 when it has none; kept up to date.</param>
    /// <param name="at">The reader's journal position; moved behind what is found or passed over.</param>
    /// <param name="partition">The only partition wanted, or −1.</param>
    public TailRead Read(ref long number, ref long at, int partition, out RingEntry entry)
    {
        entry = default;
        lock (_gate)
        {
            if (at < _ringStartPosition)
            {
                number = -1;
                return TailRead.OnDisk;
            }

            if (number < _firstNumber)
                number = Search(at);
            while (number < _firstNumber + _count)
            {
                ref readonly var candidate = ref _entries[number % _entries.Length];
                number++;
                at = candidate.End;
                if (partition >= 0 && candidate.Block.Partition != partition)
                    continue;
                entry = candidate;
                entry.Chunk.Lent++;
                return TailRead.Found;
            }

            at = Math.Max(at, _position);
            return TailRead.AtEnd;
        }
    }

    public void Return(RingChunk chunk)
    {
        lock (_gate)
            chunk.Lent--;
    }

    /// <summary>Completes when the journal is durable beyond a position.</summary>
    public Task WaitBeyondAsync(long position)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed, typeof(SegmentLog));
            if (_position > position)
                return Task.CompletedTask;
            _grown ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _grown.Task;
        }
    }

    /// <summary>Lets waiting readers go: nothing will come any more.</summary>
    public void Close()
    {
        TaskCompletionSource? grown;
        lock (_gate)
        {
            _closed = true;
            grown = _grown;
            _grown = null;
        }

        grown?.SetResult();
    }

    private long Search(long at)
    {
        var (low, high) = (0L, (long)_count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_entries[(_firstNumber + middle) % _entries.Length].Position < at)
                low = middle + 1;
            else
                high = middle;
        }

        return _firstNumber + low;
    }

    private void EvictOldest()
    {
        var chunk = _chunks.Dequeue();
        _heldBytes -= chunk.Bytes.Length;
        while (_count > 0 && _entries[_firstNumber % _entries.Length].Chunk == chunk)
        {
            ref var oldest = ref _entries[_firstNumber % _entries.Length];
            _ringStart[oldest.Block.Partition] = oldest.Block.NextSequence;
            _ringStartPosition = oldest.End;
            oldest = default;
            _firstNumber++;
            _count--;
        }

        if (_current == chunk)
            _current = null;
        // A chunk that a reader still holds is left to it and to the garbage collector.
        if (chunk.Lent == 0 && chunk.Bytes.Length == _chunkBytes)
            _spare = chunk;
    }

    private void Grow()
    {
        var larger = new RingEntry[_entries.Length * 2];
        for (var i = 0; i < _count; i++)
            larger[(_firstNumber + i) % larger.Length] = _entries[(_firstNumber + i) % _entries.Length];
        _entries = larger;
    }
}
