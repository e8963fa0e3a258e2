using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>
/// Brings readings into the order of their arrival. What does not fit in memory lies sorted in temporary files until it is merged. Hot.
/// </summary>
internal sealed class ReplaySorter(int bytesMax, string temporaryFolder) : IBufferWriter<byte>, IDisposable
{
    /// <summary>Arrival, tenant, partition, length of the id, flags, length of the body; with JSON behind them time and sequence.</summary>
    private const int HeaderBytes = 8 + 2 + 4 + 2 + 1 + 4;

    private const int PlaceBytes = 8 + 8;
    private const byte IsInPieces = 1;

    /// <summary>Readings that are fetched into the cache ahead of their turn: they lie apart, and waiting for each would cost more than all else.</summary>
    private const int Ahead = 16;

    private const int CacheLineBytes = 64;

    private readonly List<Run> _runs = [];
    private byte[] _bytes = ArrayPool<byte>.Shared.Rent(256 << 10);
    private int _length;
    private long[] _arrivals = ArrayPool<long>.Shared.Rent(1024);
    private int[] _starts = ArrayPool<int>.Shared.Rent(1024);
    private int[] _order = [];
    private int _count;
    private int _body;

    /// <summary>Begins a reading; what is written until <see cref="End"/> is its body, JSON or pieces.</summary>
    /// <param name="time">Not kept of readings in pieces; nor is the sequence.</param>
    public void Begin(ushort tenant, ReadOnlySpan<byte> device, long time, long receivedAt, int partition, long sequence, bool isInPieces)
    {
        if (_length >= bytesMax)
            Spill();
        if (_count == Math.Min(_arrivals.Length, _starts.Length))
        {
            Grow(ref _arrivals, _count, _count * 2);
            Grow(ref _starts, _count, _count * 2);
        }

        _arrivals[_count] = receivedAt;
        _starts[_count++] = _length;
        var header = GetSpan(HeaderBytes + PlaceBytes + device.Length);
        BinaryPrimitives.WriteInt64LittleEndian(header, receivedAt);
        BinaryPrimitives.WriteUInt16LittleEndian(header[8..], tenant);
        BinaryPrimitives.WriteInt32LittleEndian(header[10..], partition);
        BinaryPrimitives.WriteUInt16LittleEndian(header[14..], (ushort)device.Length);
        header[16] = isInPieces ? IsInPieces : (byte)0;
        var at = HeaderBytes;
        if (!isInPieces)
        {
            BinaryPrimitives.WriteInt64LittleEndian(header[at..], time);
            BinaryPrimitives.WriteInt64LittleEndian(header[(at + 8)..], sequence);
            at += PlaceBytes;
        }

        device.CopyTo(header[at..]);
        _length += at + device.Length;
        _body = _length;
    }

