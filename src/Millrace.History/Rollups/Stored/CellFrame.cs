namespace Millrace.History.Rollups.Stored;

/// <summary>
/// When a cell's samples came and how many they are: the same for all fields of a device that sends them together, and then stored once. Places are 0
/// where the file has none.
/// </summary>
internal readonly record struct CellFrame(
    long Start, long Count, long FirstTime, long LastTime, int FirstPartition, long FirstSequence, int LastPartition, long LastSequence)
{
    public static CellFrame Of(Cell cell, bool withPlaces)
    {
        var (first, last) = (cell.First, cell.Last);
        return withPlaces
            ? new(cell.Start, cell.Count, first.Time, last.Time, first.Partition, first.Sequence, last.Partition, last.Sequence)
            : new(cell.Start, cell.Count, first.Time, last.Time, 0, 0, 0, 0);
    }
}
