using System.Runtime.InteropServices;

namespace Millrace.History.Rollups.Groups;

/// <summary>Minute cells of groups that are not stored yet. Hot: most readings belong to the cell that the one before did. Not for several threads.</summary>
internal sealed class GroupCells
{
    private FieldCells?[][] _groups = [];

    public int Count { get; private set; }

    /// <summary>Takes in a reading's numbers for each group that its device belongs to.</summary>
    public void Add(ReadOnlySpan<int> groups, List<(int Field, double Value)> values, long time, int partition, long sequence)
    {
        var start = LocalBuckets.Floor(time, LocalBuckets.Minute);
        var numbers = CollectionsMarshal.AsSpan(values);
        foreach (var group in groups)
        {
            foreach (var (field, value) in numbers)
                CellOf(group, field, start).AddUnordered(new Sample(time, partition, sequence, value));
        }
    }

    /// <summary>The cells of a group's field by their start.</summary>
    public IReadOnlyDictionary<long, Cell>? Find(int group, int field) =>
        field >= 0 && group < _groups.Length && field < _groups[group].Length ? _groups[group][field]?.Cells : null;

    /// <summary>Everything held: group, field, cells.</summary>
    public IEnumerable<(int Group, int Field, IReadOnlyDictionary<long, Cell> Cells)> All()
    {
        for (var group = 0; group < _groups.Length; group++)
        {
            for (var field = 0; field < _groups[group].Length; field++)
            {
                if (_groups[group][field] is { Cells.Count: > 0 } held)
                    yield return (group, field, held.Cells);
            }
        }
    }

    public void Clear()
    {
        _groups = [];
        Count = 0;
    }

    private Cell CellOf(int group, int field, long start)
    {
        var held = group < _groups.Length && field < _groups[group].Length ? _groups[group][field] : null;
        if (held?.Newest is { } newest && newest.Start == start)
            return newest;

        held ??= Make(group, field);
        if (!held.Cells.TryGetValue(start, out var cell))
        {
            held.Cells.Add(start, cell = new Cell(start));
            Count++;
        }

        held.Newest = cell;
        return cell;
    }

    private FieldCells Make(int group, int field)
    {
        if (group >= _groups.Length)
        {
            var before = _groups.Length;
            Array.Resize(ref _groups, Math.Max(group + 1, before * 2));
            _groups.AsSpan(before).Fill([]);
        }

        if (field >= _groups[group].Length)
            Array.Resize(ref _groups[group], Math.Max(field + 1, _groups[group].Length * 2));
        return _groups[group][field] ??= new FieldCells();
    }

    private sealed class FieldCells
    {
        public Dictionary<long, Cell> Cells { get; } = [];

        public Cell? Newest { get; set; }
    }
}
