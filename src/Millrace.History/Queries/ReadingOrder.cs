using Millrace.Core;

namespace Millrace.History.Queries;

/// <summary>The order in which a device's readings stand.</summary>
internal static class ReadingOrder
{
    /// <summary>By time, then by place in the log.</summary>
    public static Comparer<ArchivedReading> ByTime { get; } = Comparer<ArchivedReading>.Create(static (a, b) =>
    {
        var order = a.Time.CompareTo(b.Time);
        if (order == 0)
            order = a.Partition.CompareTo(b.Partition);
        return order != 0 ? order : a.Sequence.CompareTo(b.Sequence);
    });
}
