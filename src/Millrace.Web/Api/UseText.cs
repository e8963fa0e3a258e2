using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Millrace.Core;
using Millrace.History.Queries;
using Millrace.History.Registers;
using Millrace.History.Types;
using Millrace.Web.Hosting;

namespace Millrace.Web.Api;

/// <summary>The use of registers as the API shows it.</summary>
internal static class UseText
{
    public static Task WriteAsync(HttpContext context, string id, TrendQuestion question, DeviceType type, DeviceUseTrend use)
    {
        var buckets = question.Buckets;
        var whole = use.StoppedBefore is { } stop ? buckets.TakeWhile(bucket => bucket.End <= stop).Count() : buckets.Count;
        return Answer.WriteAsync(context, json =>
        {
            json.WriteString("id"u8, id);
            json.WriteString("interval"u8, question.Interval);
            json.WriteStartObject("units"u8);
            foreach (var field in use.Registers.Keys)
                json.WriteString(field, type.RegisterOf(field)!.Unit);
            json.WriteEndObject();
            json.WriteStartArray("points"u8);
            for (var place = 0; place < whole; place++)
                WritePoint(json, buckets[place].Start, use, place);
            json.WriteEndArray();
            WriteChecks(json, type, use, buckets[0].Start, buckets[^1].End);
            json.WriteOptional("next"u8, whole < buckets.Count ? Micros.ToIso(buckets[whole].Start) : null);
            if (use.IsBehind)
                json.WriteBoolean("behind"u8, true);
        });
    }

    /// <summary>{"time","used":1.25,"quality":{"used":"estimated"}}: the quality where it is not measured.</summary>
    private static void WritePoint(Utf8JsonWriter json, long time, DeviceUseTrend use, int place)
    {
        var known = use.Registers.Where(register => register.Value[place].Quality != Quality.Missing).ToList();
        if (known.Count == 0)
            return;

        json.WriteStartObject();
        json.WriteTime("time"u8, time);
        foreach (var (field, points) in known)
            json.WriteNumber(field, points[place].Use);
        var doubtful = known.Where(register => register.Value[place].Quality != Quality.Measured).ToList();
        if (doubtful.Count > 0)
        {
            json.WriteStartObject("quality"u8);
            foreach (var (field, points) in doubtful)
                json.WriteString(field, points[place].Quality.ToString().ToLowerInvariant());
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static void WriteChecks(Utf8JsonWriter json, DeviceType type, DeviceUseTrend use, long from, long to)
    {
        if (type.Balances.Count > 0)
        {
            json.WriteStartObject("balance"u8);
            json.WriteNumber("readings"u8, use.Readings);
            json.WriteNumber("broken"u8, use.Unbalanced);
            if (use.FirstUnbalanced is { } first)
                json.WriteTime("firstBroken"u8, first);
            json.WriteEndObject();
        }

        if (type.ExpectedInterval is not { } interval)
            return;
        var expected = Math.Max(1, (to - from) / interval);
        json.WriteStartObject("completeness"u8);
        json.WriteNumber("expected"u8, expected);
        json.WriteNumber("received"u8, use.SlotsHeard);
        json.WriteNumber("share"u8, Math.Round((double)use.SlotsHeard / expected, 6));
        json.WriteEndObject();
    }
}
