using System.Buffers;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The overview as it changes: rates, books, lag, devices, alerts and jobs, twice a second while anybody looks.</summary>
internal sealed class EventsApi(ServerState state)
{
    private readonly OverviewFeed _feed = new(state);

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/events", StreamAsync, new ApiOperation("Operations", "The overview as server-sent events, at most 4 a second", Role.Read)
        {
            Answer = "Events named 'overview': {\"time\",\"startedAt\",\"devices\",\"log\",\"listeners\":[{…,\"perSecond\"}],\"views\":[{\"name\",\"lagReadings\"}],"
                + "\"alerts\":[{\"severity\",\"state\",\"count\"}],\"jobs\":[{\"name\",\"state\",\"rowsIn\",\"rowsOut\",\"bad\",\"lagReadings\",\"lastError\"}]}",
            AnswerType = "text/event-stream",
        });

    private async Task StreamAsync(HttpContext context)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, state.Leaving);
        using var watch = _feed.Begin(context.Who().Tenant);
        var access = new StreamAccess(context, state);
        await EventStream.BeginAsync(context);
        try
        {
            var next = watch.NextAsync(ending.Token);
            context.Response.BodyWriter.Write(watch.Current);
            while (access.Holds() && !(await context.Response.BodyWriter.FlushAsync(ending.Token)).IsCompleted)
            {
                context.Response.BodyWriter.Write(await next);
                next = watch.NextAsync(ending.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The browser left, or the server stops.
        }
    }
}
