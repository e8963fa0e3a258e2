using Millrace.Testing;

namespace Millrace.Web.Tests;

public class RegisterUseTests
{
    private const string GasMeter = """
        {"fields":{"used":{"label":"Gas","unit":"m³","column":"decimal(9,3)","register":{"digits":5,"resolution":0.001,"maxPerHour":6}}},
         "balance":[{"total":"bought","parts":["left","used"],"tolerance":0.001}],"expectedInterval":"15m","quality":"q"}
        """;

    [Fact]
    public async Task Use_crosses_a_rollover_and_an_exchange_and_an_estimate_never_replaces_a_measurement()
    {
        var (server, start) = await StartAsync("""{"exchanges":[{"time":"2026-01-15T08:30:00Z","field":"used","finalOld":1.5,"firstNew":70}]}""");
        await using var _ = server;
        // 99.0 → 99.9 → (rolls over at 100) 0.5 → 1.0; exchanged at 1.5 for one that begins at 70.
        await SendAsync(server, start, (0, "99.0", ""), (15, "99.9", ""), (30, "0.5", ""), (30, "0.9", "estimated"), (60, "1.0", ""), (120, "70.25", ""));

        var (status, json) = await server.Client.GetAsync(
            "/api/v1/devices/M/history?interval=1h&aggregate=use&from=2026-01-15T06:00:00Z&to=2026-01-15T10:00:00Z").ReadAsync();

        Assert.Equal(200, status);
        Assert.Equal("m³", json.GetProperty("units").Text("used"));
        var points = json.GetProperty("points").EnumerateArray().Select(p => (p.Text("time")[11..16], p.GetProperty("used").GetDecimal())).ToList();
        Assert.Equal([("07:00", 2.0m), ("08:00", 0.75m)], points);
        // Two of 16 expected quarter-hours are heard twice or not at all.
        Assert.Equal((16, 5), (json.GetProperty("completeness").GetProperty("expected").GetInt32(), json.GetProperty("completeness").GetProperty("received").GetInt32()));
    }

    [Fact]
    public async Task A_reset_is_questionable_and_a_gap_is_estimated()
    {
        var (server, start) = await StartAsync(null);
        await using var _ = server;
        await SendAsync(server, start, (0, "10", ""), (15, "11", ""), (30, "3", ""), (45, "3.5", ""), (165, "5.5", ""));

        var (_, json) = await server.Client.GetAsync(
            "/api/v1/devices/M/history?interval=15m&aggregate=use&from=2026-01-15T07:00:00Z&to=2026-01-15T09:00:00Z").ReadAsync();

        var points = json.GetProperty("points").EnumerateArray()
            .Select(p => (p.GetProperty("used").GetDecimal(), p.TryGetProperty("quality", out var quality) ? quality.Text("used") : "measured")).ToList();
        Assert.Equal((1m, "measured"), points[0]);
        Assert.Equal((0m, "questionable"), points[1]);
        Assert.Equal((0.5m, "measured"), points[2]);
        Assert.Equal(Enumerable.Repeat((0.25m, "estimated"), 5), points[3..]);
    }

    [Fact]
    public async Task A_packet_whose_declared_sum_does_not_hold_is_counted_and_its_time_told()
    {
        var (server, start) = await StartAsync(null);
        await using var _ = server;
        var body = string.Concat(Enumerable.Range(0, 6).Select(i =>
            $"{{\"id\":\"M\",\"time\":{start + i * 900},\"bought\":10,\"left\":{10 - i},\"used\":{(i == 3 ? 4 : i)}}}\n"));
        Assert.Equal(200, await server.Client.PostTextAsync("/api/v1/telemetry", body).StatusAsync());

        var (_, json) = await server.Client.GetAsync("/api/v1/devices/M/history?interval=1d&aggregate=use").ReadAsync();

        var balance = json.GetProperty("balance");
        Assert.Equal((6, 1, "2026-01-15T07:45:00.000000Z"),
            (balance.GetProperty("readings").GetInt32(), balance.GetProperty("broken").GetInt32(), balance.Text("firstBroken")));
    }

