using System.Net.Sockets;
using System.Text;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>Bad input ends in a counted reason, the server goes on, and the books balance.</summary>
public sealed class BooksTests : IAsyncLifetime
{
    private readonly TempFolder _folder = new();
    private ServerProcess _server = null!;

    public async ValueTask InitializeAsync() => _server = await ServerProcess.StartAsync(_folder["data"], "--set", "Devices:Max=1000");

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Received_is_stored_and_rejected_and_dropped_and_in_flight_after_good_and_bad_traffic()
    {
        string[] bad = ["no separator", ":", ":5", "a b:1", "x:", "{\"id\":\"x\",", "{\"value\":1}", new string('a', 129) + ":1"];
        for (var i = 0; i < 50; i++)
        {
            _server.SendUdp($"meter-{i}:{i}");
            _server.SendUdp(bad[i % bad.Length]);
        }

        // Over TCP any other line is a text reading of the sender; only what is too long is refused.
        var lines = string.Concat(Enumerable.Range(0, 100).Select(i => $"tcp-{i}:{i}\n{{\"broken\n")) + new string('x', 70_000) + "\nlast:1\n";
        var answers = await _server.SendTcpAsync("ACK\n" + lines, answers: 202);
        using var posted = await _server.PostAsync("/api/v1/telemetry", """[{"id":"h1","value":1},{"value":1},{"id":"h2","value":2}]""");

        var metrics = await Eventually.UntilAsync(_server.MetricsAsync, m => Sum(m, "stored", "udp") == 50, "50 stored datagrams");
        foreach (var listener in (string[])["udp", "tcp", "http"])
        {
            Assert.Equal(
                Sum(metrics, "received", listener),
                Sum(metrics, "stored", listener) + Sum(metrics, "rejected", listener) + Sum(metrics, "dropped", listener)
                + metrics.GetValueOrDefault($"millrace_readings_in_flight{{listener=\"{listener}\"}}"));
        }

        Assert.Equal((100, 50), (Sum(metrics, "received", "udp"), Sum(metrics, "rejected", "udp")));
        Assert.Equal((2, 1), (Sum(metrics, "stored", "http"), Sum(metrics, "rejected", "http")));
        Assert.Equal((201, 1), (Sum(metrics, "stored", "tcp"), Sum(metrics, "rejected", "tcp")));
        Assert.Equal("ERR too_large", Assert.Single(answers, answer => answer.StartsWith("ERR", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Datagrams_of_every_bad_kind_are_counted_and_the_next_good_one_is_stored()
    {
        _server.SendUdp([0xFF, 0xFE, 0x3A, 0x31]);
        _server.SendUdp("nul\0id:1");
        _server.SendUdp("deep:" + new string('[', 20_000));
        _server.SendUdp(Encoding.ASCII.GetBytes(new string('x', 65_507)));
        _server.SendUdp("""{"id":"dup","a":1,"a":2}""");
        _server.SendUdp("after:1");

        Assert.Equal(1, await _server.LatestValueAsync("after"));
        var metrics = await _server.MetricsAsync();
        Assert.Equal(Sum(metrics, "received", "udp"), Sum(metrics, "stored", "udp") + Sum(metrics, "rejected", "udp"));
        Assert.True(Sum(metrics, "rejected", "udp") >= 3, $"only {Sum(metrics, "rejected", "udp")} rejected");
    }

    [Fact]
    public async Task A_hundred_thousand_junk_ids_are_bounded_by_configuration_and_known_devices_go_on()
    {
        var known = await _server.SendTcpAsync("ACK\nknown:1\n", answers: 1);
        Assert.StartsWith("OK", Assert.Single(known));

        var junk = await ServerProcess.RunAsync(
            "simulate", "--protocol", "tcp", "--target", _server["tcp"].ToString(), "--devices", "100000", "--device-prefix", "junk-", "--rate", "0", "--count", "100000");
        Assert.Contains("rejected enrolment_limit", junk.Output);

        var after = await _server.SendTcpAsync("ACK\nknown:2\nunknown:1\n", answers: 2);
        Assert.StartsWith("OK", after[0]);
        Assert.Equal("ERR enrolment_limit", after[1]);
        Assert.Equal(2, await _server.LatestValueAsync("known"));
    }

    [Fact]
    public async Task A_browser_posting_to_the_tcp_port_is_cut_off_and_counted()
    {
        var before = Sum(await _server.MetricsAsync(), "stored", "tcp");

        var answers = await _server.SendTcpAsync("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nmeter:1\r\n");

        Assert.DoesNotContain(answers, answer => answer.StartsWith("OK", StringComparison.Ordinal));
        Assert.Equal(before, Sum(await _server.MetricsAsync(), "stored", "tcp"));
    }

    [Fact]
    public async Task A_thousand_idle_connections_and_slow_clients_do_not_keep_others_waiting()
    {
        List<TcpClient> idle = [];
        try
        {
            for (var i = 0; i < 1000; i++)
            {
                var client = new TcpClient();
                await client.ConnectAsync(i % 2 == 0 ? _server["tcp"] : _server["http"]);
                await client.GetStream().WriteAsync(i % 2 == 0 ? "half a li"u8.ToArray() : "POST /api/v1/telemetry HTTP/1.1\r\nHost: lo"u8.ToArray());
                idle.Add(client);
            }

            var answers = await _server.SendTcpAsync("ACK\nbrisk:1\n", answers: 1);

            Assert.StartsWith("OK", Assert.Single(answers));
            using var posted = await _server.PostAsync("/api/v1/telemetry", """{"id":"brisk","value":2}""");
            Assert.True(posted.IsSuccessStatusCode);
        }
        finally
        {
            idle.ForEach(client => client.Dispose());
        }
    }

    [Fact]
    public async Task A_web_page_elsewhere_and_a_rebound_name_cannot_write()
    {
        using var foreign = new HttpRequestMessage(HttpMethod.Post, "/api/v1/devices") { Content = new StringContent("""{"id":"evil"}""", Encoding.UTF8, "application/json") };
        foreign.Headers.Add("Origin", "http://evil.example");
        using var rebound = new HttpRequestMessage(HttpMethod.Get, "/api/v1/devices");
        rebound.Headers.Host = "evil.example";

        using var refused = await _server.Http.SendAsync(foreign);
        using var misdirected = await _server.Http.SendAsync(rebound);

        Assert.Equal((403, 421), ((int)refused.StatusCode, (int)misdirected.StatusCode));
    }

    private static double Sum(Dictionary<string, double> metrics, string kind, string listener) => metrics
        .Where(m => m.Key.StartsWith($"millrace_readings_{kind}_total{{listener=\"{listener}\"", StringComparison.Ordinal))
        .Sum(m => m.Value);
}
