using System.Text.Json;
using Millrace.Core;
using Millrace.Registry.Alerts;

namespace Millrace.Web.Tests;

public class AlertsApiTests
{
    [Fact]
    public async Task Several_alerts_are_acknowledged_at_once_and_what_is_over_is_skipped()
    {
        await using var server = await WebServer.StartAsync();
        foreach (var device in (string[])["a", "b", "c"])
            Raise(server, device);
        server.Alerts.Clear(0, "low", "[\"c\"]");

        var (status, answer) = await server.Client.PostTextAsync("/api/v1/alerts/acknowledge", """{"ids":[1,2,3,99],"note":"crew"}""").ReadAsync();
        var (_, list) = await server.Client.GetAsync("/api/v1/alerts?state=acknowledged").ReadAsync();

        Assert.Equal((200, 2, "[3,99]"), (status, answer.GetProperty("acknowledged").GetInt32(), answer.GetProperty("skipped").GetRawText()));
        Assert.Equal(["crew", "crew"], list.GetProperty("alerts").EnumerateArray().Select(a => a.Text("note")));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"ids":[]}""")]
    [InlineData("""{"ids":["1"]}""")]
    [InlineData("""{"ids":[1.5]}""")]
    [InlineData("""{"ids":[1],"note":5}""")]
    public async Task Wrong_bulk_requests_are_told(string body)
    {
        await using var server = await WebServer.StartAsync();

        Assert.Equal(400, await server.Client.PostTextAsync("/api/v1/alerts/acknowledge", body).StatusAsync());
    }

    [Fact]
    public async Task An_alerts_history_tells_each_step_and_earlier_alerts_of_its_kind()
    {
        await using var server = await WebServer.StartAsync();
        Raise(server, "a");
        server.Alerts.Clear(0, "low", "[\"a\"]");
        Raise(server, "a", "mail");
        Raise(server, "a", "mail");
        await server.Client.PostTextAsync("/api/v1/alerts/2/acknowledge", """{"note":"first"}""");
        await server.Client.PostTextAsync("/api/v1/alerts/2/acknowledge", """{"note":"second"}""");
        server.Alerts.Clear(0, "low", "[\"a\"]");

        var (_, history) = await server.Client.GetAsync("/api/v1/alerts/2/history").ReadAsync();

        var events = history.GetProperty("events").EnumerateArray().ToList();
        Assert.Equal(["raised", "told", "acknowledged", "acknowledged", "cleared"], events.Select(e => e.Text("kind")));
        Assert.Equal(["first", "second"], events.Where(e => e.GetProperty("note").ValueKind == JsonValueKind.String).Select(e => e.Text("note")));
        Assert.Equal("mail", events[1].Text("who"));
        Assert.Equal([1], history.GetProperty("earlier").EnumerateArray().Select(a => a.GetProperty("id").GetInt64()));
        Assert.Equal(404, await server.Client.GetAsync("/api/v1/alerts/77/history").StatusAsync());
    }

    [Fact]
    public async Task Alerts_are_listed_by_severity()
    {
        await using var server = await WebServer.StartAsync();
        Raise(server, "a");
        Raise(server, "b", severity: "critical");

        var (_, list) = await server.Client.GetAsync("/api/v1/alerts?severity=critical").ReadAsync();

        Assert.Equal(["b"], list.GetProperty("alerts").EnumerateArray().Select(a => a.Text("device")));
    }

    private static void Raise(WebServer server, string device, string? channel = null, string severity = "warning") => server.Alerts.Raise(
        new AlertRule("low", severity, null, null, AlertRule.DefaultNotifyMaxAge, false),
        new AlertRow(0, "j", $"[\"{device}\"]", device, "m", "{}", Micros.Now(TimeProvider.System), false), channel is null ? [] : [channel]);
}
