using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

namespace Millrace.Commands.Simulate;

/// <summary>
/// Queries over the demo fleet, so that a newcomer sees rows and alerts at once. Made through the API as a user would; nothing is
/// made where there are jobs already.
/// </summary>
internal static class DemoJobs
{
    private static readonly (string Name, object Definition)[] Jobs =
    [
        ("low-credit", new
        {
            query = """
                -- Raised below 60 m³, cleared above 70: a meter between the two changes nothing.
                SELECT originData.app.moteeui AS id, userData.[left] AS remaining
                INTO low
                FROM telemetry
                WHERE userData.[left] < 60

                SELECT originData.app.moteeui AS id
                INTO fine
                FROM telemetry
                WHERE userData.[left] > 70
                """,
            outputs = new Dictionary<string, object>
            {
                ["low"] = new { kind = "alert", rule = "low-credit", key = new[] { "id" }, severity = "warning", message = "{id} has {remaining} m³ left" },
                ["fine"] = new Dictionary<string, object> { ["kind"] = "alert-clear", ["rule"] = "low-credit", ["key"] = new[] { "id" } },
            },
        }),
        ("high-reading", new
        {
            query = """
                SELECT id, value
                INTO high
                FROM telemetry
                WHERE value >= 40 AND id NOT LIKE 'water-%'
                """,
            outputs = new Dictionary<string, object>
            {
                ["high"] = new { kind = "alert", rule = "high-reading", key = new[] { "id" }, severity = "info", message = "{id} reads {value}", clearAfter = "2m" },
            },
        }),
        ("fleet-by-minute", new
        {
            query = """
                SELECT System.Timestamp() AS until, COUNT(*) AS readings, AVG(value) AS mean
                INTO minutes
                FROM telemetry
                GROUP BY TumblingWindow(minute, 1)
                """,
        }),
    ];

    public static async Task MakeAsync(IPEndPoint? http, string? token, CancellationToken cancel)
    {
        if (http is null)
            return;
        using var client = new HttpClient { BaseAddress = new Uri($"http://{new IPEndPoint(DemoFleet.Reachable(http.Address), http.Port)}") };
        if (token is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        var held = await client.GetFromJsonAsync<JsonElement>("/api/v1/jobs", cancel);
        if (held.GetProperty("jobs").GetArrayLength() > 0)
            return;
        foreach (var (name, definition) in Jobs)
        {
            using var response = await client.PutAsJsonAsync($"/api/v1/jobs/{name}", definition, cancel);
            response.EnsureSuccessStatusCode();
        }
    }
}
