using Microsoft.AspNetCore.Routing;

namespace Millrace.Web.Api;

/// <summary>The one list of what the API has; a new resource is a file and a line here.</summary>
internal static class ApiMap
{
    public static void MapAll(IEndpointRouteBuilder routes, ServerState state)
    {
        new HealthApi(state).Map(routes);
        new TelemetryApi(state).Map(routes);
        new DeviceListApi(state).Map(routes);
        new DevicesApi(state).Map(routes);
        new DeviceImportApi(state).Map(routes);
        new ReadingsApi(state).Map(routes);
        new HistoryApi(state).Map(routes);
        new TrendsApi(state).Map(routes);
        new FieldsApi(state).Map(routes);
        new DeviceStreamApi(state).Map(routes);
        new DeviceTypesApi(state).Map(routes);
        new JobsApi(state).Map(routes);
        new AlertsApi(state).Map(routes);
        new DeadLettersApi(state).Map(routes);
        new TokensApi(state).Map(routes);
        new SessionApi(state).Map(routes);
        new StatusApi(state).Map(routes);
        new EventsApi(state).Map(routes);
        new ActivityApi(state).Map(routes);
        new MetricsApi(state).Map(routes);
        new OpenApiDocument(state).Map(routes);
    }
}
