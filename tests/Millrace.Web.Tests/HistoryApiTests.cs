using System.Text.Json;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Web.Tests;

public class HistoryApiTests
{
    [Fact]
    public async Task Readings_stand_in_the_order_of_their_own_time_across_archive_and_log_and_none_twice()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 2, time), time: time, withHistory: true);
        // Out of order, over three days; two thirds of it lie in files by then, and a stretch of that still in the log as well.
        for (var i = 0; i < 60; i++)
        {
            await SendAsync(server, At("A", 1_768_300_000 + i * 37 % 60 * 1800, $"\"n\":{i * 37 % 60}"));
            if (i is 20 or 40)
                await server.ArchiveAsync();
        }

        List<int> seen = [];
        string? next = null;
        do
        {
            var (status, page) = await server.Client.GetAsync("/api/v1/devices/A/history?from=0&limit=7" + (next is null ? "" : $"&after={next}")).ReadAsync();
            Assert.Equal(200, status);
            Assert.Equal("time", page.Text("order"));
            seen.AddRange(page.GetProperty("readings").EnumerateArray().Select(r => r.GetProperty("data").GetProperty("n").GetInt32()));
            next = page.GetProperty("next").GetString();
        }
        while (next is not null);

        Assert.Equal(Enumerable.Range(0, 60), seen);
    }

    [Fact]
    public async Task Points_of_a_device_hold_what_was_asked_for_of_each_bucket()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 2, time), time: time, withHistory: true);
        var noon = new DateTimeOffset(2026, 1, 15, 10, 0, 0, TimeSpan.Zero).ToUnixTimeSeconds();
        await SendAsync(server, At("A", noon + 60, "\"v\":3,\"deep\":{\"x\":1}"));
        await SendAsync(server, At("A", noon + 30, "\"v\":1"));
        await server.ArchiveAsync();
        await SendAsync(server, At("A", noon + 90, "\"v\":5,\"text\":\"none\""));
        await SendAsync(server, At("A", noon + 1000, "\"v\":4.5"));
        await SendAsync(server, At("A", noon + 4000, "\"v\":7"));

        var (status, json) = await server.Client.GetAsync(
            "/api/v1/devices/A/history?from=2026-01-15T09:00:00Z&to=2026-01-15T12:00:00Z&interval=1h&fields=v&aggregate=count,min,max,avg,first,last,sum,rise").ReadAsync();
        var (_, single) = await server.Client.GetAsync("/api/v1/devices/A/history?from=2026-01-15T10:00:00Z&interval=15m&aggregate=max").ReadAsync();

        Assert.Equal(200, status);
        Assert.Equal("""{"id":"A","interval":"1h","points":[{"time":"2026-01-15T10:00:00.000000Z","count":4,"v":{"min":1,"max":5,"avg":3.375,"first":1,"last":4.5,"sum":13.5,"rise":4}},{"time":"2026-01-15T11:00:00.000000Z","count":1,"v":{"min":7,"max":7,"avg":7,"first":7,"last":7,"sum":7,"rise":2.5}}],"next":null}""",
            json.GetRawText());
        Assert.Equal("""[{"time":"2026-01-15T10:00:00.000000Z","count":3,"deep.x":1,"v":5},{"time":"2026-01-15T10:15:00.000000Z","count":1,"v":4.5},{"time":"2026-01-15T11:00:00.000000Z","count":1,"v":7}]""",
            single.GetProperty("points").GetRawText());
    }

    [Theory]
    [InlineData("Europe/Prague", "2026-03-29", 23)]
    [InlineData("Europe/Prague", "2026-10-25", 25)]
    [InlineData("America/New_York", "2026-03-08", 23)]
    [InlineData("Asia/Kathmandu", "2026-05-01", 24)]
    [InlineData("Europe/Prague", "2028-02-29", 24)]
    public async Task A_local_day_of_the_api_has_the_hours_of_its_clock(string zone, string day, int hours)
    {
        var time = new ManualTime();
        var midnight = new DateTimeOffset(TimeZoneInfo.ConvertTimeToUtc(DateTime.Parse(day), TimeZoneInfo.FindSystemTimeZoneById(zone)));
        time.Set(midnight.AddHours(30));
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 2, time), time: time, withHistory: true);
        for (var hour = -1; hour <= 25; hour++)
            await SendAsync(server, At("A", midnight.AddHours(hour).ToUnixTimeSeconds(), "\"v\":1"));

        var query = $"interval=1d&aggregate=sum&tz={zone}&from={midnight.ToUnixTimeMilliseconds()}&to={midnight.ToUnixTimeMilliseconds() + 1}";
        var (_, device) = await server.Client.GetAsync("/api/v1/devices/A/history?" + query).ReadAsync();
        var (_, fleet) = await server.Client.GetAsync("/api/v1/trends?field=v&" + query).ReadAsync();

        Assert.Equal(hours, Assert.Single(device.GetProperty("points").EnumerateArray()).GetProperty("v").GetInt32());
        Assert.Equal(hours, Assert.Single(fleet.GetProperty("series")[0].GetProperty("points").EnumerateArray()).GetProperty("value").GetInt32());
    }

    [Fact]
    public async Task Trends_are_there_for_the_fleet_each_type_and_each_tag_with_how_many_devices_reported()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 2, time), time: time, withHistory: true);
        server.Registry.Add(0, "A", new DeviceChange(null, "gas", ["north", "new"], null));
        server.Registry.Add(0, "B", new DeviceChange(null, "gas", ["south"], null));
        server.Registry.Add(0, "C", new DeviceChange(null, "gas", null, null));
        await SendAsync(server, "{\"id\":\"A\",\"v\":1}\n{\"id\":\"B\",\"v\":2}\n{\"id\":\"D\",\"v\":9}\n{\"id\":\"A\",\"v\":3}\n");
        server.Registry.Update(0, "B", new DeviceChange(null, "water", null, null));
        await SendAsync(server, "{\"id\":\"B\",\"v\":7}\n");

        Assert.Equal("""[{"group":null,"devices":{"reported":3,"known":3,"share":1},"points":[{"time":"2026-01-15T00:00:00.000000Z","count":5,"value":4.4}]}]""", await SeriesAsync(server, ""));
        Assert.Equal(
            """[{"group":"","devices":{"reported":1,"known":1,"share":1},"points":[{"time":"2026-01-15T00:00:00.000000Z","count":1,"value":9}]},{"group":"gas","devices":{"reported":1,"known":2,"share":0.5},"points":[{"time":"2026-01-15T00:00:00.000000Z","count":3,"value":2}]},{"group":"water","devices":{"reported":1,"known":1,"share":1},"points":[{"time":"2026-01-15T00:00:00.000000Z","count":1,"value":7}]}]""",
            await SeriesAsync(server, "&group=type"));
        Assert.Equal(
            """["new","north","south"]""",
            JsonSerializer.Serialize(JsonDocument.Parse(await SeriesAsync(server, "&group=tag")).RootElement.EnumerateArray().Select(s => s.Text("group"))));
    }

    [Fact]
    public async Task A_field_that_changes_its_type_keeps_its_readings_and_the_trend_of_its_numbers()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 2, time), time: time, withHistory: true);
        foreach (var value in new[] { "\"warming up\"", "1", "[2]", "3", "null", "true", "{\"v\":4}", "9007199254740993" })
        {
            await SendAsync(server, $"{{\"id\":\"A\",\"v\":{value}}}");
            await server.ArchiveAsync();
        }

        var (_, raw) = await server.Client.GetAsync("/api/v1/devices/A/history").ReadAsync();
        var (_, device) = await server.Client.GetAsync("/api/v1/devices/A/history?interval=1d&fields=v&aggregate=count,min").ReadAsync();
        var (_, fleet) = await server.Client.GetAsync("/api/v1/trends?field=v&interval=1d&aggregate=min").ReadAsync();

        Assert.Equal(
            ["\"warming up\"", "1", "[2]", "3", "null", "true", "{\"v\":4}", "9007199254740993"],
            raw.GetProperty("readings").EnumerateArray().Select(r => r.GetProperty("data").GetProperty("v").GetRawText()));
        Assert.Equal((3, 1), (device.GetProperty("points")[0].GetProperty("count").GetInt32(), device.GetProperty("points")[0].GetProperty("v").GetProperty("min").GetInt32()));
        var point = fleet.GetProperty("series")[0].GetProperty("points")[0];
        Assert.Equal((3, 1), (point.GetProperty("count").GetInt32(), point.GetProperty("value").GetInt32()));
    }

    [Fact]
    public async Task A_chart_gets_as_many_points_as_it_asks_for_and_the_peaks_among_them()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 2, time), time: time, withHistory: true);
        var start = time.GetUtcNow().AddHours(-10).ToUnixTimeSeconds();
        await SendAsync(server, string.Concat(Enumerable.Range(0, 600).Select(i => At("A", start + i * 60, $"\"v\":{(i == 333 ? 1000 : i == 444 ? -1000 : i % 7)}") + "\n")));

        foreach (var path in new[] { "/api/v1/devices/A/history?interval=1m&aggregate=avg&points=20", "/api/v1/trends?field=v&interval=1m&points=20" })
        {
            var (_, json) = await server.Client.GetAsync(path).ReadAsync();
            var points = json.TryGetProperty("series", out var series) ? series[0].GetProperty("points") : json.GetProperty("points");
            var values = points.EnumerateArray().Select(p => p.GetProperty(json.TryGetProperty("series", out _) ? "value" : "v").GetDouble()).ToList();

            Assert.InRange(values.Count, 4, 20);
            Assert.Contains(1000, values);
            Assert.Contains(-1000, values);
        }
    }

    [Theory]
    [InlineData("/api/v1/devices/A/history?interval=2h")]
    [InlineData("/api/v1/devices/A/history?interval=1h&aggregate=median")]
    [InlineData("/api/v1/devices/A/history?interval=1h&tz=Mars/Olympus")]
    [InlineData("/api/v1/devices/A/history?interval=1h&points=2")]
    [InlineData("/api/v1/devices/A/history?interval=1m&from=1970-01-01T00:00:00Z")]
    [InlineData("/api/v1/devices/A/history?interval=1h&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z")]
    [InlineData("/api/v1/devices/A/history?after=5:1")]
    [InlineData("/api/v1/trends")]
    [InlineData("/api/v1/trends?field=v&group=colour")]
    [InlineData("/api/v1/trends?field=v&aggregate=rise")]
    [InlineData("/api/v1/trends?field=v&from=yesterday")]
    public async Task Wrong_questions_are_told_what_is_wrong(string path)
    {
        await using var server = await WebServer.StartAsync(withHistory: true);
        await SendAsync(server, """{"id":"A","v":1}""");

        var (status, json) = await server.Client.GetAsync(path).ReadAsync();

        Assert.Equal(400, status);
        Assert.Contains("'", json.Text("detail") + "'", StringComparison.Ordinal);
    }

    private static string At(string id, long seconds, string members) => $"{{\"id\":\"{id}\",\"time\":{seconds},{members}}}";

    private static async Task<string> SeriesAsync(WebServer server, string query)
    {
        var (status, json) = await server.Client.GetAsync("/api/v1/trends?field=v&interval=1d" + query).ReadAsync();
        Assert.Equal(200, status);
        return json.GetProperty("series").GetRawText();
    }

    private static async Task SendAsync(WebServer server, string body)
    {
        Assert.Equal(200, await server.Client.PostTextAsync("/api/v1/telemetry", body).StatusAsync());
        await server.FollowAsync();
    }
}
