using System.Text.Json;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Registers;
using Millrace.History.Rollups;
using Millrace.History.Types;

namespace Millrace.History.Queries;

/// <summary>What passed through a register in one bucket.</summary>
public readonly record struct UsePoint(decimal Use, Quality Quality);

/// <summary>The use of a device's registers, and what its readings say about themselves.</summary>
/// <param name="Registers">By field, as many points as there are buckets; missing where no reading reaches.</param>
/// <param name="Readings">Readings of the range; of them <paramref name="Unbalanced"/> broke a declared sum, the first at <paramref name="FirstUnbalanced"/>.</param>
/// <param name="SlotsHeard">Expected intervals with at least one reading.</param>
/// <param name="StoppedBefore">Not everything could be read: buckets that end after this are not whole.</param>
public sealed record DeviceUseTrend(
    SortedDictionary<string, List<UsePoint>> Registers, long Readings, long Unbalanced, long? FirstUnbalanced, long SlotsHeard, long? StoppedBefore, bool IsBehind);

/// <summary>Turns readings of registers into use by interval (docs/registers.md). Thread-safe.</summary>
public sealed class DeviceUse(DeviceReadings readings)
{
    /// <summary>The readings before and after the range that its first and last difference reach to are looked for so far away.</summary>
    private const long Reach = DeviceTrends.LookBack;

    /// <param name="registers">Of the device's type.</param>
    /// <param name="buckets">Of <see cref="LocalBuckets"/>, in order, at least one.</param>
    public DeviceUseTrend Read(
        Device device, DeviceType type, IReadOnlyList<RegisterDefinition> registers, IReadOnlyList<LocalBucket> buckets, TrendInterval interval, ReadBudget budget)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(registers);
        ArgumentNullException.ThrowIfNull(buckets);
        ArgumentNullException.ThrowIfNull(budget);
        var (from, to) = (buckets[0].Start, buckets[^1].End);
        var values = registers.ToDictionary(register => register.Field, _ => new List<RegisterReading>());
        var (count, unbalanced, slots) = (0L, 0L, new HashSet<long>());
        long? firstUnbalanced = null;
        foreach (var reading in readings.Read(device.Tenant, device.Id, from - Reach, to + Reach, budget))
        {
            if (ArchiveOptions.IsSkewed(reading.Time, reading.ReceivedAt, ArchiveOptions.SkewDaysDefault))
                continue;
            using var json = JsonDocument.Parse(reading.Json, new JsonDocumentOptions { MaxDepth = 300 });
            var quality = QualityOf(json.RootElement, type.QualityField);
            foreach (var (field, list) in values)
            {
                if (PayloadField.Number(json.RootElement, field) is { } value)
                    list.Add(new RegisterReading(reading.Time, value, quality));
            }

            if (reading.Time < from || reading.Time >= to)
                continue;
            count++;
            if (type.ExpectedInterval is { } expected)
                slots.Add((reading.Time - from) / expected);
            if (!type.Balances.Any(rule => rule.IsBroken(field => PayloadField.Number(json.RootElement, field))))
                continue;
            unbalanced++;
            firstUnbalanced ??= reading.Time;
        }

        var length = interval == TrendInterval.Minute ? LocalBuckets.Minute : LocalBuckets.QuarterHour;
        var points = new SortedDictionary<string, List<UsePoint>>(StringComparer.Ordinal);
        foreach (var register in registers)
        {
            var steps = RegisterWalk.Walk(register, values[register.Field], MeterExchanges.Of(device.Attributes, register.Field));
            points.Add(register.Field, InBuckets(IntervalUse.Of(steps, register.Resolution, length), buckets));
        }

        return new DeviceUseTrend(points, count, unbalanced, firstUnbalanced, slots.Count, budget.StoppedBefore, budget.IsBehind);
    }

    private static List<UsePoint> InBuckets(List<IntervalValue> intervals, IReadOnlyList<LocalBucket> buckets)
    {
        var points = new List<UsePoint>(buckets.Count);
        var at = 0;
        foreach (var bucket in buckets)
        {
            while (at < intervals.Count && intervals[at].Start < bucket.Start)
                at++;
            var point = new UsePoint(0, Quality.Missing);
            for (; at < intervals.Count && intervals[at].Start < bucket.End; at++)
                point = new UsePoint(point.Use + intervals[at].Use, IntervalUse.Worse(point.Quality, intervals[at].Quality));
            points.Add(point);
        }

        return points;
    }

    private static Quality QualityOf(JsonElement json, string? field)
    {
        if (field is null || PayloadField.Find(json, field) is not { ValueKind: JsonValueKind.String } said)
            return Quality.Measured;
        return said.GetString() switch
        {
            "estimated" => Quality.Estimated,
            "edited" => Quality.Edited,
            "questionable" => Quality.Questionable,
            "missing" => Quality.Missing,
            _ => Quality.Measured,
        };
    }
}

/// <summary>Finds a field of a payload by the name its column has.</summary>
internal static class PayloadField
{
    public static JsonElement? Find(JsonElement json, string field)
    {
        var at = json;
        foreach (var member in FieldNames.Split(field))
        {
            if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(member, out at))
                return null;
        }

        return at;
    }

    public static decimal? Number(JsonElement json, string field) =>
        Find(json, field) is { ValueKind: JsonValueKind.Number } found && found.TryGetDecimal(out var value) ? value : null;
}
