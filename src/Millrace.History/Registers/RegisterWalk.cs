namespace Millrace.History.Registers;

/// <summary>
/// Turns a register's readings into use. A pure function of the readings: their order of arrival does not matter, nor that some come twice.
/// </summary>
public static class RegisterWalk
{
    /// <summary>Walks over the readings in order of time.</summary>
    /// <remarks>
    /// Of readings with the same time the best quality counts, measured before edited before estimated; a questionable or missing one never
    /// counts. An estimate therefore never replaces what was measured. A single reading far off is left out: a jump or drop is
    /// believed when the reading after it agrees, or when it is the last.
    /// </remarks>
    public static List<RegisterStep> Walk(
        RegisterDefinition register, IEnumerable<RegisterReading> readings, IEnumerable<MeterExchange>? exchanges = null)
    {
        ArgumentNullException.ThrowIfNull(register);
        ArgumentNullException.ThrowIfNull(readings);
        var ordered = InOrder(readings);
        var replaced = (exchanges ?? []).OrderBy(exchange => exchange.Time).ToList();
        var steps = new List<RegisterStep>(ordered.Count);
        var (at, next) = (0, 0);
        for (var i = 1; i < ordered.Count; i++)
        {
            var (from, to) = (ordered[at], ordered[i]);
            while (next < replaced.Count && replaced[next].Time <= from.Time)
                next++;

            if (next < replaced.Count && replaced[next].Time <= to.Time)
            {
                steps.Add(AcrossExchanges(register, from, to, replaced, ref next));
            }
            else
            {
                var step = Compare(register, from, to);
                if (step.Event is RegisterEvent.Reset or RegisterEvent.Jump && IsOutlier(register, ordered, at, i, replaced, next))
                    continue;
                steps.Add(step);
            }

            at = i;
        }

        return steps;
    }

    /// <summary>What two neighbouring readings of one meter say.</summary>
    public static RegisterStep Compare(RegisterDefinition register, RegisterReading from, RegisterReading to)
    {
        var use = to.Value - from.Value;
        var elapsed = to.Time - from.Time;
        if (use >= 0)
        {
            return register.IsPlausible(use, elapsed)
                ? Step(from, to, use, RegisterEvent.Advance)
                : Unknown(from, to, RegisterEvent.Jump);
        }

        // Without a known maximum flow only a drop from the last tenth of the range to the first is taken for a rollover.
        if (register.Wrap is { } wrap && from.Value < wrap && to.Value >= 0 && register.IsPlausible(use + wrap, elapsed)
            && (register.MaxPerHour is not null || (from.Value >= wrap * 0.9m && to.Value < wrap * 0.1m)))
        {
            return Step(from, to, use + wrap, RegisterEvent.Rollover);
        }

        return Unknown(from, to, RegisterEvent.Reset);
    }

    private static List<RegisterReading> InOrder(IEnumerable<RegisterReading> readings)
    {
        var ordered = new List<RegisterReading>();
        var usable = readings.Where(reading => reading.Quality is not (Quality.Questionable or Quality.Missing));
        foreach (var reading in usable.OrderBy(r => r.Time).ThenBy(r => Rank(r.Quality)).ThenByDescending(r => r.Value))
        {
            if (ordered.Count == 0 || ordered[^1].Time != reading.Time)
                ordered.Add(reading);
        }

        return ordered;
    }

    private static int Rank(Quality quality) => quality switch
    {
        Quality.Measured => 0,
        Quality.Edited => 1,
        _ => 2,
    };

    /// <summary>Whether the reading after the odd one fits the one before it, and not the odd one itself.</summary>
    private static bool IsOutlier(
        RegisterDefinition register, List<RegisterReading> ordered, int before, int odd, List<MeterExchange> replaced, int next)
    {
        if (odd + 1 >= ordered.Count || (next < replaced.Count && replaced[next].Time <= ordered[odd + 1].Time))
            return false;

        var skipping = Compare(register, ordered[before], ordered[odd + 1]).Event;
        var following = Compare(register, ordered[odd], ordered[odd + 1]).Event;
        return skipping is RegisterEvent.Advance && following is not RegisterEvent.Advance;
    }

    private static RegisterStep AcrossExchanges(
        RegisterDefinition register, RegisterReading from, RegisterReading to, List<MeterExchange> replaced, ref int next)
    {
        var use = 0m;
        var known = true;
        var (time, value) = (from.Time, from.Value);
        while (next < replaced.Count && replaced[next].Time <= to.Time)
        {
            var exchange = replaced[next++];
            if (exchange.FinalOld is { } final)
                Add(Compare(register, new RegisterReading(time, value), new RegisterReading(exchange.Time, final)));
            else
                known = false;
            (time, value) = (exchange.Time, exchange.FirstNew);
        }

        Add(Compare(register, new RegisterReading(time, value), to));
        var quality = known ? Step(from, to, 0, RegisterEvent.Exchange).Quality : Quality.Questionable;
        return new RegisterStep(from.Time, to.Time, use, RegisterEvent.Exchange, quality);

        void Add(RegisterStep part)
        {
            use += part.Use;
            known &= part.Quality != Quality.Questionable;
        }
    }

    private static RegisterStep Step(RegisterReading from, RegisterReading to, decimal use, RegisterEvent what)
    {
        var quality = from.Quality == Quality.Estimated || to.Quality == Quality.Estimated ? Quality.Estimated
            : from.Quality == Quality.Edited || to.Quality == Quality.Edited ? Quality.Edited
            : Quality.Measured;
        return new RegisterStep(from.Time, to.Time, use, what, quality);
    }

    private static RegisterStep Unknown(RegisterReading from, RegisterReading to, RegisterEvent what) =>
        new(from.Time, to.Time, 0, what, Quality.Questionable);
}
