using System.Globalization;
using System.Text;
using Millrace.Testing;

namespace Millrace.BrowserTests;

/// <summary>A small utility with meters, queries, alerts and rejected readings, so that every page has something to show.</summary>
internal static class SampleData
{
    private const int Meters = 60;
    private static readonly string[] ById = ["id"];
    private static readonly string[] Types = ["gas-meter-4", "gas-meter-6"];
    private static readonly string[] Places = ["north", "south", "harbour", "old-town"];

    /// <summary>Every page with a selector of what it shows once it is filled.</summary>
    public static IReadOnlyList<(string Path, string Ready)> Pages { get; } =
    [
        ("/", ".ledger tbody tr"), ("/devices", ".virtual tbody tr a"), ("/devices/gas-0007", ".values dd"), ("/trends", "h1"), ("/alerts", "table.alerts tbody tr"),
        ("/alerts?alert=1", ".timeline li"), ("/jobs", "tbody tr a"), ("/jobs/new", ".editor textarea"), ("/jobs/low-credit", ".facts dd"), ("/dead-letters", ".letters li"),
        ("/settings", ".facts dd"), ("/no/such/page", "h1"),
    ];

    /// <summary>The pages worth a picture, by name.</summary>
    public static IReadOnlyList<(string Name, string Path, string Ready)> Pictures { get; } =
    [
        ("overview", "/", ".ledger tbody tr"), ("devices", "/devices", ".virtual tbody tr a"), ("device", "/devices/gas-0027", ".chart canvas"),
        ("trends", "/trends?field=flow&group=type&compare=span&range=6h", ".chart canvas"), ("alerts", "/alerts", "table.alerts tbody tr"),
        ("jobs", "/jobs", "tbody tr a"), ("stream-sql", "/jobs/low-credit", ".editor textarea"), ("dead-letters", "/dead-letters", ".letters li"), ("settings", "/settings", ".facts dd"),
    ];

    public static async Task FillAsync(ServerProcess server)
    {
        await server.PostAsync("/api/v1/devices/import", Register(), "text/csv");
        foreach (var type in Types)
        {
            await server.PutAsync($"/api/v1/device-types/{type}", new
            {
                fields = new { register = new { unit = "m³", register = new { digits = 8, resolution = 0.001, maxPerHour = 10 } }, credit = new { unit = "m³" } },
                expectedInterval = "15m",
            });
        }

        await server.PutAsync("/api/v1/jobs/low-credit", new
        {
            query = "-- Low credit\nSELECT id, credit INTO low FROM telemetry WHERE credit < 20\n",
            startFrom = "beginning",
            outputs = new { low = new { kind = "alert", rule = "low-credit", key = ById, severity = "critical", message = "{id} has {credit} m³ left" } },
        });
        await server.PutAsync("/api/v1/jobs/cold", new
        {
            query = "SELECT id, temperature INTO cold FROM telemetry WHERE temperature < 3.2",
            startFrom = "beginning",
            outputs = new { cold = new { kind = "alert", rule = "cold", key = ById, severity = "warning", message = "{id} is at {temperature} °C" } },
        });
        await server.PutAsync("/api/v1/jobs/by-minute", new
        {
            query = "SELECT System.Timestamp() AS until, COUNT(*) AS readings, AVG(flow) AS flow INTO minutes FROM telemetry GROUP BY TumblingWindow(minute, 1)",
            startFrom = "beginning",
        });
        await server.PostAsync("/api/v1/telemetry", Readings(DateTimeOffset.UtcNow), "application/x-ndjson");
        // Two of three cannot be taken, so the answer is not looked at.
        using var refused = new StringContent("{\"id\":\"gas-0001\",\"flow\":1}\nnot json at all\n{\"flow\":2}\n", Encoding.UTF8, "application/x-ndjson");
        using var answer = await server.Http.PostAsync("/api/v1/telemetry", refused);
        await server.MakeTokenAsync("control room", "operate");
        await server.UntilAsync("/api/v1/alerts?state=open", a => a.GetProperty("alerts").GetArrayLength() > 3);
        await server.PostAsync("/api/v1/alerts/acknowledge", """{"ids":[1],"note":"crew is on its way"}""");
        await server.UntilAsync("/api/v1/dead-letters", d => d.GetProperty("deadLetters").GetArrayLength() == 2);
    }

    private static string Register()
    {
        var csv = new StringBuilder("id,name,type,tags\n");
        for (var i = 0; i < Meters; i++)
            csv.Append(CultureInfo.InvariantCulture, $"gas-{i:0000},{Places[i % 4]} {100 + i},{Types[i % 3 == 0 ? 0 : 1]},{Places[i % 4]}{(i % 7 == 0 ? ";prepaid" : "")}\n");
        return csv.ToString();
    }

    /// <summary>A day of every meter in quarter-hours: a curve with a morning and an evening, and a register that counts.</summary>
    private static string Readings(DateTimeOffset now)
    {
        var lines = new StringBuilder();
        for (var meter = 0; meter < Meters; meter++)
        {
            var register = 1000.0 + (meter * 37);
            for (var quarter = 96; quarter >= 0; quarter--)
            {
                var at = now.AddMinutes(-15 * quarter);
                var hour = at.Hour + (at.Minute / 60.0);
                var flow = 0.15 + Math.Max(0, Math.Sin((hour - 5) / 24 * 4 * Math.PI)) * (0.6 + (meter % 5 * 0.12)) + (((meter * 31) + (quarter * 17)) % 23 * 0.004);
                register += flow / 4;
                lines.Append(
                    CultureInfo.InvariantCulture,
                    $$"""{"id":"gas-{{meter:0000}}","time":"{{at:yyyy-MM-ddTHH:mm:ssZ}}","flow":{{flow:0.000}},"register":{{register:0.000}},"credit":{{Math.Max(1, 400 - (meter * 7) - ((96 - quarter) * 0.2)):0.0}},"temperature":{{6 + (4 * Math.Sin(hour / 24 * 2 * Math.PI)) + (meter % 4):0.0}},"battery":{{97 - (meter % 13)}},"radio":{"gateway":"gw-{{meter % 6}}","rssi":{{-62 - (meter % 50)}},"snr":{{9 - (meter % 7)}},"datarate":"SF{{7 + (meter % 6)}}BW125"},"valve":"{{(meter % 9 == 0 && quarter < 20 ? "shut" : "open")}}"}""");
                lines.Append('\n');
            }
        }

        return lines.ToString();
    }
}
