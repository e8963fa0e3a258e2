using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>
/// A device's readings as they become durable, in the order of the log, none missing: whoever comes back with the last id
/// it saw goes on right after it.
/// </summary>
internal sealed class DeviceStreamApi(ServerState state)
{
    private readonly LiveFeed _feed = new(state.Parts.Log, state.Leaving);

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/devices/{id}/stream", StreamAsync, new ApiOperation("Readings", "The device's readings as server-sent events", Role.Read)
        {
            Answer = "Events with the id partition:sequence and data as in latest. Send Last-Event-ID to go on after an event.",
            AnswerType = "text/event-stream",
        });

    private async Task StreamAsync(HttpContext context)
    {
        var deviceId = context.DeviceId();
        if (!RouteValues.IsDeviceId(deviceId))
        {
            await Problem.BadRequestAsync(context, "The id in the path is no device id.");
            return;
        }

        var tenant = context.Who().Tenant;
        var id = Encoding.UTF8.GetBytes(deviceId);
        var log = state.Parts.Log;
        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(tenant, id), log.PartitionCount);
        // Watching begins before the place to start from is read, so that nothing falls between.
        using var watcher = _feed.Watch(tenant, id);
        var sent = log.Durable[partition] - 1;
        var resume = LogPosition.TryParse(context.Request.Headers["Last-Event-ID"].ToString(), out var last) && last.Partition == partition && last.Sequence < sent;
        if (resume)
            sent = last.Sequence;

        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, state.Leaving);
        await EventStream.BeginAsync(context);
        try
        {
            if (resume)
                sent = await CatchUpAsync(context, tenant, id, partition, sent, ending.Token);
            await FollowAsync(context, watcher, tenant, id, partition, sent, ending.Token);
        }
        catch (OperationCanceledException)
        {
            // The browser left, or the server stops; it comes back with the last id.
        }
    }

    private async Task FollowAsync(
        HttpContext context, LiveFeed.Watcher watcher, ushort tenant, byte[] id, int partition, long sent, CancellationToken ending)
    {
        var output = context.Response.BodyWriter;
        var text = new ArrayBufferWriter<byte>(1024);
        var access = new StreamAccess(context, state);
        while (access.Holds())
        {
            if (watcher.TakeBehind())
                sent = await CatchUpAsync(context, tenant, id, partition, sent, ending);
            while (watcher.Readings.TryRead(out var reading))
            {
                // What was left out lies between: it is read from the log first, and this one with it.
                if (watcher.TakeBehind())
                    sent = await CatchUpAsync(context, tenant, id, partition, sent, ending);
                if (reading.Sequence <= sent)
                    continue;
                Write(output, text, new ReadingRecord(reading.Record, reading.Sequence, reading.ReceivedAt), partition);
                sent = reading.Sequence;
            }

            if ((await output.FlushAsync(ending)).IsCompleted)
                return;
            if (!await WaitAsync(watcher, ending))
                output.Write(": \n\n"u8);
        }
    }

    /// <summary>Waits for readings; false when none came for as long as a proxy may be expected to wait.</summary>
    private async ValueTask<bool> WaitAsync(LiveFeed.Watcher watcher, CancellationToken ending)
    {
        var waiting = watcher.Readings.WaitToReadAsync(ending);
        if (waiting.IsCompleted)
            return await waiting;
        var task = waiting.AsTask();
        try
        {
            return await task.WaitAsync(EventStream.KeepAlive, state.Parts.Time, ending);
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private async Task<long> CatchUpAsync(HttpContext context, ushort tenant, byte[] id, int partition, long sent, CancellationToken ending)
    {
        var output = context.Response.BodyWriter;
        var text = new ArrayBufferWriter<byte>(1024);
        var start = state.Parts.Log.Durable.Copy();
        var end = start[partition];
        start[partition] = sent + 1;
        using var reader = state.Parts.Log.OpenReader(start);
        while (sent + 1 < end && reader.TryRead() is { } block)
        {
            if (block.Partition != partition)
                continue;
            foreach (var record in block)
            {
                if (record.Tenant == tenant && record.Sequence > sent && record.Id.SequenceEqual(id))
                    Write(output, text, in record, partition);
            }

            sent = block.NextSequence - 1;
            await output.FlushAsync(ending);
        }

        return sent;
    }

    private static void Write(IBufferWriter<byte> output, ArrayBufferWriter<byte> text, in ReadingRecord record, int partition)
    {
        text.ResetWrittenCount();
        ReadingText.Write(text, in record, partition, withId: true);
        EventStream.Write(output, $"{partition}:{record.Sequence}", null, text.WrittenSpan);
    }
}
