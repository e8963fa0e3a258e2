using Millrace.Core;

namespace Millrace.History.Rollups;

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

        return TrendPoints.Of(_series.GetValueOrDefault(key) ?? [], cellLength, buckets);
    }
}
