using System.Buffers;
using System.Buffers.Binary;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>Readings on their way into files, taken apart on arrival: values in one store, where they belong in rows. Hot.</summary>
internal sealed class RowBuffer(int skewDaysMax) : IComparer<int>
{
    private const long HourMicros = 3600 * Micros.PerSecond;

    private readonly PayloadCells _cells = new();
    private readonly ArrayBufferWriter<byte> _view = new(1024);
    private readonly Dictionary<(ushort Tenant, int Hour), int> _groups = [];
    private readonly Dictionary<ushort, PayloadSplitter> _splitters = [];
    private Row[] _rows = new Row[1024];
    private ulong[] _keys = [];
    private int[] _order = [];

    public int Count { get; private set; }

    public int ByteCount => _cells.Bytes + (Count * 80);

    /// <summary>Readings with broken clocks, kept on the hour of their arrival.</summary>
    public long Skewed { get; private set; }

    public PayloadCells Cells => _cells;

    public ref readonly Row this[int row] => ref _rows[row];

    /// <param name="columns">Gives the columns of a tenant that has none here yet.</param>
    public void Add(in ReadingRecord record, int partition, Func<ushort, ColumnSet> columns)
    {
        if (Count == _rows.Length)
            Array.Resize(ref _rows, Count * 2);

        var (tenant, time) = (record.Tenant, record.EventTime);
        var id = _cells.TextLength;
        _cells.Write(record.Id);
        var firstCell = _cells.CellCount;
        if (!_splitters.TryGetValue(tenant, out var splitter))
            _splitters.Add(tenant, splitter = new PayloadSplitter(columns(tenant), _cells));
        Split(record, splitter, time);

        var rest = _cells.TextLength;
        _cells.Write(splitter.Rest);
        var isSkewed = ArchiveOptions.IsSkewed(time, record.ReceivedAt, skewDaysMax);
        Skewed += isSkewed ? 1 : 0;
        var hour = FloorHour(isSkewed ? record.ReceivedAt : time);
        if (!_groups.TryGetValue((tenant, hour), out var group))
            _groups.Add((tenant, hour), group = _groups.Count);
        _rows[Count++] = new Row(
            id, record.Id.Length, firstCell, _cells.CellCount, rest, _cells.TextLength - rest, group,
            time, record.ReceivedAt, partition, record.Sequence);
    }

    public void Clear()
    {
        Count = 0;
        _cells.Truncate(0, 0);
        _groups.Clear();
    }

    /// <summary>Forgets the columns too: they are read again when the folder is opened.</summary>
    public void Reset()
    {
        Clear();
        _splitters.Clear();
    }

    /// <summary>Places of the rows, group by group, sorted by device, time and place in the log.</summary>
    public IEnumerable<(ushort Tenant, int Hour, ReadOnlyMemory<int> Rows)> Sorted()
    {
        if (_order.Length < Count)
            (_order, _keys) = (new int[_rows.Length], new ulong[_rows.Length]);

        var ends = new int[_groups.Count];
        for (var i = 0; i < Count; i++)
            ends[_rows[i].Group]++;
        for (var g = 1; g < ends.Length; g++)
            ends[g] += ends[g - 1];
        for (var i = Count - 1; i >= 0; i--)
            _order[--ends[_rows[i].Group]] = i;

        foreach (var ((tenant, hour), group) in _groups.OrderBy(group => group.Key))
        {
            var start = ends[group];
            var end = group + 1 < ends.Length ? ends[group + 1] : Count;
            Sort(start, end);
            yield return (tenant, hour, _order.AsMemory(start, end - start));
        }
    }

    public ReadOnlySpan<byte> Id(int row) => _cells.Text(_rows[row].IdStart, _rows[row].IdLength);

    public ReadOnlySpan<byte> Rest(int row) => _cells.Text(_rows[row].RestStart, _rows[row].RestLength);

    public int Compare(int a, int b)
    {
        ref readonly var x = ref _rows[a];
        ref readonly var y = ref _rows[b];
        var order = Id(a).SequenceCompareTo(Id(b));
        if (order == 0)
            order = x.Time.CompareTo(y.Time);
        if (order == 0)
            order = x.Partition.CompareTo(y.Partition);
        return order != 0 ? order : x.Sequence.CompareTo(y.Sequence);
    }

    private void Split(in ReadingRecord record, PayloadSplitter splitter, long time)
    {
        // JSON without line ends is its own view.
        if (record.Format == PayloadFormat.Json && record.Payload.IndexOfAny((byte)'\n', (byte)'\r') < 0 && splitter.TrySplit(record.Payload, time))
            return;

        _view.ResetWrittenCount();
        PayloadView.WriteJson(record, _view);
        splitter.TrySplit(_view.WrittenSpan, time);
    }

    /// <summary>
    /// Sorts by eight bytes of the id behind what all ids begin with, and then the few that are equal in them; comparing whole ids each
    /// time would be most of the work.
    /// </summary>
    private void Sort(int start, int end)
    {
        var first = Id(_order[start]);
        var common = first.Length;
        for (var i = start + 1; i < end && common > 0; i++)
            common = Math.Min(common, first.CommonPrefixLength(Id(_order[i])));

        Span<byte> key = stackalloc byte[8];
        for (var i = start; i < end; i++)
        {
            var id = Id(_order[i])[common..];
            key.Clear();
            id[..Math.Min(8, id.Length)].CopyTo(key);
            _keys[i] = BinaryPrimitives.ReadUInt64BigEndian(key);
        }

        Array.Sort(_keys, _order, start, end - start);
        for (var run = start; run < end;)
        {
            var runEnd = run + 1;
            while (runEnd < end && _keys[runEnd] == _keys[run])
                runEnd++;
            if (runEnd - run > 1)
                Array.Sort(_order, run, runEnd - run, this);
            run = runEnd;
        }
    }

    private static int FloorHour(long time) => (int)((time - (((time % HourMicros) + HourMicros) % HourMicros)) / HourMicros);

    /// <param name="Group">Which tenant and hour, in order of appearance.</param>
    internal readonly record struct Row(
        int IdStart, int IdLength, int CellStart, int CellEnd, int RestStart, int RestLength, int Group,
        long Time, long ReceivedAt, int Partition, long Sequence);
}
