namespace Millrace.History.Rollups;

/// <summary>Thins a curve for a chart without losing its peaks.</summary>
public static class PeakKeeping
{
    /// <summary>
    /// The places of the points to draw, in order: the first and the last, and of each of equally wide stretches between them the least and
    /// the greatest. No more than <paramref name="most"/> (at least 4); all of them when there are no more.
    /// </summary>
    public static List<int> Reduce(IReadOnlyList<double> values, int most)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfLessThan(most, 4);
        if (values.Count <= most)
            return [.. Enumerable.Range(0, values.Count)];

        var kept = new List<int> { 0 };
        var (stretches, inner) = ((most - 2) / 2, values.Count - 2);
        for (var i = 0; i < stretches; i++)
        {
            var from = 1 + (int)((long)inner * i / stretches);
            var to = 1 + (int)((long)inner * (i + 1) / stretches);
            var (least, greatest) = (from, from);
            for (var k = from + 1; k < to; k++)
            {
                least = values[k] < values[least] ? k : least;
                greatest = values[k] > values[greatest] ? k : greatest;
            }

            kept.Add(Math.Min(least, greatest));
            if (least != greatest)
                kept.Add(Math.Max(least, greatest));
        }

        kept.Add(values.Count - 1);
        return kept;
    }
}
