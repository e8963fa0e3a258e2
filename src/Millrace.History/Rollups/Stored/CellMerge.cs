namespace Millrace.History.Rollups.Stored;

/// <summary>Adds up the cells of several sources, series by series: bounded by one series of each.</summary>
internal static class CellMerge
{
    /// <param name="sources">Each in the order of its keys.</param>
    public static IEnumerable<(byte[] Key, List<FieldCells> Fields)> Merge(IReadOnlyList<IEnumerable<(byte[] Key, List<FieldCells> Fields)>> sources)
    {
        var order = Comparer<byte[]>.Create(static (a, b) => a.AsSpan().SequenceCompareTo(b));
        var queue = new PriorityQueue<IEnumerator<(byte[] Key, List<FieldCells> Fields)>, byte[]>(order);
        foreach (var source in sources)
            Enqueue(queue, source.GetEnumerator());

        while (queue.TryDequeue(out var first, out var key))
        {
            var fields = first.Current.Fields;
            Enqueue(queue, first);
            while (queue.TryPeek(out _, out var next) && next.AsSpan().SequenceEqual(key))
            {
                var other = queue.Dequeue();
                fields = Add(fields, other.Current.Fields);
                Enqueue(queue, other);
            }

            yield return (key, fields);
        }
    }

    /// <summary>The fields of both, their cells of one stretch added up.</summary>
    public static List<FieldCells> Add(List<FieldCells> a, List<FieldCells> b)
    {
        var fields = new SortedDictionary<string, SortedList<long, Cell>>(StringComparer.Ordinal);
        foreach (var field in a.Concat(b))
        {
            if (!fields.TryGetValue(field.Field, out var cells))
                fields.Add(field.Field, cells = []);
            Into(cells, field.Cells);
        }

        return [.. fields.Select(field => new FieldCells(field.Key, [.. field.Value.Values]))];
    }

    public static void Into(SortedList<long, Cell> cells, IEnumerable<Cell> added)
    {
        foreach (var cell in added)
        {
            if (!cells.TryAdd(cell.Start, cell))
                cells[cell.Start].Absorb(cell);
        }
    }

    private static void Enqueue(
        PriorityQueue<IEnumerator<(byte[] Key, List<FieldCells> Fields)>, byte[]> queue, IEnumerator<(byte[] Key, List<FieldCells> Fields)> source)
    {
        if (source.MoveNext())
            queue.Enqueue(source, source.Current.Key);
        else
            source.Dispose();
    }
}
