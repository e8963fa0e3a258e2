using Millrace.Core;

namespace Millrace.History.Rollups;

/// <summary>One bucket of a trend; without samples the count is 0 and the rest is not to be shown.</summary>
/// <param name="Rise">The sum of upward differences, the one from the reading before the bucket included.</param>
public readonly record struct TrendPoint(
    LocalBucket Bucket, long Count, double Sum, double Min, double Max, double First, double Last, double Rise)
{
    public double Average => Sum / Count;
}

/// <summary>A field of a device, a group or the fleet.</summary>
public readonly record struct SeriesKey(string Series, string Field);

/// <summary>
/// Cells of equal length per series, kept up to date as samples come in any order of time. What it shows always equals a
/// recomputation from the raw samples: sums are exact, and cells that need it are counted anew through <see cref="Recount"/>.
/// Not for several threads at once.
/// </summary>
/// <param name="cellLength">µs: quarter-hours for devices, minutes for groups.</param>
/// <param name="partitions">Partitions of the log; a reading that was taken in before is passed over by its sequence.</param>
public sealed class RollupTable(long cellLength, int partitions)
{
    private readonly Dictionary<SeriesKey, SortedList<long, Cell>> _series = [];
    private readonly HashSet<(SeriesKey Key, long Start)> _stale = [];
    private readonly PositionVector _position = new(partitions);

    /// <summary>Per partition the next sequence wanted.</summary>
    public PositionVector Position => _position.Copy();

    /// <summary>Values that are no numbers to sum (NaN, infinities, beyond 1e290): counted, not taken in.</summary>
    public long Refused { get; private set; }

    /// <summary>Cells whose rise waits for a recount.</summary>
    public IReadOnlyCollection<(SeriesKey Key, long Start)> Stale => _stale;

    /// <summary>Whether a reading is new; readings of a partition come in order of their sequence, perhaps again after a crash.</summary>
    public bool Begin(int partition, long sequence)
    {
        if (sequence < _position[partition])
            return false;

        _position[partition] = sequence + 1;
        return true;
    }

    /// <summary>Adds one field of a reading that <see cref="Begin"/> let pass.</summary>
    public void Add(SeriesKey key, in Sample sample)
    {
        if (!ExactSum.Accepts(sample.Value))
        {
            Refused++;
            return;
        }

        if (!_series.TryGetValue(key, out var cells))
            _series.Add(key, cells = []);

        var start = LocalBuckets.Floor(sample.Time, cellLength);
        if (!cells.TryGetValue(start, out var cell))
            cells.Add(start, cell = new Cell(start));

        cell.Add(sample);
        if (cell.NeedsRecount)
            _stale.Add((key, start));
    }

    /// <summary>Counts the stale cells anew. <paramref name="raw"/> gives all samples of a series in a stretch, in any order.</summary>
    public void Recount(Func<SeriesKey, long, long, IEnumerable<Sample>> raw)
    {
        ArgumentNullException.ThrowIfNull(raw);
        foreach (var (key, start) in _stale)
        {
            var samples = raw(key, start, start + cellLength).Where(sample => ExactSum.Accepts(sample.Value));
            _series[key][start] = Cell.Recount(start, samples);
        }

        _stale.Clear();
    }

    /// <summary>The trend of a series, one point a bucket.</summary>
    /// <exception cref="InvalidOperationException">Cells are stale, or the interval is finer than the cells.</exception>
    public List<TrendPoint> Trend(SeriesKey key, IReadOnlyList<LocalBucket> buckets)
    {
        ArgumentNullException.ThrowIfNull(buckets);
        if (_stale.Count > 0)
            throw new InvalidOperationException("Some cells wait for a recount.");

        var points = new List<TrendPoint>(buckets.Count);
        var cells = _series.GetValueOrDefault(key) ?? [];
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
