namespace Millrace.History.Rollups.Groups;

/// <summary>The trend of one group, and how many of its devices stand behind it.</summary>
/// <param name="Group">The type or tag; null for the fleet.</param>
/// <param name="Reported">Devices heard in the period.</param>
/// <param name="Known">Devices that belong to the group now.</param>
public sealed record GroupTrend(string? Group, IReadOnlyList<TrendPoint> Points, long Reported, long Known);
