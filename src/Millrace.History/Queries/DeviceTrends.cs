using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Rollups;

namespace Millrace.History.Queries;

/// <summary>Points of one device's fields; as many a field as there were buckets.</summary>
/// <param name="StoppedBefore">Not everything could be read: buckets that end after this are not whole.</param>
public sealed record DeviceTrend(
    IReadOnlyList<LocalBucket> Buckets, SortedDictionary<string, List<TrendPoint>> Fields, long? StoppedBefore, bool IsBehind);

/// <summary>The trends of single devices. Thread-safe.</summary>
public sealed class DeviceTrends(DeviceReadings readings)
{
    /// <summary>
    /// The rise of the first bucket begins at the reading before it, which is looked for so far back.
    /// </summary>
    public const long LookBack = 2 * 86_400 * Micros.PerSecond;

    /// <param name="fields">Null: every field with numbers.</param>
    /// <param name="buckets">Of <see cref="LocalBuckets"/>, in order, at least one.</param>
    public DeviceTrend Read(
        ushort tenant, string device, IReadOnlyCollection<string>? fields, IReadOnlyList<LocalBucket> buckets, TrendInterval interval, ReadBudget budget)
    {
        ArgumentNullException.ThrowIfNull(buckets);
        ArgumentNullException.ThrowIfNull(budget);
        var cellLength = interval == TrendInterval.Minute ? LocalBuckets.Minute : LocalBuckets.QuarterHour;
        var numbers = new NumericFields();
        var cells = new Dictionary<int, SortedList<long, Cell>>();
        foreach (var reading in readings.Read(tenant, device, buckets[0].Start - LookBack, buckets[^1].End, budget))
        {
            if (ArchiveOptions.IsSkewed(reading.Time, reading.ReceivedAt, ArchiveOptions.SkewDaysDefault))
                continue;
            numbers.Read(reading.Json.Span);
            foreach (var (field, value) in numbers.Values)
                CellOf(cells, field, LocalBuckets.Floor(reading.Time, cellLength)).Add(new Sample(reading.Time, reading.Partition, reading.Sequence, value));
        }

        var points = new SortedDictionary<string, List<TrendPoint>>(StringComparer.Ordinal);
        foreach (var (field, held) in cells)
        {
            if (fields is null || fields.Contains(numbers.Names[field]))
                points.Add(numbers.Names[field], TrendPoints.Of(held, cellLength, buckets));
        }

        return new DeviceTrend(buckets, points, budget.StoppedBefore, budget.IsBehind);
    }

    private static Cell CellOf(Dictionary<int, SortedList<long, Cell>> cells, int field, long start)
    {
        if (!cells.TryGetValue(field, out var held))
            cells.Add(field, held = []);
        if (!held.TryGetValue(start, out var cell))
            held.Add(start, cell = new Cell(start));
        return cell;
    }
}
