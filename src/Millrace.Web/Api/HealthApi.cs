using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;

namespace Millrace.Web.Api;

/// <summary>Whether the process lives, and whether it takes readings.</summary>
internal sealed class HealthApi(ServerState state)
{
    private static readonly byte[] Alive = "{\"status\":\"ok\"}"u8.ToArray();

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/healthz", HealthAsync, new ApiOperation("Operations", "Whether the process lives", Role.None) { Answer = "It lives." });
        routes.Map("GET", "/readyz", ReadyAsync, new ApiOperation("Operations", "Whether readings are taken", Role.None)
        {
            Answer = "Readings are taken; 503 when not, with the reason.",
        });
    }

    private static Task HealthAsync(HttpContext context)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = Alive.Length;
        return context.Response.BodyWriter.WriteAsync(Alive, context.RequestAborted).AsTask();
    }

    private Task ReadyAsync(HttpContext context)
    {
        var log = state.Parts.Log;
        if (log.State == LogState.Accepting && !state.Leaving.IsCancellationRequested)
            return HealthAsync(context);
        return Problem.WriteAsync(
            context, StatusCodes.Status503ServiceUnavailable, "not_ready", "The server takes no readings",
            state.Leaving.IsCancellationRequested ? "It is stopping." : log.StateDetail ?? $"The event log is {log.State.ToString().ToLowerInvariant()}.");
    }
}
