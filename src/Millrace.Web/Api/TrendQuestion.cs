using System.Globalization;
using Microsoft.AspNetCore.Http;
using Millrace.Core;
using Millrace.History.Rollups;

namespace Millrace.Web.Api;

/// <summary>What a question for points says: the stretch, how it is cut, and what is shown of each bucket.</summary>
internal sealed class TrendQuestion
{
    /// <summary>Points of one series at most; beyond, a longer interval has to be taken.</summary>
    public const int BucketsMax = 100_000;

    private const int AutomaticPoints = 500;
    private const long DayLength = 24 * 3600 * Micros.PerSecond;

    private static readonly (string Name, TrendInterval Interval, long Length)[] Intervals =
    [
        ("1m", TrendInterval.Minute, LocalBuckets.Minute), ("15m", TrendInterval.QuarterHour, LocalBuckets.QuarterHour),
        ("1h", TrendInterval.Hour, 4 * LocalBuckets.QuarterHour), ("1d", TrendInterval.Day, DayLength),
    ];

    private TrendQuestion(string interval, TrendInterval kind, IReadOnlyList<string> aggregates, IReadOnlyList<LocalBucket> buckets, int? points)
    {
        Interval = interval;
        Kind = kind;
        Aggregates = aggregates;
        Buckets = buckets;
        Points = points;
    }

    /// <summary>1m, 15m, 1h or 1d; what was chosen when the question left it open.</summary>
    public string Interval { get; }

    public TrendInterval Kind { get; }

    public IReadOnlyList<string> Aggregates { get; }

    public IReadOnlyList<LocalBucket> Buckets { get; }

    /// <summary>As many points of a series are enough for the chart; null: all.</summary>
    public int? Points { get; }

    /// <param name="known">The aggregates that can be asked for here.</param>
    public static bool TryRead(HttpContext context, TimeProvider time, IReadOnlyList<string> known, out TrendQuestion question, out string fault)
    {
        question = null!;
        return TryRange(context, time, out var range, out fault) && TryAggregates(context, known, out var aggregates, out fault)
            && TryPoints(context, out var points, out fault) && TryZone(context, out var zone, out fault)
            && TryBuckets(context, range, zone, points, aggregates, out question, out fault);
    }

    /// <summary>The stretch asked for, by default the last 24 hours, within the years that trends can have.</summary>
    private static bool TryRange(HttpContext context, TimeProvider time, out (long From, long To) range, out string fault)
    {
        var now = time.Now();
        var (from, to) = (0L, now);
        range = default;
        fault = "";
        if (context.Query("to") is { } until && !RouteValues.TryTime(until, out to))
            fault = $"'to' is '{until}', neither ISO 8601 nor Unix milliseconds.";
        else if (context.Query("from") is { } since && !RouteValues.TryTime(since, out from))
            fault = $"'from' is '{since}', neither ISO 8601 nor Unix milliseconds.";
        if (fault.Length > 0)
            return false;

        // No reading counts for a time further ahead, and none for one before 1970.
        to = Math.Min(to, now + DayLength);
        from = context.Query("from") is null ? to - DayLength : from;
        range = (Math.Max(from, 0), to);
        if (range.From >= range.To)
            fault = "'from' is not before 'to'.";
        return fault.Length == 0;
    }

    private static bool TryAggregates(HttpContext context, IReadOnlyList<string> known, out string[] aggregates, out string fault)
    {
        aggregates = (context.Query("aggregate") ?? "avg").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var wrong = aggregates.FirstOrDefault(aggregate => !known.Contains(aggregate));
        fault = aggregates.Length == 0 || wrong is not null ? $"'aggregate' is '{wrong}'; it can be one or several of {string.Join(", ", known)}." : "";
        return fault.Length == 0;
    }

    private static bool TryPoints(HttpContext context, out int? points, out string fault)
    {
        points = null;
        fault = "";
        if (context.Query("points") is not { } text)
            return true;
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count is < 4 or > BucketsMax)
            fault = $"'points' is '{text}'; it has to be a number from 4 to {BucketsMax}.";
        points = count;
        return fault.Length == 0;
    }

    private static bool TryZone(HttpContext context, out TimeZoneInfo zone, out string fault)
    {
        zone = TimeZoneInfo.Utc;
        fault = "";
        if (context.Query("tz") is not { } name)
            return true;
        if (TimeZoneInfo.TryFindSystemTimeZoneById(name, out var found))
            zone = found;
        else
            fault = $"'tz' is '{name}'; it has to be a time zone as in Europe/Prague.";
        return fault.Length == 0;
    }

    private static bool TryBuckets(
        HttpContext context, (long From, long To) range, TimeZoneInfo zone, int? points, string[] aggregates, out TrendQuestion question, out string fault)
    {
        question = null!;
        fault = "";
        var asked = context.Query("interval") ?? "auto";
        var wanted = points ?? AutomaticPoints;
        var interval = asked == "auto"
            ? Intervals.FirstOrDefault(i => (range.To - range.From) / i.Length <= wanted, Intervals[^1])
            : Intervals.FirstOrDefault(i => i.Name == asked);
        if (interval.Name is null)
            fault = $"'interval' is '{asked}'; it can be 1m, 15m, 1h, 1d or auto.";
        else if ((range.To - range.From) / interval.Length > BucketsMax)
            fault = $"The range has more than {BucketsMax} intervals of {interval.Name}; take a longer interval, auto, or a shorter range.";
        if (fault.Length > 0)
            return false;

        var buckets = LocalBuckets.Of(zone, interval.Interval, range.From, range.To);
        question = new TrendQuestion(interval.Name!, interval.Interval, aggregates, buckets, points);
        return true;
    }
}
