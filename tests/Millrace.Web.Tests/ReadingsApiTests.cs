using System.Text.Json;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Web.Tests;

public class ReadingsApiTests
{
    [Fact]
    public async Task Latest_shows_the_reading_with_its_place()
    {
        await using var server = await WebServer.StartAsync();
        await SendAsync(server, """{"id":"A","time":"2020-01-01T00:00:00Z","value":1.50}""");

        var (status, json) = await server.Client.GetAsync("/api/v1/devices/A/latest").ReadAsync();

        Assert.Equal(200, status);
        Assert.Equal(("A", "2020-01-01T00:00:00.000000Z"), (json.Text("id"), json.Text("time")));
        Assert.Equal(0, json.GetProperty("sequence").GetInt64());
        Assert.InRange(json.GetProperty("partition").GetInt32(), 0, 3);
        Assert.Equal("1.50", json.GetProperty("data").GetProperty("value").GetRawText());
        Assert.EndsWith("Z", json.Text("receivedAt"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Latest_goes_by_device_time_not_by_arrival()
    {
        await using var server = await WebServer.StartAsync();
        await SendAsync(server, """{"id":"A","time":"2020-01-02T00:00:00Z","v":2}""");
        await SendAsync(server, """{"id":"A","time":"2020-01-01T00:00:00Z","v":1}""");

        var (_, json) = await server.Client.GetAsync("/api/v1/devices/A/latest").ReadAsync();

        Assert.Equal(2, json.GetProperty("data").GetProperty("v").GetInt32());
    }

    [Fact]
    public async Task Merging_takes_missing_fields_from_earlier_readings()
    {
        await using var server = await WebServer.StartAsync();
        await SendAsync(server, """{"id":"A","t":1,"h":50}""");
        await SendAsync(server, """{"id":"B","t":9,"x":9}""");
        await SendAsync(server, """{"id":"A","t":2}""");

        var (_, plain) = await server.Client.GetAsync("/api/v1/devices/A/latest").ReadAsync();
        var (_, merged) = await server.Client.GetAsync("/api/v1/devices/A/latest?merge=true").ReadAsync();

        Assert.False(plain.GetProperty("data").TryGetProperty("h", out _));
        Assert.Equal("""{"h":50,"id":"A","t":2}""", merged.GetProperty("data").GetRawText());
    }

    [Theory]
    [InlineData("/api/v1/devices/none/latest")]
    [InlineData("/api/v1/devices/none/history")]
    public async Task An_unknown_device_is_404(string path)
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.GetAsync(path).ReadAsync();

        Assert.Equal((404, "urn:millrace:problem:not_found"), (status, json.Text("type")));
    }

    [Fact]
    public async Task History_gives_the_devices_readings_by_arrival_page_by_page()
    {
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 1));
        for (var i = 0; i < 10; i++)
            await SendAsync(server, $"{{\"id\":\"A\",\"n\":{i}}}\n{{\"id\":\"B\",\"n\":{i}}}\n");

        List<int> seen = [];
        string? next = null;
        do
        {
            var (_, page) = await server.Client.GetAsync("/api/v1/devices/A/history?limit=3" + (next is null ? "" : $"&after={next}")).ReadAsync();
            Assert.Equal("receivedAt", page.Text("order"));
            seen.AddRange(page.GetProperty("readings").EnumerateArray().Select(r => r.GetProperty("data").GetProperty("n").GetInt32()));
            next = page.GetProperty("next").GetString();
        }
        while (next is not null);

        Assert.Equal(Enumerable.Range(0, 10), seen);
    }

