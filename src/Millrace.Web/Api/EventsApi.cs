using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The overview as it changes: rates, books, lag and devices, twice a second while anybody looks.</summary>
internal sealed class EventsApi(ServerState state)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/events", StreamAsync, new ApiOperation("Operations", "The overview as server-sent events, at most 4 a second", Role.Read)
        {
            Answer = "Events named 'overview': {\"time\",\"devices\",\"log\",\"listeners\":[{…,\"perSecond\"}],\"views\":[{\"name\",\"lagReadings\"}]}",
            AnswerType = "text/event-stream",
        });

    private async Task StreamAsync(HttpContext context)
    {
        var tenant = context.Who().Tenant;
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, state.Leaving);
        using var timer = new PeriodicTimer(Interval, state.Parts.Time);
        var data = new ArrayBufferWriter<byte>(2048);
        var before = Stored();
        var beforeAt = state.Parts.Time.GetTimestamp();
        await EventStream.BeginAsync(context);
        try
        {
            do
            {
                var seconds = state.Parts.Time.GetElapsedTime(beforeAt).TotalSeconds;
                beforeAt = state.Parts.Time.GetTimestamp();
                data.ResetWrittenCount();
                Write(data, tenant, before, seconds);
                before = Stored();
                EventStream.Write(context.Response.BodyWriter, null, "overview", data.WrittenSpan);
                var flushed = await context.Response.BodyWriter.FlushAsync(ending.Token);
                if (flushed.IsCompleted)
                    return;
            }
            while (await timer.WaitForNextTickAsync(ending.Token));
        }
        catch (OperationCanceledException)
        {
            // The browser left, or the server stops.
        }
    }

    private long[] Stored() => [.. state.Parts.Ledgers.Select(l => l.Stored)];

    private void Write(IBufferWriter<byte> output, ushort tenant, long[] before, double seconds)
    {
        var parts = state.Parts;
        var durable = parts.Log.Durable;
        using var json = new Utf8JsonWriter(output, JsonText.WriterOptions);
        json.WriteStartObject();
        json.WriteTime("time"u8, parts.Time.Now());
        json.WriteNumber("devices"u8, parts.Registry.Count(tenant));
        json.WriteString("log"u8, parts.Log.State.ToString().ToLowerInvariant());
        json.WriteStartArray("listeners"u8);
        for (var i = 0; i < parts.Ledgers.Count; i++)
        {
            var ledger = parts.Ledgers[i];
            json.WriteStartObject();
            BookText.Write(json, ledger);
            json.WriteNumber("perSecond"u8, seconds > 0 ? Math.Round((ledger.Stored - before[i]) / seconds, 1) : 0);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("views"u8);
        foreach (var view in parts.Views())
        {
            json.WriteStartObject();
            json.WriteString("name"u8, view.Name);
            json.WriteString("state"u8, view.State);
            json.WriteNumber("lagReadings"u8, view.Position.LagBehind(durable));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
