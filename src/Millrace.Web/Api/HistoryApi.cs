using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.History.Rollups;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>A device's past: its readings, or points for a chart.</summary>
internal sealed class HistoryApi(ServerState state)
{
    private const int LimitDefault = 1000;
    private const int LimitMax = 100_000;

    /// <summary>Fields of one answer when the question names none.</summary>
    private const int FieldsMax = 64;

    /// <summary>Of declared registers there is also the use.</summary>
    private static readonly string[] DeviceAggregates = [.. TrendText.Aggregates, "use"];

    /// <summary>Bytes written before the answer is sent on.</summary>
    private const long FlushBytes = 64 << 10;

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/devices/{id}/history", HistoryAsync, new ApiOperation("Readings", "The device's readings, or points for a chart", Role.Read)
        {
            Query =
            [
                new("from", "Inclusive, ISO 8601 or Unix ms; default 24 hours ago"), new("to", "Exclusive; default now"),
                new("fields", "Only these fields of the data, separated by commas; a dot goes into objects"),
                new("limit", "1 to 100000, default 1000"), new("after", "The 'next' of the answer before"),
                new("order", "time or receivedAt; the answer says which it is. receivedAt looks at what the log still holds"),
                new("interval", "1m, 15m, 1h, 1d or auto: points instead of readings"),
                new("aggregate", $"One or several of {string.Join(", ", TrendText.Aggregates)}; default avg. Or use: of declared registers"),
                new("tz", "The zone whose hours and days are meant, as Europe/Prague; default UTC"),
                new("points", "As many points are enough: peaks are kept"),
            ],
            Answer = "{\"id\",\"order\",\"readings\":[{\"time\",\"receivedAt\",\"sequence\",\"partition\",\"data\"}],\"next\"}; next is null at the end of the range. "
                + "With interval: {\"id\",\"interval\",\"points\":[{\"time\",\"count\",field}],\"next\"}.",
        });

    private async Task HistoryAsync(HttpContext context)
    {
        var isTrend = context.Query("interval") is not null || context.Query("aggregate") is not null || context.Query("points") is not null;
        if (isTrend)
        {
            await PointsAsync(context);
            return;
        }

        if (!TryRange(context, out var range, out var fault))
            await Problem.BadRequestAsync(context, fault);
        else if (!IsKnown(context))
            await NoReadingAsync(context);
        else if (range.Order == "time")
            await ByTimeAsync(context, range);
        else
            await ByArrivalAsync(context, range);
    }

    private async Task PointsAsync(HttpContext context)
    {
        if (!TrendQuestion.TryRead(context, state.Parts.Time, DeviceAggregates, out var question, out var fault))
            await Problem.BadRequestAsync(context, fault);
        else if (question.Aggregates.Contains("use") && question.Aggregates.Count > 1)
            await Problem.BadRequestAsync(context, "'aggregate=use' stands alone: it is the use of declared registers, and the others are of plain values.");
        else if (state.Parts.History is not { } history)
            await Problem.BadRequestAsync(context, "'interval' and 'aggregate' need the history, which this server does not have.");
        else if (!IsKnown(context))
            await NoReadingAsync(context);
        else if (question.Aggregates[0] == "use")
            await UseAsync(context, history, question);
        else
            await WritePointsAsync(context, history, question);
    }

    private async Task UseAsync(HttpContext context, HistoryParts history, TrendQuestion question)
    {
        var (tenant, id) = (context.Who().Tenant, context.DeviceId());
        var device = state.Parts.Registry.Find(tenant, id);
        var type = state.Types.Find(tenant, device?.Type);
        if (device is null || type is null)
        {
            await Problem.BadRequestAsync(
                context, $"The use of '{id}' is not known: {(device?.Type is { } name ? $"its type '{name}' is not declared" : "it has no type")}.",
                "Give the device a type, and declare registers with PUT /api/v1/device-types/{name}.");
            return;
        }

        var asked = FieldFilter.Names(context.Query("fields")) ?? [.. type.Fields.Values.Where(field => field.Register is not null).Select(field => field.Name)];
        if (asked.Length == 0 || asked.FirstOrDefault(field => type.RegisterOf(field) is null) is { } none && none.Length > 0)
        {
            await Problem.BadRequestAsync(
                context, $"The type '{type.Name}' declares no register{(asked.Length == 0 ? "" : $" '{asked.First(field => type.RegisterOf(field) is null)}'")}.",
                "Declare it with PUT /api/v1/device-types/{name}; see docs/registers.md.");
            return;
        }

        var budget = new ReadBudget { AtLeastUntil = question.Buckets[0].End };
        var use = history.Use.Read(device, type, [.. asked.Select(field => type.RegisterOf(field)!)], question.Buckets, question.Kind, budget);
        await UseText.WriteAsync(context, id, question, type, use);
    }

    private static async Task WritePointsAsync(HttpContext context, HistoryParts history, TrendQuestion question)
    {
        var id = context.DeviceId();
        var budget = new ReadBudget { AtLeastUntil = question.Buckets[0].End };
        var trend = history.Trends.Read(
            context.Who().Tenant, id, FieldFilter.Names(context.Query("fields")), question.Buckets, question.Kind, question.Aggregates.Contains("rise"), budget);
        // A bucket that could not be read to its end is left for the next question.
        var whole = trend.StoppedBefore is { } stop ? trend.Buckets.TakeWhile(bucket => bucket.End <= stop).Count() : trend.Buckets.Count;
        var fields = trend.Fields.Take(FieldsMax).ToDictionary(field => field.Key, field => field.Value[..whole]);
        var shown = TrendText.Chosen(fields.Values, question.Aggregates, question.Points);
        await Answer.WriteAsync(context, json =>
        {
            json.WriteString("id"u8, id);
            json.WriteString("interval"u8, question.Interval);
            json.WriteStartArray("points"u8);
            foreach (var place in shown)
            {
                json.WriteStartObject();
                json.WriteTime("time"u8, trend.Buckets[place].Start);
                json.WriteNumber("count"u8, fields.Values.Max(points => points[place].Count));
                foreach (var (field, points) in fields.Where(field => field.Value[place].Count > 0))
                    TrendText.WriteValue(json, field == "count" ? "count%" : field, points[place], question.Aggregates);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteOptional("next"u8, whole < trend.Buckets.Count ? Micros.ToIso(trend.Buckets[whole].Start) : null);
            if (trend.IsBehind)
                json.WriteBoolean("behind"u8, true);
        });
    }

    private async Task ByTimeAsync(HttpContext context, Range range)
    {
        var budget = new ReadBudget();
        var readings = state.Parts.History!.Readings.Read(context.Who().Tenant, context.DeviceId(), Math.Max(range.From, range.After?.Time ?? long.MinValue), range.To, budget);
        var fields = FieldFilter.Parse(context.Query("fields"));
        var output = Begin(context, "time");
        var (written, unsent) = (0, 0L);
        ArchivedReading? last = null;
        var more = false;
        foreach (var reading in readings)
        {
            if (range.After is { } after && !after.IsBefore(reading))
                continue;
            if (written == range.Limit)
            {
                more = true;
                break;
            }

            if (written++ > 0)
                output.Write(","u8);
            ReadingText.Write(output, reading, fields);
            last = reading;
            unsent += reading.Json.Length + 128;
            if (unsent < FlushBytes)
                continue;
            unsent = 0;
            if ((await output.FlushAsync(context.RequestAborted)).IsCompleted)
                return;
        }

        var next = more ? Cursor.At(last!).ToString() : budget.StoppedBefore is { } stop ? Cursor.Before(stop).ToString() : null;
        await EndAsync(context, output, next, budget.IsBehind);
    }

    private async Task ByArrivalAsync(HttpContext context, Range range)
    {
        var id = Encoding.UTF8.GetBytes(context.DeviceId());
        var fields = FieldFilter.Parse(context.Query("fields"));
        using var scan = new DeviceScan(state.Parts.Log, context.Who().Tenant, id, range.From, range.To, range.Place);
        var output = Begin(context, "receivedAt");
        var written = 0;
        while (written < range.Limit && scan.MoveNextBlock())
        {
            written += WriteBlock(output, scan, range.Limit - written, written > 0, fields);
            // The reader lends its block until the next call, so it is written before anybody waits.
            var flushed = await output.FlushAsync(context.RequestAborted);
            if (flushed.IsCompleted)
                return;
        }

        await EndAsync(context, output, scan.Next?.ToString(), isBehind: false);
    }

    private static int WriteBlock(IBufferWriter<byte> output, DeviceScan scan, int limit, bool comma, FieldFilter? fields)
    {
        var written = 0;
        while (written < limit && scan.MoveNext(out var record))
        {
            if (comma || written > 0)
                output.Write(","u8);
            ReadingText.Write(output, in record, scan.Partition, withId: false, fields);
            written++;
        }

        return written;
    }

    private static System.IO.Pipelines.PipeWriter Begin(HttpContext context, string order)
    {
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-store";
        var output = context.Response.BodyWriter;
        output.Write("{\"id\":"u8);
        ReadingText.WriteString(output, Encoding.UTF8.GetBytes(context.DeviceId()));
        output.Write(",\"order\":\""u8);
        output.Write(Encoding.ASCII.GetBytes(order));
        output.Write("\",\"readings\":["u8);
        return output;
    }

    private static Task EndAsync(HttpContext context, System.IO.Pipelines.PipeWriter output, string? next, bool isBehind)
    {
        output.Write("],\"next\":"u8);
        output.Write(next is null ? "null"u8 : Encoding.ASCII.GetBytes($"\"{next}\""));
        if (isBehind)
            output.Write(",\"behind\":true"u8);
        output.Write("}"u8);
        return output.FlushAsync(context.RequestAborted).AsTask();
    }

    private bool TryRange(HttpContext context, out Range range, out string fault)
    {
        var now = state.Parts.Time.Now();
        range = default;
        fault = "";
        long from = 0, to = long.MaxValue;
        var order = context.Query("order") ?? state.Parts.History?.Order ?? "receivedAt";
        if (!context.TryLimit(LimitDefault, LimitMax, out var limit))
            fault = "'limit' is not a positive number.";
        else if (context.Query("to") is { } until && !RouteValues.TryTime(until, out to))
            fault = $"'to' is '{until}', neither ISO 8601 nor Unix milliseconds.";
        else if (context.Query("from") is { } since && !RouteValues.TryTime(since, out from))
            fault = $"'from' is '{since}', neither ISO 8601 nor Unix milliseconds.";
        else if (order is not ("receivedAt" or "time"))
            fault = $"'order' is '{order}'; it can be time or receivedAt.";
        else if (order == "time" && state.Parts.History is null)
            order = "receivedAt";
        if (fault.Length > 0)
            return false;

        if (context.Query("from") is null)
            from = Math.Min(now, to) - (24 * 3600 * Micros.PerSecond);
        range = new Range(from, to, limit, order, null, null);
        if (context.Query("after") is not { } text)
            return true;

        if (order == "time" && Cursor.TryParse(text, out var cursor))
            range = range with { After = cursor };
        else if (order == "receivedAt" && LogPosition.TryParse(text, out var place) && place is { Partition: >= 0, Sequence: >= -1 })
            range = range with { Place = place };
        else
            fault = $"'after' is '{text}'; it has to be the 'next' of the answer before.";
        return fault.Length == 0;
    }

    private bool IsKnown(HttpContext context)
    {
        var (tenant, id) = (context.Who().Tenant, context.DeviceId());
        return state.Parts.Latest.TryRead(tenant, Encoding.UTF8.GetBytes(id), new ArrayBufferWriter<byte>(512), out _) || state.Parts.Registry.Find(tenant, id) is not null;
    }

    private static Task NoReadingAsync(HttpContext context) =>
        Problem.NotFoundAsync(context, $"There is no reading of a device '{context.DeviceId()}'.", "Send one with POST /api/v1/telemetry, or check the id.");

    /// <param name="After">Where to go on by time.</param>
    /// <param name="Place">Where to go on by arrival.</param>
    private readonly record struct Range(long From, long To, int Limit, string Order, Cursor? After, LogPosition? Place);

    /// <summary>The place of a reading in the order of time, as 'next' shows it: time:partition:sequence.</summary>
    private readonly record struct Cursor(long Time, int Partition, long Sequence)
    {
        public static Cursor At(ArchivedReading reading) => new(reading.Time, reading.Partition, reading.Sequence);

        /// <summary>Before every reading of the time.</summary>
        public static Cursor Before(long time) => new(time, -1, -1);

        public static bool TryParse(string text, out Cursor cursor)
        {
            cursor = default;
            var colon = text.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0 || !long.TryParse(text.AsSpan(0, colon), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var time))
                return false;
            var parts = text[(colon + 1)..].Split(':');
            if (parts.Length != 2 || !int.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var partition)
                || !long.TryParse(parts[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var sequence))
            {
                return false;
            }

            cursor = new Cursor(time, partition, sequence);
            return true;
        }

        public bool IsBefore(ArchivedReading reading) => (Time, Partition, Sequence).CompareTo((reading.Time, reading.Partition, reading.Sequence)) < 0;

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Time}:{Partition}:{Sequence}");
    }
}
