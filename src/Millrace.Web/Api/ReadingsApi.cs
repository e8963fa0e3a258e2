using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>What a device said: its newest reading, and its readings by arrival.</summary>
internal sealed class ReadingsApi(ServerState state)
{
    private const int LimitDefault = 1000;
    private const int LimitMax = 100_000;

    /// <summary>How long a reader waits to see what was durable when it asked.</summary>
    private static readonly TimeSpan OwnWritesWait = TimeSpan.FromMilliseconds(250);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/api/v1/devices/{id}/latest", LatestAsync, new ApiOperation("Readings", "The device's newest reading", Role.Read)
        {
            Query = [new("merge", "true: fields the newest reading lacks are taken from the readings of the hour before it")],
            Answer = "{\"id\",\"time\",\"receivedAt\",\"sequence\",\"partition\",\"data\"}",
        });
        routes.Map("GET", "/api/v1/devices/{id}/history", HistoryAsync, new ApiOperation("Readings", "The device's readings by arrival", Role.Read)
        {
            Query =
            [
                new("from", "Inclusive, ISO 8601 or Unix ms; default 24 hours ago"), new("to", "Exclusive; default now"),
                new("fields", "Only these fields of the data, separated by commas; a dot goes into objects"),
                new("limit", "1 to 100000, default 1000"), new("after", "The 'next' of the answer before"),
                new("order", "receivedAt or time; the log is ordered by arrival and the answer says so"),
            ],
            Answer = "{\"id\",\"order\",\"readings\":[{\"time\",\"receivedAt\",\"sequence\",\"partition\",\"data\"}],\"next\"}; next is null at the end of the range.",
        });
    }

    private async Task LatestAsync(HttpContext context)
    {
        var tenant = context.Who().Tenant;
        var id = Encoding.UTF8.GetBytes(context.DeviceId());
        var record = new ArrayBufferWriter<byte>(1024);
        await CatchUpAsync(tenant, id, context.RequestAborted);
        if (!state.Parts.Latest.TryRead(tenant, id, record, out var place))
        {
            await NoReadingAsync(context);
            return;
        }

        if (context.Query("merge") is "true" or "1")
            await WriteMergedAsync(context, tenant, id, record.WrittenMemory, place);
        else
            await WriteLatestAsync(context, record.WrittenSpan, place);
    }

    private static Task WriteLatestAsync(HttpContext context, ReadOnlySpan<byte> record, ReadingPlace place)
    {
        Begin(context);
        ReadingText.Write(context.Response.BodyWriter, new ReadingRecord(record, place.Sequence, place.ReceivedAt), place.Partition, withId: true);
        return context.Response.BodyWriter.FlushAsync(context.RequestAborted).AsTask();
    }

    private Task WriteMergedAsync(HttpContext context, ushort tenant, byte[] id, ReadOnlyMemory<byte> newest, ReadingPlace place)
    {
        var merged = MergedFields.Collect(state.Parts, tenant, id, newest, place);
        Begin(context);
        merged.Write(context.Response.BodyWriter, newest.Span, place);
        return context.Response.BodyWriter.FlushAsync(context.RequestAborted).AsTask();
    }

    private async Task HistoryAsync(HttpContext context)
    {
        if (!TryRange(context, out var range, out var fault))
        {
            await Problem.BadRequestAsync(context, fault);
            return;
        }

        var tenant = context.Who().Tenant;
        var id = Encoding.UTF8.GetBytes(context.DeviceId());
        if (!IsKnown(tenant, id, context.DeviceId()))
        {
            await NoReadingAsync(context);
            return;
        }

        var fields = FieldFilter.Parse(context.Query("fields"));
        var scan = new DeviceScan(state.Parts.Log, tenant, id, range.From, range.To, range.After);
        Begin(context);
        var output = context.Response.BodyWriter;
        output.Write("{\"id\":"u8);
        ReadingText.WriteString(output, id);
        output.Write(",\"order\":\"receivedAt\",\"readings\":["u8);
        var written = 0;
        using (scan)
        {
            while (written < range.Limit && scan.MoveNextBlock())
            {
                written += WriteBlock(output, scan, range.Limit - written, written > 0, fields);
                // The reader lends its block until the next call, so it is written before anybody waits.
                var flushed = await output.FlushAsync(context.RequestAborted);
                if (flushed.IsCompleted)
                    return;
            }

            output.Write("],\"next\":"u8);
            if (scan.Next is { } next)
                output.Write(Encoding.ASCII.GetBytes($"\"{next}\""));
            else
                output.Write("null"u8);
        }

        output.Write("}"u8);
        await output.FlushAsync(context.RequestAborted);
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

    private bool TryRange(HttpContext context, out (long From, long To, LogPosition? After, int Limit) range, out string fault)
    {
        var now = state.Parts.Time.Now();
        range = default;
        fault = "";
        long from = 0, to = long.MaxValue;
        if (!context.TryLimit(LimitDefault, LimitMax, out var limit))
            fault = "'limit' is not a positive number.";
        else if (context.Query("to") is { } until && !RouteValues.TryTime(until, out to))
            fault = $"'to' is '{until}', neither ISO 8601 nor Unix milliseconds.";
        else if (context.Query("from") is { } since && !RouteValues.TryTime(since, out from))
            fault = $"'from' is '{since}', neither ISO 8601 nor Unix milliseconds.";
        else if (context.Query("interval") is not null || context.Query("aggregate") is not null)
            fault = "'interval' and 'aggregate' need the history archive, which this server does not have.";
        else if ((context.Query("order") ?? "receivedAt") is not ("receivedAt" or "time"))
            fault = $"'order' is '{context.Query("order")}'; it can be receivedAt or time.";
        if (fault.Length > 0)
            return false;

        if (context.Query("from") is null)
            from = Math.Min(now, to) - (24 * 3600 * Micros.PerSecond);
        LogPosition? after = null;
        if (context.Query("after") is { } text)
        {
            if (!LogPosition.TryParse(text, out var position) || position.Partition < 0 || position.Sequence < -1)
            {
                fault = $"'after' is '{text}'; it has to be the 'next' of the answer before.";
                return false;
            }

            after = position;
        }

        range = (from, to, after, limit);
        return true;
    }

    private bool IsKnown(ushort tenant, byte[] id, string text) =>
        state.Parts.Latest.TryRead(tenant, id, new ArrayBufferWriter<byte>(512), out _) || state.Parts.Registry.Find(tenant, text) is not null;

    private async ValueTask CatchUpAsync(ushort tenant, byte[] id, CancellationToken cancel)
    {
        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(tenant, id), state.Parts.Log.PartitionCount);
        var durable = state.Parts.Log.Durable[partition];
        if (state.Parts.Latest.Position[partition] < durable)
            await state.Parts.Latest.ReachAsync(partition, durable, OwnWritesWait, cancel);
    }

    private static void Begin(HttpContext context)
    {
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-store";
    }

    private static Task NoReadingAsync(HttpContext context) =>
        Problem.NotFoundAsync(context, $"There is no reading of a device '{context.DeviceId()}'.", "Send one with POST /api/v1/telemetry, or check the id.");
}
