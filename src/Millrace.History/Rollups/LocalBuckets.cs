namespace Millrace.History.Rollups;

/// <summary>Lengths that trends are shown in.</summary>
public enum TrendInterval
{
    Minute,
    QuarterHour,
    Hour,
    Day,
}

/// <summary>A stretch of time on the clock of a zone.</summary>
/// <param name="Start">µs UTC.</param>
/// <param name="End">µs UTC, exclusive.</param>
/// <param name="Offset">The zone's offset from UTC where the stretch begins.</param>
public readonly record struct LocalBucket(long Start, long End, TimeSpan Offset);

/// <summary>Cuts UTC time into hours and days of a zone: days of 23, 24 or 25 hours, half hours at odd changes, skipped days.</summary>
public static class LocalBuckets
{
    public const long Minute = 60_000_000;
    public const long QuarterHour = 15 * Minute;

    /// <summary>The buckets that overlap the range, whole, in order.</summary>
    /// <remarks>
    /// They are put together from UTC quarter-hours (hours and days), so their edges are exact wherever the zone's offset is a multiple
    /// of fifteen minutes: everywhere since 1972.
    /// </remarks>
    public static List<LocalBucket> Of(TimeZoneInfo zone, TrendInterval interval, long from, long to)
    {
        ArgumentNullException.ThrowIfNull(zone);
        if (to <= from)
            return [];

        var step = interval == TrendInterval.Minute ? Minute : QuarterHour;
        if (interval is TrendInterval.Minute or TrendInterval.QuarterHour)
            return Fixed(zone, step, from, to);

        var start = Floor(from, step);
        var key = KeyOf(zone, interval, start);
        while (KeyOf(zone, interval, start - step) == key)
            start -= step;

        var buckets = new List<LocalBucket>();
        while (start < to)
        {
            var end = start + step;
            key = KeyOf(zone, interval, start);
            while (KeyOf(zone, interval, end) == key)
                end += step;
            buckets.Add(new LocalBucket(start, end, OffsetAt(zone, start)));
            start = end;
        }

        return buckets;
    }

    private static List<LocalBucket> Fixed(TimeZoneInfo zone, long step, long from, long to)
    {
        var buckets = new List<LocalBucket>();
        for (var start = Floor(from, step); start < to; start += step)
            buckets.Add(new LocalBucket(start, start + step, OffsetAt(zone, start)));
        return buckets;
    }

    /// <summary>Neighbouring quarter-hours with the same key are one bucket. An hour that the clock shows twice is two.</summary>
    private static (long Local, TimeSpan Offset) KeyOf(TimeZoneInfo zone, TrendInterval interval, long time)
    {
        var offset = OffsetAt(zone, time);
        var local = Core.Micros.ToDateTime(time) + offset;
        return interval == TrendInterval.Day
            ? (local.Ticks / TimeSpan.TicksPerDay, TimeSpan.Zero)
            : (local.Ticks / TimeSpan.TicksPerHour, offset);
    }

    private static TimeSpan OffsetAt(TimeZoneInfo zone, long time) => zone.GetUtcOffset(Core.Micros.ToDateTime(time));

    internal static long Floor(long time, long step)
    {
        var rest = time % step;
        return rest < 0 ? time - rest - step : time - rest;
    }
}
