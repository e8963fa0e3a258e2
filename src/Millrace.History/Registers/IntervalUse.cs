namespace Millrace.History.Registers;

/// <summary>The use in one interval that begins at <paramref name="Start"/> (µs UTC).</summary>
/// <param name="Quality">The worst of the steps that reach into it; missing where no step does.</param>
public readonly record struct IntervalValue(long Start, decimal Use, Quality Quality);

/// <summary>Spreads the steps of a register over intervals of equal length, in proportion to time.</summary>
public static class IntervalUse
{
    public const long QuarterHour = 15 * 60 * 1_000_000L;

    /// <summary>
    /// The intervals from the first step's to the last step's. What the intervals of a step get adds up to the step exactly: the last
    /// one takes what rounding left.
    /// </summary>
    /// <param name="steps">In order of time, as <see cref="RegisterWalk"/> gives them.</param>
    /// <param name="resolution">Shares are rounded down to multiples of this; 0 leaves them as they are.</param>
    /// <param name="estimateAfter">A step longer than this (µs) is a gap: what it spreads is an estimate. 0: never.</param>
    public static List<IntervalValue> Of(
        IReadOnlyList<RegisterStep> steps, decimal resolution, long length = QuarterHour, long estimateAfter = 2 * QuarterHour)
    {
        ArgumentNullException.ThrowIfNull(steps);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        if (steps.Count == 0)
            return [];

        var first = Floor(steps[0].From, length);
        var values = new IntervalValue[Floor(steps[^1].To - 1, length) / length - first / length + 1];
        for (var i = 0; i < values.Length; i++)
            values[i] = new IntervalValue(first + i * length, 0, Quality.Missing);

        foreach (var step in steps)
        {
            var quality = estimateAfter > 0 && step.To - step.From > estimateAfter && step.Quality == Quality.Measured
                ? Quality.Estimated
                : step.Quality;
            Spread(step, quality, first, length, resolution, values);
        }

        return [.. values];
    }

    private static void Spread(
        RegisterStep step, Quality quality, long first, long length, decimal resolution, Span<IntervalValue> values)
    {
        var left = step.Use;
        var from = step.From;
        while (from < step.To)
        {
            var index = (int)((from - first) / length);
            var end = Math.Min(step.To, first + (index + 1) * length);
            var share = end == step.To ? left : Round(step.Use * (end - from) / (step.To - step.From), resolution);
            var value = values[index];
            values[index] = new IntervalValue(value.Start, value.Use + share, Worse(value.Quality, quality));
            left -= share;
            from = end;
        }
    }

    private static decimal Round(decimal share, decimal resolution) =>
        resolution > 0 ? decimal.Floor(share / resolution) * resolution : share;

    /// <summary>The worse of two; where one of them is missing, the other.</summary>
    internal static Quality Worse(Quality a, Quality b) => a == Quality.Missing || (b != Quality.Missing && Rank(b) > Rank(a)) ? b : a;

    private static int Rank(Quality quality) => quality switch
    {
        Quality.Measured => 0,
        Quality.Edited => 1,
        Quality.Estimated => 2,
        _ => 3,
    };

    private static long Floor(long time, long length) => time - (time % length + length) % length;
}
