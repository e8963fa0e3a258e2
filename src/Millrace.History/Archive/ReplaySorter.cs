using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>Brings readings into the order of their arrival. What does not fit in memory lies sorted in temporary files until it is merged.</summary>
internal sealed class ReplaySorter(int bytesMax, string temporaryFolder) : IBufferWriter<byte>, IDisposable
{
    /// <summary>Arrival, time, sequence, partition, tenant, length of the id, length of the JSON.</summary>
    private const int HeaderBytes = 8 + 8 + 8 + 4 + 2 + 2 + 4;

    private readonly List<Run> _runs = [];
    private byte[] _bytes = new byte[256 << 10];
    private int _length;
    private long[] _arrivals = new long[1024];
    private int[] _starts = new int[1024];
    private int _count;

    /// <summary>Adds a reading; its JSON is what <paramref name="json"/> writes of the row.</summary>
    public void Add(ushort tenant, ReadOnlySpan<byte> device, long time, long receivedAt, int partition, long sequence, RowJson json, int row)
    {
        if (_length >= bytesMax)
            Spill();
        if (_count == _arrivals.Length)
        {
            Array.Resize(ref _arrivals, _count * 2);
            Array.Resize(ref _starts, _count * 2);
        }

        var start = _length;
        _arrivals[_count] = receivedAt;
        _starts[_count++] = start;
        var header = GetSpan(HeaderBytes + device.Length);
        BinaryPrimitives.WriteInt64LittleEndian(header, receivedAt);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], time);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], sequence);
        BinaryPrimitives.WriteInt32LittleEndian(header[24..], partition);
        BinaryPrimitives.WriteUInt16LittleEndian(header[28..], tenant);
        BinaryPrimitives.WriteUInt16LittleEndian(header[30..], (ushort)device.Length);
        device.CopyTo(header[HeaderBytes..]);
        Advance(HeaderBytes + device.Length);
        var before = _length;
        json.Write(row, this);
        BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(start + 32), _length - before);
    }

    /// <summary>All readings in order; the sorter is then empty.</summary>
    public IEnumerable<ArchivedReading> Drain()
    {
        if (_runs.Count == 0)
        {
            Array.Sort(_arrivals, _starts, 0, _count);
            for (var i = 0; i < _count; i++)
                yield return Read(_bytes.AsMemory(_starts[i]));
            (_count, _length) = (0, 0);
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
            yield return Read(run.Current);
            if (run.MoveNext())
                queue.Enqueue(run, run.ReceivedAt);
        }

        Dispose();
        _runs.Clear();
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

    public void Dispose() => _runs.ForEach(run => run.Dispose());

    private void Spill()
    {
        Array.Sort(_arrivals, _starts, 0, _count);
        var run = new Run(Path.Combine(temporaryFolder, $"millrace-replay-{Guid.NewGuid():N}.tmp"));
        _runs.Add(run);
        for (var i = 0; i < _count; i++)
            run.Write(_bytes.AsSpan(_starts[i], Measure(_bytes.AsSpan(_starts[i]))));
        run.Rewind();
        (_count, _length) = (0, 0);
    }

    private void Reserve(int count)
    {
        if (_bytes.Length - _length < count)
            Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max(_bytes.Length * 2L, (long)_length + count)));
    }

    private static int Measure(ReadOnlySpan<byte> header) =>
        HeaderBytes + BinaryPrimitives.ReadUInt16LittleEndian(header[30..]) + BinaryPrimitives.ReadInt32LittleEndian(header[32..]);

    private static ArchivedReading Read(ReadOnlyMemory<byte> record)
    {
        var bytes = record.Span;
        var idLength = BinaryPrimitives.ReadUInt16LittleEndian(bytes[30..]);
        return new ArchivedReading(
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[28..]), Encoding.UTF8.GetString(bytes.Slice(HeaderBytes, idLength)),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]), BinaryPrimitives.ReadInt64LittleEndian(bytes),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[24..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]),
            bytes.Slice(HeaderBytes + idLength, BinaryPrimitives.ReadInt32LittleEndian(bytes[32..])).ToArray());
    }

    /// <summary>Sorted readings in a file that goes when it is closed.</summary>
    private sealed class Run(string path) : IDisposable
    {
        private readonly FileStream _file = new(
            path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 128 << 10, FileOptions.DeleteOnClose);

        private byte[] _current = new byte[1024];

        public ReadOnlyMemory<byte> Current => _current;

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
