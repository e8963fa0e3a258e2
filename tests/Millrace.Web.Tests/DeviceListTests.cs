using Millrace.Core;
using Millrace.Processing.Latest;
using Millrace.Registry.Alerts;

namespace Millrace.Web.Tests;

public class DeviceListTests
{
    private const string Path = "/api/v1/devices";

    [Fact]
    public async Task Devices_are_listed_by_the_listener_that_heard_them_last()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync(Path + "/import", """[{"id":"never"},{"id":"a"},{"id":"b"}]""");
        await server.Client.PostTextAsync("/api/v1/telemetry", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");

        Assert.Equal(["a", "b"], await IdsAsync(server, "listener=http"));
        Assert.Equal(["b"], await IdsAsync(server, "listener=http&search=B"));
        Assert.Empty(await IdsAsync(server, "listener=udp"));
        Assert.Equal(400, await server.Client.GetAsync($"{Path}?listener=pigeon").StatusAsync());
    }

    [Fact]
    public async Task Devices_with_open_alerts_are_found_and_carry_their_severities()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync(Path + "/import", """[{"id":"a","tags":["north"]},{"id":"b"},{"id":"c"}]""");
        Raise(server, "a", "critical");
        Raise(server, "b", "warning");
        Raise(server, "c", "warning");
        server.Alerts.Clear(0, "warning", "[\"c\"]");

        Assert.Equal(["a", "b"], await IdsAsync(server, "alert=any"));
        Assert.Equal(["b"], await IdsAsync(server, "alert=warning"));
        Assert.Equal(["a"], await IdsAsync(server, "alert=any&tag=north"));
        Assert.Equal(400, await server.Client.GetAsync($"{Path}?alert=mild").StatusAsync());
        var (_, list) = await server.Client.GetAsync(Path).ReadAsync();
        Assert.Equal(["""["critical"]""", """["warning"]""", "[]"], list.GetProperty("devices").EnumerateArray().Select(d => d.GetProperty("alerts").GetRawText()));
    }

    [Fact]
    public async Task Any_place_of_the_list_is_reached_by_skipping_and_the_total_is_told()
    {
        await using var server = await WebServer.StartAsync();
        server.Registry.AddRange(0, [.. Enumerable.Range(0, 40).Select(i => ($"d{i:00}", new DeviceChange(null, null, null, null)))]);

        var (_, page) = await server.Client.GetAsync($"{Path}?limit=5&skip=20").ReadAsync();

        Assert.Equal(40, page.GetProperty("total").GetInt64());
        Assert.Equal("d20", page.GetProperty("devices")[0].Text("id"));
        Assert.Equal(["d26"], await IdsAsync(server, "limit=1&after=d20&skip=5"));
        Assert.Equal(400, await server.Client.GetAsync($"{Path}?skip=1&search=d").StatusAsync());
        Assert.Equal(400, await server.Client.GetAsync($"{Path}?skip=-1").StatusAsync());
    }

    [Fact]
    public async Task The_last_heard_come_first_when_asked_for_page_by_page()
    {
        using var table = new DeviceTable(4, 1000);
        await using var server = await WebServer.StartAsync(devices: table);
        foreach (var id in (string[])["c", "a", "b"])
            await server.Client.PostTextAsync("/api/v1/telemetry", $$"""{"id":"{{id}}"}""");
        foreach (var block in server.Log.Blocks)
            table.Apply(block);

        var (_, first) = await server.Client.GetAsync($"{Path}?sort=-lastSeen&limit=2").ReadAsync();
        var (_, rest) = await server.Client.GetAsync($"{Path}?sort=-lastSeen&limit=2&after={first.Text("next")}").ReadAsync();

        Assert.Equal(["b", "a", "c"], first.GetProperty("devices").EnumerateArray().Concat(rest.GetProperty("devices").EnumerateArray()).Select(d => d.Text("id")));
    }

    [Fact]
    public async Task Small_newest_readings_come_with_the_list_when_asked_for()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", $$"""[{"id":"a","v":1},{"id":"b","v":"{{new string('x', 4000)}}"}]""");
        await server.Client.PostTextAsync(Path + "/import", """[{"id":"a"},{"id":"b"}]""");

        var (_, with) = await server.Client.GetAsync($"{Path}?latest=true").ReadAsync();
        var (_, without) = await server.Client.GetAsync(Path).ReadAsync();

        Assert.Equal(1, with.GetProperty("devices")[0].GetProperty("data").GetProperty("v").GetInt32());
        Assert.False(with.GetProperty("devices")[1].TryGetProperty("data", out _));
        Assert.False(without.GetProperty("devices")[0].TryGetProperty("data", out _));
    }

    private static void Raise(WebServer server, string device, string severity) => server.Alerts.Raise(
        new AlertRule(severity, severity, null, null, AlertRule.DefaultNotifyMaxAge, false),
        new AlertRow(0, "j", $"[\"{device}\"]", device, "m", "{}", Micros.Now(TimeProvider.System), false), []);

    private static async Task<IEnumerable<string>> IdsAsync(WebServer server, string query)
    {
        var (status, page) = await server.Client.GetAsync($"{Path}?{query}").ReadAsync();
        Assert.Equal(200, status);
        return page.GetProperty("devices").EnumerateArray().Select(d => d.Text("id"));
    }
}