    [Theory]
    [InlineData("/api/v1/devices/N/history?interval=1h&aggregate=use", "no type")]
    [InlineData("/api/v1/devices/M/history?interval=1h&aggregate=use&fields=left", "no register 'left'")]
    [InlineData("/api/v1/devices/M/history?interval=1h&aggregate=use,max", "alone")]
    public async Task Use_of_what_is_no_register_is_told(string path, string says)
    {
        var (server, start) = await StartAsync(null);
        await using var _ = server;
        await SendAsync(server, start, (0, "1", ""));
        Assert.Equal(200, await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"N","v":1}""").StatusAsync());

        var (status, json) = await server.Client.GetAsync(path).ReadAsync();

        Assert.Equal(400, status);
        Assert.Contains(says, json.Text("detail"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_mistake_of_a_declaration_is_told_at_once_and_what_is_unknown_is_kept()
    {
        await using var server = await WebServer.StartAsync();
        const string wrong = """{"fields":{"a":{"register":{"digits":99,"resolution":0}},"b":{"column":"float"},"c":7},"balance":[{"total":"a"}],"expectedInterval":"soon"}""";

        var (status, json) = await server.Client.PutTextAsync("/api/v1/device-types/gas", wrong).ReadAsync();

        Assert.Equal(400, status);
        var mistakes = json.GetProperty("mistakes").EnumerateArray().Select(m => m.GetString()!).ToList();
        Assert.Equal(6, mistakes.Count);
        Assert.All(["fields.a.register.digits", "fields.a.register.resolution", "fields.b.column", "fields.c", "balance[0]", "expectedInterval"],
            part => Assert.Contains(mistakes, mistake => mistake.StartsWith(part, StringComparison.Ordinal)));

        Assert.Equal(200, await server.Client.PutTextAsync("/api/v1/device-types/gas", """{"colour":"blue","fields":{"a":{"limit":[1]}}}""").StatusAsync());
        var (_, kept) = await server.Client.GetAsync("/api/v1/device-types/gas").ReadAsync();
        Assert.Equal("""{"colour":"blue","fields":{"a":{"limit":[1]}}}""", kept.GetRawText());
    }

    [Fact]
    public async Task A_declaration_put_there_as_a_file_counts()
    {
        var (server, start) = await StartAsync(null);
        await using var _ = server;
        Directory.CreateDirectory(Path.Combine(server.Folder, "device-types"));
        await File.WriteAllTextAsync(Path.Combine(server.Folder, "device-types", "water.json"), """{"fields":{"used":{"register":true,"unit":"l"}}}""");
        server.Registry.Update(0, "M", new(null, "water", null, null));
        await SendAsync(server, start, (0, "5", ""), (15, "7", ""));

        var (_, json) = await server.Client.GetAsync("/api/v1/devices/M/history?interval=1d&aggregate=use").ReadAsync();

        Assert.Equal(2, json.GetProperty("points")[0].GetProperty("used").GetInt32());
        Assert.Equal("l", json.GetProperty("units").Text("used"));
    }

    private static async Task<(WebServer Server, long Start)> StartAsync(string? attributes)
    {
        var time = new ManualTime();
        var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 2, time), time: time, withHistory: true);
        Assert.Equal(200, await server.Client.PutTextAsync("/api/v1/device-types/gas", GasMeter).StatusAsync());
        server.Registry.Add(0, "M", new(null, "gas", null, attributes));
        return (server, new DateTimeOffset(2026, 1, 15, 7, 0, 0, TimeSpan.Zero).ToUnixTimeSeconds());
    }

    private static async Task SendAsync(WebServer server, long start, params (int Minute, string Used, string Quality)[] readings)
    {
        var body = string.Concat(readings.Select(r => $"{{\"id\":\"M\",\"time\":{start + r.Minute * 60},\"used\":{r.Used},\"q\":\"{r.Quality}\"}}\n"));
        Assert.Equal(200, await server.Client.PostTextAsync("/api/v1/telemetry", body).StatusAsync());
    }
}