    [Fact]
    public async Task History_begins_at_from_and_ends_before_to()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 1, time), time: time);
        for (var i = 0; i < 5; i++)
        {
            await SendAsync(server, $"{{\"id\":\"A\",\"n\":{i}}}");
            time.Advance(TimeSpan.FromMinutes(1));
        }

        async Task<List<int>> Numbers(string query)
        {
            var (status, json) = await server.Client.GetAsync("/api/v1/devices/A/history?" + query).ReadAsync();
            Assert.Equal(200, status);
            return [.. json.GetProperty("readings").EnumerateArray().Select(r => r.GetProperty("data").GetProperty("n").GetInt32())];
        }

        Assert.Equal([1, 2], await Numbers("from=2026-01-15T12:01:00Z&to=2026-01-15T12:03:00Z"));
        Assert.Equal([1, 2], await Numbers("from=2026-01-15T13:01:00+01:00&to=2026-01-15T12:03:00Z"));
        var ms = new DateTimeOffset(2026, 1, 15, 12, 3, 0, TimeSpan.Zero).ToUnixTimeMilliseconds();
        Assert.Equal([3, 4], await Numbers($"from={ms}"));
        time.Advance(TimeSpan.FromHours(24) - TimeSpan.FromMinutes(2.5));
        Assert.Equal([3, 4], await Numbers(""));
        Assert.Empty(await Numbers("from=2026-01-16T12:00:00Z"));
    }

    [Fact]
    public async Task History_gives_only_the_fields_asked_for()
    {
        await using var server = await WebServer.StartAsync();
        await SendAsync(server, """{"id":"A","a":1,"b":{"c":2,"d":3}}""");

        var (_, json) = await server.Client.GetAsync("/api/v1/devices/A/history?fields=a,b.c,none").ReadAsync();

        Assert.Equal("""{"a":1,"b.c":2}""", json.GetProperty("readings")[0].GetProperty("data").GetRawText());
    }

    [Theory]
    [InlineData("from=yesterday")]
    [InlineData("to=x")]
    [InlineData("limit=-1")]
    [InlineData("after=x")]
    [InlineData("order=up")]
    [InlineData("interval=1h")]
    public async Task Wrong_questions_of_history_are_told(string query)
    {
        await using var server = await WebServer.StartAsync();
        await SendAsync(server, """{"id":"A"}""");

        Assert.Equal(400, await server.Client.GetAsync("/api/v1/devices/A/history?" + query).StatusAsync());
    }

    [Fact]
    public async Task A_stream_gives_new_readings_of_the_device_alone()
    {
        await using var server = await WebServer.StartAsync();
        await SendAsync(server, """{"id":"A","n":0}""");
        using var events = await EventReader.OpenAsync(server.Client, "/api/v1/devices/A/stream");

        await SendAsync(server, "{\"id\":\"B\",\"n\":9}\n{\"id\":\"A\",\"n\":1}\n{\"id\":\"A\",\"n\":2}\n");
        var first = await events.NextAsync();
        var second = await events.NextAsync();

        Assert.Equal((1, 2), (first.Data.GetProperty("data").GetProperty("n").GetInt32(), second.Data.GetProperty("data").GetProperty("n").GetInt32()));
        Assert.Equal("A", first.Data.Text("id"));
        Assert.Equal($"{first.Data.GetProperty("partition")}:{first.Data.GetProperty("sequence")}", first.Id);
    }

    [Fact]
    public async Task A_stream_goes_on_after_the_last_event_it_is_told()
    {
        await using var server = await WebServer.StartAsync();
        string last;
        using (var events = await EventReader.OpenAsync(server.Client, "/api/v1/devices/A/stream"))
        {
            await SendAsync(server, """{"id":"A","n":0}""");
            last = (await events.NextAsync()).Id!;
        }

        for (var i = 1; i < 1000; i++)
            await SendAsync(server, $"{{\"id\":\"A\",\"n\":{i}}}\n{{\"id\":\"B\"}}\n");
        using var again = await EventReader.OpenAsync(server.Client, "/api/v1/devices/A/stream", last);
        await SendAsync(server, """{"id":"A","n":1000}""");

        for (var i = 1; i <= 1000; i++)
            Assert.Equal(i, (await again.NextAsync()).Data.GetProperty("data").GetProperty("n").GetInt32());
    }

    [Fact]
    public async Task A_slow_reader_of_a_stream_misses_nothing()
    {
        await using var server = await WebServer.StartAsync();
        using var events = await EventReader.OpenAsync(server.Client, "/api/v1/devices/A/stream");
        var body = string.Concat(Enumerable.Range(0, 5000).Select(i => $"{{\"id\":\"A\",\"n\":{i},\"pad\":\"{new string('x', 500)}\"}}\n"));

        await server.Client.PostTextAsync("/api/v1/telemetry", body, "application/x-ndjson");

        for (var i = 0; i < 5000; i++)
            Assert.Equal(i, (await events.NextAsync()).Data.GetProperty("data").GetProperty("n").GetInt32());
    }

    [Fact]
    public async Task Stopping_ends_streams_at_once()
    {
        var server = await WebServer.StartAsync();
        using var device = await EventReader.OpenAsync(server.Client, "/api/v1/devices/A/stream");
        using var overview = await EventReader.OpenAsync(server.Client, "/api/v1/events");

        await server.StopAsync().WaitAsync(TimeSpan.FromSeconds(4));
        await server.DisposeAsync();
    }

    private static async Task SendAsync(WebServer server, string body) =>
        Assert.Equal(200, await server.Client.PostTextAsync("/api/v1/telemetry", body).StatusAsync());
}

/// <summary>Reads server-sent events one by one.</summary>
internal sealed class EventReader(HttpResponseMessage response, StreamReader reader) : IDisposable
{
    public static async Task<EventReader> OpenAsync(HttpClient client, string path, string? last = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (last is not null)
            request.Headers.Add("Last-Event-ID", last);
        var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var events = new EventReader(response, new StreamReader(await response.Content.ReadAsStreamAsync()));
        Assert.Equal(": open", await events.LineAsync());
        return events;
    }

    public async Task<(string? Id, string? Name, JsonElement Data)> NextAsync()
    {
        string? id = null, name = null, data = null;
        while (true)
        {
            var line = await LineAsync() ?? throw new EndOfStreamException();
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                id = line[4..];
            else if (line.StartsWith("event: ", StringComparison.Ordinal))
                name = line[7..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
                data = line[6..];
            else if (line.Length == 0 && data is not null)
                return (id, name, JsonDocument.Parse(data).RootElement);
        }
    }

    public void Dispose()
    {
        reader.Dispose();
        response.Dispose();
    }

    private Task<string?> LineAsync() => reader.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30));
}
