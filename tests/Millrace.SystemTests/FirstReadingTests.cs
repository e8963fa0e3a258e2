using System.Net;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>The first screen of the README: start, send a line from a shell, see it.</summary>
public class FirstReadingTests
{
    [Fact]
    public async Task A_datagram_is_seen_as_the_latest_value()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);

        server.SendUdp("AABB01:20.5\n");

        var latest = await server.LatestAsync("AABB01");
        Assert.Equal(20.5, latest.GetProperty("data").GetProperty("value").GetDouble());
        Assert.Equal("AABB01", latest.GetProperty("id").GetString());
        Assert.True(latest.GetProperty("sequence").GetInt64() >= 0);
        Assert.InRange(latest.GetProperty("partition").GetInt32(), 0, 7);
        Assert.EndsWith("Z", latest.GetProperty("receivedAt").GetString());
    }

    [Fact]
    public async Task A_tcp_line_is_acknowledged_with_its_position_when_asked()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);

        var answers = await server.SendTcpAsync("ACK\nAABB02:21\nAABB02:22\n", answers: 2);

        Assert.Equal(2, answers.Length);
        Assert.All(answers, answer => Assert.Matches("^OK [0-9]+:[0-9]+$", answer));
        Assert.Equal(22, await server.LatestValueAsync("AABB02"));
    }

    [Fact]
    public async Task A_plain_logging_client_needs_no_configuration_and_gets_no_answers()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);

        var answers = await server.SendTcpAsync("Temperature in the kitchen is 21.5 C\r\n");

        Assert.Empty(answers);
        var latest = await server.LatestAsync("tcp-127.0.0.1");
        Assert.Equal("Temperature in the kitchen is 21.5 C", latest.GetProperty("data").GetProperty("value").GetString());
    }

    [Fact]
    public async Task A_posted_reading_is_accepted_and_seen()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);

        using var response = await server.PostAsync("/api/v1/telemetry", """{"id":"AABB03","value":22}""");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("""{"accepted":1,"rejected":[]}""", (await response.Content.ReadAsStringAsync()).Replace(" ", ""));
        Assert.Equal(22, await server.LatestValueAsync("AABB03"));
    }

    [Fact]
    public async Task The_demo_shows_life_by_itself()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"], "--demo");

        await Eventually.UntilAsync(
            async () => (await server.MetricsAsync()).Where(m => m.Key.StartsWith("millrace_readings_stored_total", StringComparison.Ordinal)).Sum(m => m.Value),
            stored => stored >= 10,
            "ten readings of the demo fleet");
    }
}
