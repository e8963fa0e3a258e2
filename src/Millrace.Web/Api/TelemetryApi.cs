using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Web.Hosting;

namespace Millrace.Web.Api;

/// <summary>Readings come in.</summary>
internal sealed class TelemetryApi(ServerState state)
{
    private const string Answer = "What was taken is on stable storage: {\"accepted\":n,\"rejected\":[{\"index\",\"reason\"}]}. 400 when all are bad.";

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("POST", "/api/v1/telemetry", context => state.Telemetry.PostAsync(context, null), new ApiOperation("Telemetry", "Send readings", Role.None)
        {
            Body = BodyKind.Telemetry,
            Answer = Answer,
            Example = """{"id":"AABB01","time":"2026-01-15T12:00:00Z","value":20.5}""",
        });
        routes.Map(
            "POST", "/api/v1/devices/{id}/telemetry", context => state.Telemetry.PostAsync(context, context.DeviceId()),
            new ApiOperation("Telemetry", "Send readings of one device", Role.None)
            {
                Body = BodyKind.Telemetry,
                Answer = Answer,
                Example = """{"value":20.5}""",
            });
    }
}
