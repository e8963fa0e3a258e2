namespace Millrace.History.Rollups;

/// <summary>
/// What the samples of one series in one stretch of time amount to. Everything but the rise can be added in any order; the rise is the sum
/// of upward differences between neighbours, so a sample that comes late makes it wrong until it is counted anew from the raw readings.
/// </summary>
public sealed class Cell
{
    private ExactSum _sum;
    private ExactSum _rise;

    /// <param name="start">Where the stretch begins, µs UTC.</param>
    public Cell(long start) => Start = start;

    public long Start { get; }

    public long Count { get; private set; }

    public double Min { get; private set; } = double.PositiveInfinity;

    public double Max { get; private set; } = double.NegativeInfinity;

    public Sample First { get; private set; }

    public Sample Last { get; private set; }

    public double Sum => _sum.Value;

    /// <summary>The exact sum, for adding up cells.</summary>
    public ExactSum ExactSum => _sum;

    /// <summary>Upward differences inside the cell; not to be used while <see cref="NeedsRecount"/>.</summary>
    public ExactSum ExactRise => _rise;

    /// <summary>A sample came that belongs before one already here: the rise waits for a recount.</summary>
    public bool NeedsRecount { get; private set; }

    public void Add(in Sample sample)
    {
        if (Count == 0)
        {
            First = Last = sample;
        }
        else if (sample > Last)
        {
            AddRise(Last.Value, sample.Value, ref _rise);
            Last = sample;
        }
        else
        {
            NeedsRecount = true;
            if (sample < First)
                First = sample;
        }

        Count++;
        _sum.Add(sample.Value);
        Min = Math.Min(Min, sample.Value);
        Max = Math.Max(Max, sample.Value);
    }

    /// <summary>Takes in a sample where no rise is wanted: readings of a group's devices are no neighbours. Hot.</summary>
    public void AddUnordered(in Sample sample)
    {
        if (Count == 0)
            First = Last = sample;
        else if (sample.Time > Last.Time || sample > Last)
            Last = sample;
        else if (sample < First)
            First = sample;

        Count++;
        _sum.Add(sample.Value);
        Min = Math.Min(Min, sample.Value);
        Max = Math.Max(Max, sample.Value);
    }

    /// <summary>
    /// Takes in another cell of the same stretch, made from other samples. Exact in any order but for the rise: when the samples
    /// lie between each other in time, it has to be counted anew.
    /// </summary>
    public void Absorb(Cell other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other.Count == 0)
            return;

        NeedsRecount |= other.NeedsRecount;
        _rise.Add(other._rise);
        if (Count == 0)
        {
            (First, Last) = (other.First, other.Last);
        }
        else if (other.First > Last)
        {
            AddRise(Last.Value, other.First.Value, ref _rise);
            Last = other.Last;
        }
        else if (other.Last < First)
        {
            AddRise(other.Last.Value, First.Value, ref _rise);
            First = other.First;
        }
        else
        {
            NeedsRecount = true;
            First = other.First < First ? other.First : First;
            Last = other.Last > Last ? other.Last : Last;
        }

        Count += other.Count;
        _sum.Add(other._sum);
        Min = Math.Min(Min, other.Min);
        Max = Math.Max(Max, other.Max);
    }

    /// <summary>A cell as it was stored.</summary>
    internal static Cell Restore(
        long start, long count, double min, double max, in Sample first, in Sample last, ExactSum sum, ExactSum rise, bool needsRecount) =>
        new(start)
        {
            Count = count,
            Min = min,
            Max = max,
            First = first,
            Last = last,
            _sum = sum,
            _rise = rise,
            NeedsRecount = needsRecount,
        };

    /// <summary>A copy that goes its own way.</summary>
    public Cell Copy()
    {
        var copy = new Cell(Start);
        copy.Absorb(this);
        return copy;
    }

    /// <summary>Counts the cell from nothing, from all its samples in any order; a sample that is given twice counts once.</summary>
    public static Cell Recount(long start, IEnumerable<Sample> samples)
    {
        var cell = new Cell(start);
        foreach (var sample in samples.Distinct().Order())
            cell.Add(sample);

        return cell;
    }

    /// <summary>The upward difference of two neighbours; a drop counts nothing, since only the register's declaration can explain it.</summary>
    internal static void AddRise(double from, double to, ref ExactSum rise)
    {
        // The two exact values rather than their rounded difference: sums over any cut then agree.
        if (to <= from)
            return;

        rise.Add(to);
        rise.Add(-from);
    }
}
