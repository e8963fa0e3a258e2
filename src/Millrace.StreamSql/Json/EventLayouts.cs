using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Json;

/// <summary>
/// The few layouts an input's events come in, the one that fitted last first. An input whose events hardly ever repeat a
/// layout is left alone for a while, so that it pays next to nothing for the attempts.
/// </summary>
internal sealed class EventLayouts
{
    private const int LayoutsMax = 4;

    /// <summary>After this many events it is decided whether looking has paid.</summary>
    private const int TrialEvents = 256;

    /// <summary>Events that are read the long way when it has not.</summary>
    private const int RestEvents = 8192;

    private readonly List<EventLayout> layouts = [];
    private int tried;
    private int fitted;
    private int resting;
    private int untilLearning;
    private int learnt;

    public bool TryRead(byte[] buffer, int length, Value[] slots)
    {
        if (layouts.Count == 0)
            return false;
        if (resting > 0)
        {
            resting--;
            return false;
        }

        if (++tried > TrialEvents)
        {
            resting = fitted < TrialEvents / 4 ? RestEvents : 0;
            tried = fitted = 0;
        }

        for (var index = 0; index < layouts.Count; index++)
        {
            var layout = layouts[index];
            if (!layout.TryRead(buffer, length, slots))
                continue;
            if (index > 0)
                (layouts[0], layouts[index]) = (layout, layouts[0]);
            fitted++;
            return true;
        }

        return false;
    }

    /// <summary>Takes note of an event that was read the long way. Learning allocates, so it becomes rare when it goes on.</summary>
    public void Offer(byte[] buffer, int length, Value[] slots, ReadOnlySpan<int> places)
    {
        if (--untilLearning > 0)
            return;
        if (++learnt > LayoutsMax)
            untilLearning = TrialEvents << Math.Min(learnt - LayoutsMax, 8);
        if (EventLayout.Learn(buffer, length, slots, places) is not { } layout)
            return;
        if (layouts.Count == LayoutsMax)
            layouts.RemoveAt(LayoutsMax - 1);
        layouts.Insert(0, layout);
    }
}
