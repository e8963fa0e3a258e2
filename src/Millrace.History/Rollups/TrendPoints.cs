namespace Millrace.History.Rollups;

/// <summary>One bucket of a trend; without samples the count is 0 and the rest is not to be shown.</summary>
/// <param name="Rise">The sum of upward differences, the one from the reading before the bucket included.</param>
public readonly record struct TrendPoint(
    LocalBucket Bucket, long Count, double Sum, double Min, double Max, double First, double Last, double Rise)
{
    public double Average => Sum / Count;
}

/// <summary>Puts cells together to the buckets of a trend.</summary>
internal static class TrendPoints
{
    /// <summary>One point a bucket. A cell before the first bucket counts only for the rise from it.</summary>
    /// <exception cref="InvalidOperationException">The buckets are finer than the cells.</exception>
    public static List<TrendPoint> Of(SortedList<long, Cell> cells, long cellLength, IReadOnlyList<LocalBucket> buckets)
    {
        var points = new List<TrendPoint>(buckets.Count);
        var at = buckets.Count == 0 ? 0 : FirstFrom(cells, buckets[0].Start);
        foreach (var bucket in buckets)
        {
            if (bucket.Start % cellLength != 0 || bucket.End % cellLength != 0)
                throw new InvalidOperationException("The buckets are finer than the cells.");

            while (at < cells.Count && cells.GetKeyAtIndex(at) < bucket.Start)
                at++;
            var end = at;
            while (end < cells.Count && cells.GetKeyAtIndex(end) < bucket.End)
                end++;
            points.Add(Combine(bucket, cells, at, end));
            at = end;
        }

        return points;
    }

    private static TrendPoint Combine(LocalBucket bucket, SortedList<long, Cell> cells, int from, int to)
    {
        if (from == to)
            return new TrendPoint(bucket, 0, 0, double.NaN, double.NaN, double.NaN, double.NaN, 0);

        var (count, min, max) = (0L, double.PositiveInfinity, double.NegativeInfinity);
        var sum = default(ExactSum);
        var rise = default(ExactSum);
        for (var i = from; i < to; i++)
        {
            var cell = cells.GetValueAtIndex(i);
            count += cell.Count;
            min = Math.Min(min, cell.Min);
            max = Math.Max(max, cell.Max);
            sum.Add(cell.ExactSum);
            rise.Add(cell.ExactRise);
            if (i > 0)
                Cell.AddRise(cells.GetValueAtIndex(i - 1).Last.Value, cell.First.Value, ref rise);
        }

        return new TrendPoint(
            bucket, count, sum.Value, min, max, cells.GetValueAtIndex(from).First.Value, cells.GetValueAtIndex(to - 1).Last.Value, rise.Value);
    }

    private static int FirstFrom(SortedList<long, Cell> cells, long start)
    {
        var (low, high) = (0, cells.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (cells.GetKeyAtIndex(middle) < start)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}
