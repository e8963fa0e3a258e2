namespace Millrace.History.Rollups.Devices;

/// <summary>How long a tenant's past is kept.</summary>
/// <param name="Readings">Age at which readings leave the archive; null for never.</param>
/// <param name="QuarterHours">Age at which quarter-hours go, be their readings there or not; null: they go with the readings.</param>
public sealed record QuarterHourRetention(Func<ushort, TimeSpan?> Readings, Func<ushort, TimeSpan?> QuarterHours);
