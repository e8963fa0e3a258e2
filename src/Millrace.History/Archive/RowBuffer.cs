using System.Buffers;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>Readings on their way into files: ids and JSON views in one run of bytes, the rest in rows.</summary>
internal sealed class RowBuffer(int skewDaysMax) : IBufferWriter<byte>, IComparer<int>
{
    private const long DayMicros = 86_400 * Micros.PerSecond;

    private byte[] _bytes = new byte[64 << 10];
    private int _length;
    private Row[] _rows = new Row[1024];

    public int Count { get; private set; }

    public int ByteCount => _length;

    /// <summary>Readings with broken clocks, kept on the day of their arrival.</summary>
    public long Skewed { get; private set; }

    public void Add(in ReadingRecord record, int partition)
    {
        if (Count == _rows.Length)
            Array.Resize(ref _rows, Count * 2);

        var id = _length;
        Write(record.Id);
        var json = _length;
        PayloadView.WriteJson(record, this);

        var time = record.EventTime;
        var isSkewed = ArchiveOptions.IsSkewed(time, record.ReceivedAt, skewDaysMax);
        Skewed += isSkewed ? 1 : 0;
        var day = FloorDay(isSkewed ? record.ReceivedAt : time);
        _rows[Count++] = new Row(
            id, json - id, _length - json, record.Tenant, day, time, record.ReceivedAt, partition, record.Sequence);
    }

    public void Clear() => (Count, _length) = (0, 0);

    /// <summary>Places of the rows by tenant, day, device, time and place in the log.</summary>
    public int[] Sorted()
    {
        var order = new int[Count];
        for (var i = 0; i < order.Length; i++)
            order[i] = i;
        Array.Sort(order, this);
        return order;
    }

    public ref readonly Row this[int row] => ref _rows[row];

    public ReadOnlySpan<byte> Id(int row) => _bytes.AsSpan(_rows[row].Start, _rows[row].IdLength);

    public ReadOnlySpan<byte> Json(int row) => _bytes.AsSpan(_rows[row].Start + _rows[row].IdLength, _rows[row].JsonLength);

    public int Compare(int a, int b)
    {
        ref readonly var x = ref _rows[a];
        ref readonly var y = ref _rows[b];
        var order = x.Tenant.CompareTo(y.Tenant);
        if (order == 0)
            order = x.Day.CompareTo(y.Day);
        if (order == 0)
            order = Id(a).SequenceCompareTo(Id(b));
        if (order == 0)
            order = x.Time.CompareTo(y.Time);
        if (order == 0)
            order = x.Partition.CompareTo(y.Partition);
        return order != 0 ? order : x.Sequence.CompareTo(y.Sequence);
    }

    public void Advance(int count) => _length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 256));
        return _bytes.AsMemory(_length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 256));
        return _bytes.AsSpan(_length);
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(GetSpan(bytes.Length));
        _length += bytes.Length;
    }

    private void Reserve(int count)
    {
        if (_bytes.Length - _length < count)
            Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max(_bytes.Length * 2L, (long)_length + count)));
    }

    private static long FloorDay(long time) => (time - (time % DayMicros + DayMicros) % DayMicros) / DayMicros;

    /// <param name="Day">Days since 1970.</param>
    internal readonly record struct Row(
        int Start, int IdLength, int JsonLength, ushort Tenant, long Day, long Time, long ReceivedAt, int Partition, long Sequence);
}
