using System.Text.Json;
using System.Text.RegularExpressions;
using Millrace.Core;

namespace Millrace.Web.Tests;

public class OperationsTests
{
    [Fact]
    public async Task Readiness_follows_the_log()
    {
        await using var server = await WebServer.StartAsync();

        Assert.Equal(200, await server.Client.GetAsync("/readyz").StatusAsync());
        server.Log.State = LogState.Failed;
        Assert.Equal(503, await server.Client.GetAsync("/readyz").StatusAsync());
        Assert.Equal(200, await server.Client.GetAsync("/healthz").StatusAsync());
    }

    [Fact]
    public async Task Metrics_balance_and_carry_the_promised_names()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", "{\"id\":\"A\"}\nbad\n");

        var text = await server.Client.GetStringAsync("/metrics");

        double Sum(string name, string labels) => Regex.Matches(text, $"^{name}\\{{{labels}[^}}]*\\}} (\\S+)$", RegexOptions.Multiline)
            .Sum(m => double.Parse(m.Groups[1].Value));
        Assert.Equal(2, Sum("millrace_readings_received_total", "listener=\"http\""));
        Assert.Equal(1, Sum("millrace_readings_stored_total", "listener=\"http\""));
        Assert.Equal(1, Sum("millrace_readings_rejected_total", "listener=\"http\",reason=\"invalid_json\""));
        Assert.Equal(1, Sum("millrace_readings_rejected_total", "listener=\"http\""));
        Assert.Equal(0, Sum("millrace_readings_dropped_total", "listener=\"http\""));
        Assert.Equal(0, Sum("millrace_readings_in_flight", "listener=\"http\""));
        Assert.Equal(1, Sum("millrace_log_durable_sequence", "partition="));
        Assert.Contains("millrace_view_lag_readings{view=\"latest\"} 0", text, StringComparison.Ordinal);
        Assert.Contains("millrace_view_skipped_readings_total{view=\"latest\"} 0", text, StringComparison.Ordinal);
        Assert.All(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Matches("^(# (HELP|TYPE) [a-z_]+ .*|[a-z_]+(\\{[^}]*\\})? [-+0-9.eEInfNa]+)$", line));
        Assert.Equal(text.Split('\n').Count(l => l.StartsWith("# TYPE", StringComparison.Ordinal)), text.Split('\n').Where(l => l.StartsWith("# TYPE", StringComparison.Ordinal)).Distinct().Count());
    }

    [Fact]
    public async Task Instruments_of_the_programs_meter_are_shown()
    {
        await using var server = await WebServer.StartAsync();
        using var meter = new System.Diagnostics.Metrics.Meter("Millrace");
        var histogram = meter.CreateHistogram(
            "millrace_test_seconds", "s", "A test.", advice: new System.Diagnostics.Metrics.InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 1] });
        var counter = meter.CreateCounter<long>("millrace.test.events_total");

        histogram.Record(0.1);
        histogram.Record(5);
        counter.Add(3, new KeyValuePair<string, object?>("kind", "a\"b"));
        var text = await server.Client.GetStringAsync("/metrics");

        Assert.Contains("millrace_test_seconds_bucket{le=\"0.1\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("millrace_test_seconds_bucket{le=\"1\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("millrace_test_seconds_bucket{le=\"+Inf\"} 2\n", text, StringComparison.Ordinal);
        Assert.Contains("millrace_test_seconds_count 2\n", text, StringComparison.Ordinal);
        Assert.Contains("millrace_test_events_total{kind=\"a\\\"b\"} 3\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Status_tells_how_the_server_stands()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"A"}""");

        var (status, json) = await server.Client.GetAsync("/api/v1/status").ReadAsync();

        Assert.Equal(200, status);
        Assert.Equal(server.HttpEndpoint, json.GetProperty("endpoints").Text("http"));
        Assert.Equal("accepting", json.GetProperty("log").Text("state"));
        Assert.Equal(1, json.GetProperty("listeners")[0].GetProperty("stored").GetInt64());
        Assert.Equal("latest", json.GetProperty("views")[0].Text("name"));
        Assert.True(json.GetProperty("disk").GetProperty("freeBytes").GetInt64() > 0);
    }

    [Fact]
    public async Task The_overview_comes_as_events()
    {
        await using var server = await WebServer.StartAsync();
        using var events = await EventReader.OpenAsync(server.Client, "/api/v1/events");

        var first = await events.NextAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"A"}""");
        var stored = 0L;
        while (stored == 0)
            stored = (await events.NextAsync()).Data.GetProperty("listeners")[0].GetProperty("stored").GetInt64();

        Assert.Equal("overview", first.Name);
        Assert.Equal(1, stored);
    }

    [Fact]
    public async Task The_api_document_names_every_route()
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.GetAsync("/openapi/v1.json").ReadAsync();

        var paths = json.GetProperty("paths");
        Assert.Equal((200, "3.1.0"), (status, json.Text("openapi")));
        foreach (var (method, path) in new[]
        {
            ("post", "/api/v1/telemetry"), ("post", "/api/v1/devices/{id}/telemetry"), ("get", "/api/v1/devices"), ("post", "/api/v1/devices/import"),
            ("delete", "/api/v1/devices/{id}"), ("get", "/api/v1/devices/{id}/latest"), ("get", "/api/v1/devices/{id}/history"),
            ("get", "/api/v1/devices/{id}/stream"), ("get", "/api/v1/dead-letters"), ("post", "/api/v1/dead-letters/redrive"), ("put", "/api/v1/device-types/{name}"),
            ("post", "/api/v1/tokens"), ("delete", "/api/v1/session"), ("get", "/api/v1/events"), ("get", "/metrics"),
        })
        {
            Assert.True(paths.GetProperty(path).TryGetProperty(method, out var operation), $"{method} {path}");
            Assert.NotEmpty(operation.Text("summary"));
        }
    }

    [Fact]
    public async Task What_came_without_a_token_is_driven_again_only_when_it_is_named()
    {
        await using var server = await WebServer.StartAsync();
        server.DeadLetters.Keep(ListenerId.Udp, RejectReason.Unauthenticated, 0, "M1", null, "M1:20"u8);
        server.DeadLetters.Keep(ListenerId.Udp, RejectReason.NotAllowed, 0, "M2", null, "M2:21"u8);
        await server.DeadLetters.DrainAsync(CancellationToken.None);

        var (_, all) = await server.Client.PostTextAsync("/api/v1/dead-letters/redrive", "{}").ReadAsync();
        var (_, named) = await server.Client.PostTextAsync("/api/v1/dead-letters/redrive", """{"reason":"unauthenticated"}""").ReadAsync();

        Assert.Equal((0, 2), (all.GetProperty("accepted").GetInt32(), all.GetProperty("rejected").GetInt32()));
        Assert.Equal((1, 0), (named.GetProperty("accepted").GetInt32(), named.GetProperty("rejected").GetInt32()));
        Assert.Equal([("M1", "20")], server.Log.Readings);
    }

    [Fact]
    public async Task Dead_letters_are_sent_again_once()
    {
        await using var server = await WebServer.StartAsync();
        server.DeadLetters.Keep(ListenerId.Udp, RejectReason.UnknownDevice, 0, "M1", null, "M1:20"u8);
        server.DeadLetters.Keep(ListenerId.Http, RejectReason.InvalidJson, 0, null, null, "still bad"u8);
        await server.DeadLetters.DrainAsync(CancellationToken.None);

        var (_, first) = await server.Client.PostTextAsync("/api/v1/dead-letters/redrive", "{}").ReadAsync();
        var (_, second) = await server.Client.PostTextAsync("/api/v1/dead-letters/redrive", "{}").ReadAsync();
        var (_, left) = await server.Client.GetAsync("/api/v1/dead-letters").ReadAsync();

        Assert.Equal((1, 1), (first.GetProperty("accepted").GetInt32(), first.GetProperty("rejected").GetInt32()));
        Assert.Equal((0, 1), (second.GetProperty("accepted").GetInt32(), second.GetProperty("rejected").GetInt32()));
        Assert.Equal([("M1", "20")], server.Log.Readings);
        Assert.Equal("still bad", left.GetProperty("deadLetters").EnumerateArray().Single().Text("payload"));
    }

    [Fact]
    public async Task Dead_letters_come_in_pages_and_bytes_that_are_no_text_as_base64()
    {
        await using var server = await WebServer.StartAsync();
        for (var i = 0; i < 5; i++)
            server.DeadLetters.Keep(ListenerId.Udp, RejectReason.InvalidUtf8, 0, null, null, [0xFF, (byte)i]);
        await server.DeadLetters.DrainAsync(CancellationToken.None);

        var (_, first) = await server.Client.GetAsync("/api/v1/dead-letters?limit=3").ReadAsync();
        var (_, rest) = await server.Client.GetAsync($"/api/v1/dead-letters?limit=3&after={first.Text("next")}").ReadAsync();

        var bytes = first.GetProperty("deadLetters").EnumerateArray().Concat(rest.GetProperty("deadLetters").EnumerateArray())
            .Select(l => l.GetProperty("payload").GetProperty("$base64").GetBytesFromBase64()[1]);
        Assert.Equal(new byte[] { 4, 3, 2, 1, 0 }, bytes);
        Assert.Equal(JsonValueKind.Null, rest.GetProperty("next").ValueKind);
        Assert.Equal(400, await server.Client.GetAsync("/api/v1/dead-letters?listener=none").StatusAsync());
    }

    [Fact]
    public async Task Device_types_are_kept_as_they_were_put()
    {
        await using var server = await WebServer.StartAsync();

        Assert.Equal(200, await server.Client.PutTextAsync("/api/v1/device-types/gas-meter", """{"fields":{"left":{"unit":"m³"}}}""").StatusAsync());
        var kept = await server.Client.GetStringAsync("/api/v1/device-types/gas-meter");

        Assert.Equal("""{"fields":{"left":{"unit":"m³"}}}""", kept);
        Assert.Equal(404, await server.Client.GetAsync("/api/v1/device-types/other").StatusAsync());
        Assert.Equal(400, await server.Client.PutTextAsync("/api/v1/device-types/..%2Fevil", "{}").StatusAsync());
        Assert.Equal(400, await server.Client.PutTextAsync("/api/v1/device-types/x", "[]").StatusAsync());
    }

    [Fact]
    public async Task Tokens_are_made_listed_without_their_text_and_revoked()
    {
        await using var server = await WebServer.StartAsync();

        var (status, made) = await server.Client.PostTextAsync("/api/v1/tokens", """{"name":"desk","role":"read"}""").ReadAsync();
        var list = await server.Client.GetStringAsync("/api/v1/tokens");

        Assert.Equal(201, status);
        Assert.Contains("desk", list, StringComparison.Ordinal);
        Assert.DoesNotContain(made.Text("token"), list, StringComparison.Ordinal);
        Assert.Equal(204, await server.Client.DeleteAsync($"/api/v1/tokens/{made.GetProperty("id")}").StatusAsync());
        Assert.Equal(400, await server.Client.PostTextAsync("/api/v1/tokens", """{"name":"desk","role":"god"}""").StatusAsync());
    }

    [Theory]
    [InlineData("GET", "/api/v1/none", 404)]
    [InlineData("POST", "/none", 404)]
    [InlineData("PATCH", "/api/v1/devices", 405)]
    [InlineData("GET", "/api/v1/telemetry", 405)]
    [InlineData("GET", "/missing.js", 404)]
    public async Task Unknown_paths_and_methods_are_problem_documents(string method, string path, int expected)
    {
        await using var server = await WebServer.StartAsync();
        using var request = new HttpRequestMessage(new HttpMethod(method), path);

        using var response = await server.Client.SendAsync(request);

        Assert.Equal(expected, (int)response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
    }

    [Fact]
    public async Task Without_a_dashboard_the_page_says_so_and_with_one_it_is_served()
    {
        await using var bare = await WebServer.StartAsync();
        Assert.Contains("not part of this build", await bare.Client.GetStringAsync("/"), StringComparison.Ordinal);

        using var folder = new Millrace.Testing.TempFolder();
        await File.WriteAllTextAsync(folder["index.html"], "<p>dashboard");
        await File.WriteAllTextAsync(folder["app.js"], "run()");
        await using var server = await WebServer.StartAsync(change: o => o with { PagesFolder = folder.Path });
        using var deep = await server.Client.GetAsync("/devices/A1");

        Assert.Equal("<p>dashboard", await deep.Content.ReadAsStringAsync());
        Assert.Contains("default-src 'self'", deep.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        Assert.Equal("run()", await server.Client.GetStringAsync("/app.js"));
    }
}
