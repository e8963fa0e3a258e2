using System.Net;
using System.Net.Sockets;
using System.Text;
using Millrace.Commands.Simulate;
using Millrace.Testing;

namespace Millrace.Tests.Commands.Simulate;

/// <summary>The senders against scripted peers on loopback sockets.</summary>
public class SendersTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private static SimulationOptions Options(SimulatedProtocol protocol, int port) => new()
    {
        Protocol = protocol,
        Host = "127.0.0.1",
        Port = port,
        Devices = 20,
        Rate = 0,
        Count = 1000,
        Connections = 1,
        Seed = 3,
    };

    private static async Task<Simulation> RunAsync(SimulationOptions options)
    {
        using var deadline = new CancellationTokenSource(Deadline);
        var simulation = new Simulation(options, IPAddress.Loopback, TimeProvider.System);
        await simulation.RunAsync(deadline.Token);
        simulation.Dispose();
        return simulation;
    }

    [Fact]
    public async Task Udp_sends_every_reading_as_a_datagram()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 4 << 20 };
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        using var simulation = await RunAsync(Options(SimulatedProtocol.Udp, ((IPEndPoint)socket.LocalEndPoint!).Port));

        var buffer = new byte[2048];
        var lines = new HashSet<string>();
        while (socket.Available > 0)
            lines.Add(Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer)));
        Assert.Equal(1000, simulation.Tally.Sent);
        Assert.Equal(1000, lines.Count);
        Assert.All(lines, line => Assert.StartsWith("meter-0000", line));
    }

    [Fact]
    public async Task Udp_packs_a_batch_into_a_datagram_of_lines()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 4 << 20 };
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        using var simulation = await RunAsync(Options(SimulatedProtocol.Udp, ((IPEndPoint)socket.LocalEndPoint!).Port) with { Batch = 7 });

        var buffer = new byte[8192];
        List<string[]> datagrams = [];
        while (socket.Available > 0)
            datagrams.Add(Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer)).Split('\n'));
        Assert.Equal(1000, datagrams.SelectMany(lines => lines).Distinct().Count());
        Assert.All(datagrams, lines => Assert.InRange(lines.Length, 1, 7));
        Assert.True(datagrams.Count <= 160, $"{datagrams.Count} datagrams for 1000 readings in sevens");
    }

    [Fact]
    public async Task Tcp_takes_answers_in_order_and_writes_what_was_acknowledged()
    {
        using var folder = new TempFolder();
        using var server = new LineServer((line, n) => n % 10 == 9 ? "ERR not_allowed" : $"OK 3:{n}");

        using var simulation = await RunAsync(Options(SimulatedProtocol.Tcp, server.Port) with { AcknowledgedFile = folder["acknowledged"] });

        Assert.Equal((1000, 900, 100), (simulation.Tally.Sent, simulation.Tally.Acknowledged, simulation.Tally.Rejected));
        Assert.Equal("not_allowed", simulation.Tally.Refusals.Single().Key);
        Assert.Equal(0, simulation.Unanswered);
        var expected = server.Lines.Index().Where(line => line.Index % 10 != 9)
            .Select(line => $"3:{line.Index} {line.Item.Split(':')[0]} {(long)(decimal.Parse(line.Item.Split(':')[1]) * 1000)}");
        Assert.Equal(expected, await File.ReadAllLinesAsync(folder["acknowledged"]));
    }

    [Fact]
    public async Task Tcp_sends_again_what_a_broken_connection_left_unanswered()
    {
        // Every 150th line breaks the connection instead of being answered.
        using var server = new LineServer((line, n) => n % 150 == 149 ? null : $"OK 0:{n}");

        using var simulation = await RunAsync(Options(SimulatedProtocol.Tcp, server.Port));

        Assert.Equal((1000, 1000), (simulation.Tally.Sent, simulation.Tally.Acknowledged));
        Assert.True(simulation.Tally.Reconnects > 0);
        Assert.True(simulation.Tally.SentAgain > 0);
        Assert.Equal(1000, server.Lines.Distinct().Count());
    }

    [Fact]
    public async Task Tcp_gives_up_on_a_silent_peer_and_says_what_is_unanswered()
    {
        using var server = new LineServer((line, n) => n < 400 ? $"OK 0:{n}" : "");

        using var simulation = await RunAsync(Options(SimulatedProtocol.Tcp, server.Port) with { Patience = TimeSpan.FromSeconds(1) });

        Assert.Equal((1000, 400), (simulation.Tally.Sent, simulation.Tally.Acknowledged));
        Assert.Equal(600, simulation.Unanswered);
        Assert.False(SimulationReport.IsGood(simulation));
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{\"accepted\":2,\"rejected\":[]}")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"accepted\":2,\"r\r\nc\r\nejected\":[]}\r\n0\r\n\r\n")]
    public async Task Http_counts_a_good_answer_whether_it_has_a_length_or_chunks(string answer)
    {
        using var server = new HttpServer(_ => answer);

        using var simulation = await RunAsync(Options(SimulatedProtocol.Http, server.Port) with { Batch = 2 });

        Assert.Equal((1000, 1000, 0), (simulation.Tally.Sent, simulation.Tally.Acknowledged, simulation.Tally.Rejected));
        Assert.Equal(500, server.Bodies.Count);
        Assert.All(server.Bodies, body => Assert.Equal(2, body.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length));
    }

    [Fact]
    public async Task Http_counts_each_rejected_reading_by_its_reason()
    {
        const string Body = """{"accepted":3,"rejected":[{"index":1,"reason":"enrolment_limit"}]}""";
        using var folder = new TempFolder();
        using var server = new HttpServer(_ => $"HTTP/1.1 200 OK\r\nContent-Length: {Body.Length}\r\n\r\n{Body}");

        using var simulation = await RunAsync(
            Options(SimulatedProtocol.Http, server.Port) with { Batch = 4, AcknowledgedFile = folder["acknowledged"] });

        Assert.Equal((750, 250), (simulation.Tally.Acknowledged, simulation.Tally.Rejected));
        Assert.Equal("enrolment_limit", simulation.Tally.Refusals.Single().Key);
        Assert.Equal(750, (await File.ReadAllLinesAsync(folder["acknowledged"])).Length);
    }

    [Fact]
    public async Task Http_posts_again_when_the_connection_breaks_before_the_answer()
    {
        const string Good = "HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{\"accepted\":1,\"rejected\":[]}";
        using var server = new HttpServer(n => n % 30 == 29 ? null : Good);

        using var simulation = await RunAsync(Options(SimulatedProtocol.Http, server.Port) with { Count = 100 });

        Assert.Equal((100, 100), (simulation.Tally.Sent, simulation.Tally.Acknowledged));
        Assert.Equal(3, simulation.Tally.SentAgain);
        Assert.Equal(100, server.Bodies.Distinct().Count());
    }
}