    public void End() => BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(_starts[_count - 1] + 17), _length - _body);

    /// <summary>Brings what is in memory into order, so that draining need not; the sorters of one replay do so side by side.</summary>
    public void Sort()
    {
        if (_runs.Count == 0 && _order.Length == 0)
            _order = ArrivalOrder.Of(_arrivals, _count);
    }

    /// <summary>All readings in order, each lent until the next; the sorter is then empty.</summary>
    public IEnumerable<PastReading> Drain()
    {
        var reading = new PastReading();
        if (_runs.Count == 0)
        {
            Sort();
            for (var i = 0; i < _count; i++)
            {
                if (i + Ahead < _count)
                    Prefetch(_starts[_order[i + Ahead]]);
                Read(_bytes, _starts[_order[i]], reading);
                yield return reading;
            }

            Clear();
            yield break;
        }

        Spill();
        var queue = new PriorityQueue<Run, long>();
        foreach (var run in _runs)
        {
            if (run.MoveNext())
                queue.Enqueue(run, run.ReceivedAt);
        }

        while (queue.TryDequeue(out var run, out _))
        {
            Read(run.Current, 0, reading);
            yield return reading;
            if (run.MoveNext())
                queue.Enqueue(run, run.ReceivedAt);
        }

        DropRuns();
    }

    /// <summary>What several sorters hold, as one would give it.</summary>
    public static IEnumerable<PastReading> Merge(IReadOnlyCollection<ReplaySorter> sorters)
    {
        if (sorters.Count == 1)
        {
            foreach (var reading in sorters.First().Drain())
                yield return reading;
            yield break;
        }

        var open = sorters.Select(sorter => sorter.Drain().GetEnumerator()).Where(readings => readings.MoveNext()).ToList();
        while (open.Count > 0)
        {
            var next = 0;
            for (var i = 1; i < open.Count; i++)
            {
                if (open[i].Current.ReceivedAt < open[next].Current.ReceivedAt)
                    next = i;
            }

            yield return open[next].Current;
            if (!open[next].MoveNext())
                open.RemoveAt(next);
        }
    }

    public void Advance(int count) => _length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 64));
        return _bytes.AsMemory(_length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 64));
        return _bytes.AsSpan(_length);
    }

    public void Dispose()
    {
        DropRuns();
        Clear();
        ArrayPool<byte>.Shared.Return(_bytes);
        ArrayPool<long>.Shared.Return(_arrivals);
        ArrayPool<int>.Shared.Return(_starts);
        (_bytes, _arrivals, _starts) = ([], [], []);
    }

    private void Spill()
    {
        var run = new Run(Path.Combine(temporaryFolder, $"millrace-replay-{Guid.NewGuid():N}.tmp"));
        _runs.Add(run);
        _order = ArrivalOrder.Of(_arrivals, _count);
        for (var i = 0; i < _count; i++)
            run.Write(_bytes.AsSpan(_starts[_order[i]], Measure(_bytes.AsSpan(_starts[_order[i]]))));
        run.Rewind();
        Clear();
    }

    private void Clear()
    {
        if (_order.Length > 0)
            ArrayPool<int>.Shared.Return(_order);
        (_count, _length, _order) = (0, 0, []);
    }

    private void DropRuns()
    {
        _runs.ForEach(run => run.Dispose());
        _runs.Clear();
    }

    private void Reserve(int count)
    {
        if (_bytes.Length - _length < count)
            Grow(ref _bytes, _length, (int)Math.Min(Array.MaxLength, Math.Max(_bytes.Length * 2L, (long)_length + count)));
    }

    /// <summary>Rented, since the system would have to clear so many new pages for each replay.</summary>
    private static void Grow<T>(ref T[] array, int used, int wanted)
    {
        var larger = ArrayPool<T>.Shared.Rent(wanted);
        array.AsSpan(0, used).CopyTo(larger);
        ArrayPool<T>.Shared.Return(array);
        array = larger;
    }

    private unsafe void Prefetch(int start)
    {
        if (!Sse.IsSupported)
            return;
        // A hint about an address; it reads nothing, so it matters little if the array has just been moved.
        Sse.Prefetch0(Unsafe.AsPointer(ref _bytes[start]));
        Sse.Prefetch0(Unsafe.AsPointer(ref _bytes[Math.Min(start + CacheLineBytes, _bytes.Length - 1)]));
    }

    private static int Measure(ReadOnlySpan<byte> header) =>
        HeaderBytes + (header[16] == IsInPieces ? 0 : PlaceBytes) + BinaryPrimitives.ReadUInt16LittleEndian(header[14..]) + BinaryPrimitives.ReadInt32LittleEndian(header[17..]);

    private static void Read(byte[] buffer, int start, PastReading reading)
    {
        var header = buffer.AsSpan(start, HeaderBytes);
        var isInPieces = header[16] == IsInPieces;
        var (time, sequence, device) = (0L, 0L, start + HeaderBytes);
        if (!isInPieces)
        {
            time = BinaryPrimitives.ReadInt64LittleEndian(buffer.AsSpan(device));
            sequence = BinaryPrimitives.ReadInt64LittleEndian(buffer.AsSpan(device + 8));
            device += PlaceBytes;
        }

        reading.Set(
            BinaryPrimitives.ReadUInt16LittleEndian(header[8..]), BinaryPrimitives.ReadInt32LittleEndian(header[10..]), sequence, time,
            BinaryPrimitives.ReadInt64LittleEndian(header));
        reading.SetBytes(buffer, device, BinaryPrimitives.ReadUInt16LittleEndian(header[14..]), BinaryPrimitives.ReadInt32LittleEndian(header[17..]), isInPieces);
    }

    /// <summary>Sorted readings in a file that goes when it is closed.</summary>
    private sealed class Run(string path) : IDisposable
    {
        private readonly FileStream _file = new(
            path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 128 << 10, FileOptions.DeleteOnClose);

        private byte[] _current = new byte[1024];

        public byte[] Current => _current;

        public long ReceivedAt => BinaryPrimitives.ReadInt64LittleEndian(_current);

        public void Write(ReadOnlySpan<byte> record) => _file.Write(record);

        public void Rewind() => _file.Position = 0;

        public bool MoveNext()
        {
            if (_file.ReadAtLeast(_current.AsSpan(0, HeaderBytes), HeaderBytes, throwOnEndOfStream: false) == 0)
                return false;

            var length = Measure(_current);
            if (_current.Length < length)
                Array.Resize(ref _current, length * 2);
            _file.ReadExactly(_current.AsSpan(HeaderBytes, length - HeaderBytes));
            return true;
        }

        public void Dispose() => _file.Dispose();
    }
}
