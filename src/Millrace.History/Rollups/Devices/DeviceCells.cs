using Millrace.History.Queries;
using Millrace.History.Rollups.Stored;

namespace Millrace.History.Rollups.Devices;

/// <summary>The cells of one device, by field.</summary>
internal sealed class DeviceCells(long cellLength)
{
    private readonly Dictionary<int, SortedList<long, Cell>> _fields = [];

    public IReadOnlyDictionary<int, SortedList<long, Cell>> Fields => _fields;

    public void Add(int field, in Sample sample)
    {
        var cells = Of(field);
        var start = LocalBuckets.Floor(sample.Time, cellLength);
        if (!cells.TryGetValue(start, out var cell))
            cells.Add(start, cell = new Cell(start));
        cell.Add(sample);
    }

    public void Add(int field, IEnumerable<Cell> cells) => CellMerge.Into(Of(field), cells);

    /// <summary>Gives what is held, in the order of the fields' numbers, and begins anew.</summary>
    public List<FieldCells> Take(NumericFields names)
    {
        List<FieldCells> taken = [.. _fields.OrderBy(field => field.Key).Select(field => new FieldCells(names.Names[field.Key], [.. field.Value.Values]))];
        _fields.Clear();
        return taken;
    }

    private SortedList<long, Cell> Of(int field)
    {
        if (!_fields.TryGetValue(field, out var cells))
            _fields.Add(field, cells = []);
        return cells;
    }
}
