using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>What a device said last.</summary>
internal sealed class ReadingsApi(ServerState state)
{
    /// <summary>How long a reader waits to see what was durable when it asked.</summary>
    private static readonly TimeSpan OwnWritesWait = TimeSpan.FromMilliseconds(250);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/api/v1/devices/{id}/latest", LatestAsync, new ApiOperation("Readings", "The device's newest reading", Role.Read)
        {
            Query = [new("merge", "true: fields the newest reading lacks are taken from the readings of the hour before it")],
            Answer = "{\"id\",\"time\",\"receivedAt\",\"sequence\",\"partition\",\"data\"}",
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
