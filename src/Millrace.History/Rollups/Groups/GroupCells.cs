namespace Millrace.History.Rollups.Groups;

/// <summary>Minute cells of groups that are not stored yet. Hot: most readings belong to the cell that the one before did. Not for several threads.</summary>
internal sealed class GroupCells
{
    private readonly List<List<FieldCells?>> _groups = [];

    public int Count { get; private set; }

    public void Add(int group, int field, in Sample sample)
    {
        var start = sample.Time - (sample.Time % LocalBuckets.Minute + LocalBuckets.Minute) % LocalBuckets.Minute;
        var held = Of(group, field);
        if (held.Newest is { } newest && newest.Start == start)
        {
            newest.Add(sample);
            return;
        }

        if (!held.Cells.TryGetValue(start, out var cell))
        {
            held.Cells.Add(start, cell = new Cell(start));
            Count++;
        }

        held.Newest = cell;
        cell.Add(sample);
    }

    /// <summary>The cells of a group's field by their start.</summary>
    public IReadOnlyDictionary<long, Cell>? Find(int group, int field) =>
        field >= 0 && group < _groups.Count && field < _groups[group].Count ? _groups[group][field]?.Cells : null;

    /// <summary>Everything held: group, field, cells.</summary>
    public IEnumerable<(int Group, int Field, IReadOnlyDictionary<long, Cell> Cells)> All()
    {
        for (var group = 0; group < _groups.Count; group++)
        {
            for (var field = 0; field < _groups[group].Count; field++)
            {
                if (_groups[group][field] is { Cells.Count: > 0 } held)
                    yield return (group, field, held.Cells);
            }
        }
    }

    public void Clear()
    {
        _groups.Clear();
        Count = 0;
    }

    private FieldCells Of(int group, int field)
    {
        while (_groups.Count <= group)
            _groups.Add([]);
        var fields = _groups[group];
        while (fields.Count <= field)
            fields.Add(null);
        return fields[field] ??= new FieldCells();
    }

    private sealed class FieldCells
    {
        public Dictionary<long, Cell> Cells { get; } = [];

        public Cell? Newest { get; set; }
    }
}
