using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;

namespace Millrace.Web.Hosting;

/// <summary>What a body may be; the guard and the API document both go by it.</summary>
internal enum BodyKind
{
    None,
    Json,

    /// <summary>JSON or text/csv.</summary>
    JsonOrCsv,

    /// <summary>Readings: the telemetry endpoint sees to type and sender itself, since it is hot.</summary>
    Telemetry,
}

/// <summary>One parameter of the query, for the API document.</summary>
internal readonly record struct QueryParameter(string Name, string Meaning);

/// <summary>
/// What a route does, who may call it and what it takes. Attached to the route, so that guard and API document cannot
/// disagree with the code.
/// </summary>
/// <param name="Needs">The least role; <see cref="Role.None"/> is open to everybody.</param>
internal sealed record ApiOperation(string Tag, string Summary, Role Needs)
{
    public BodyKind Body { get; init; }

    public IReadOnlyList<QueryParameter> Query { get; init; } = [];

    public string Answer { get; init; } = "Done.";

    public string AnswerType { get; init; } = "application/json";

    public int Status { get; init; } = StatusCodes.Status200OK;

    /// <summary>A JSON example of the body, for the API document.</summary>
    public string? Example { get; init; }
}

internal static class ApiRoutes
{
    /// <summary>Maps one route with what it needs and does.</summary>
    public static void Map(this IEndpointRouteBuilder routes, string method, string pattern, RequestDelegate handler, ApiOperation operation) =>
        routes.MapMethods(pattern, [method], handler).WithMetadata(operation);
}
