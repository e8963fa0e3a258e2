using System.Globalization;
using System.Net.Sockets;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;
using Millrace.Listeners.Tcp;

namespace Millrace.Listeners.Tests.Tcp;

public sealed class TcpConformanceTests : ListenerConformance
{
    private protected override async Task<ListenerHarness> StartAsync(SecurityMode security, bool allowAnonymous) =>
        await TcpHarness.OpenAsync(new TcpLineListenerOptions { AllowAnonymous = allowAnonymous }, security);
}

/// <summary>The same, with every line answered.</summary>
public sealed class AcknowledgingTcpConformanceTests : ListenerConformance
{
    private protected override async Task<ListenerHarness> StartAsync(SecurityMode security, bool allowAnonymous) =>
        await TcpHarness.OpenAsync(new TcpLineListenerOptions { AllowAnonymous = allowAnonymous, Acknowledge = true }, security);
}

public sealed class TcpLineListenerTests
{
    [Fact]
    public async Task Lines_end_with_LF_or_CRLF_and_blank_ones_do_not_count()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();

        await client.SendAsync("m1:1\nm2:2\r\n\r\n\n   \nm3:3\n");
        await it.SettledAsync(3);

        Assert.Equal([("m1", "1"), ("m2", "2"), ("m3", "3")], it.Stored.OrderBy(r => r.Id));
        Assert.Equal(3, it.Ledger.Received);
    }

    [Fact]
    public async Task An_unfinished_last_line_counts()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();

        await client.SendAsync("m1:1\nm1:2");
        client.EndSending();
        await it.SettledAsync(2);

        Assert.Equal([("m1", "1"), ("m1", "2")], it.Stored);
        await client.IsClosedAsync();
    }

    [Fact]
    public async Task The_plain_logging_server_of_before_works_without_configuration()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();

        await client.SendAsync("Connected from room 3\n21.5\n{\"temp\":21.5}\n{\"broken\n");
        await it.SettledAsync(4);

        Assert.Equal(
            [("tcp-127.0.0.1", "Connected from room 3"), ("tcp-127.0.0.1", "21.5"), ("tcp-127.0.0.1", "{\"temp\":21.5}"), ("tcp-127.0.0.1", "{\"broken")],
            it.Stored);
    }

    [Fact]
    public async Task A_first_line_ACK_asks_for_an_answer_per_line_in_order()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();

        await client.SendAsync("ACK\nm1:1\n{\"id\":\"m1\",\"v\":1,\"v\":2}\nm1:2\nm1:\nplain\n");
        var answers = await client.AnswersAsync(5);

        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(0, "m1"u8), it.Log.PartitionCount);
        var plain = DeviceIds.PartitionOf(DeviceIds.Hash(0, "tcp-127.0.0.1"u8), it.Log.PartitionCount);
        Assert.Equal([$"OK {partition}:0", "ERR duplicate_key", $"OK {partition}:1", "ERR empty_payload", $"OK {plain}:{(plain == partition ? 2 : 0)}"], answers);
    }

    [Fact]
    public async Task Acknowledges_only_what_is_durable()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { Acknowledge = true });
        var client = await it.ConnectAsync();
        it.Log.Hold();
        await client.SendAsync("m1:1\n");
        await it.ReceivedAsync(1);
        var answer = client.AnswerAsync();

        Assert.False(answer.IsCompleted);
        Assert.Empty(it.Stored);
        it.Log.Release();

        Assert.StartsWith("OK ", await answer);
    }

    [Fact]
    public async Task Ten_thousand_pipelined_lines_are_answered_in_order()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();
        var lines = new StringBuilder("ACK\n");
        for (var i = 0; i < 10_000; i++)
            lines.Append(CultureInfo.InvariantCulture, $"m1:{i}\n");

        var answers = client.AnswersAsync(10_000);
        await client.SendAsync(lines.ToString());

        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(0, "m1"u8), it.Log.PartitionCount);
        Assert.Equal(Enumerable.Range(0, 10_000).Select(i => $"OK {partition}:{i}"), await answers);
        Assert.True(it.Log.Blocks.Count < 2000, $"{it.Log.Blocks.Count} appends for 10,000 pipelined lines");
    }

    [Fact]
    public async Task Without_an_answer_the_client_hears_nothing()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();

        await client.SendAsync("m1:1\nACK\nm1:2\n");
        client.EndSending();

        await client.IsClosedAsync();
        Assert.Equal(["1", "2", "ACK"], it.Stored.Select(r => r.Payload).Order());
    }

    [Fact]
    public async Task A_full_log_is_told_to_who_asked_and_the_connection_stays()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { Acknowledge = true });
        var client = await it.ConnectAsync();
        it.Log.State = LogState.Full;

        await client.SendAsync("m1:1\nm1:\n");
        Assert.Equal(["ERR log_full", "ERR empty_payload"], await client.AnswersAsync(2));
        it.Log.State = LogState.Accepting;
        await client.SendAsync("m1:2\n");

        Assert.StartsWith("OK ", await client.AnswerAsync());
        Assert.Equal((3, 1, 1, 1), (it.Ledger.Received, it.Ledger.Stored, it.Ledger.RejectedTotal, it.Ledger.DroppedFor(DropReason.LogFull)));
    }

    [Fact]
    public async Task A_full_log_holds_back_who_did_not_ask_and_loses_nothing()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();
        it.Log.State = LogState.Full;
        await client.SendAsync("m1:1\n");
        await it.ReceivedAsync(1);
        await client.SendAsync("m1:2\n");

        it.Log.State = LogState.Accepting;
        await it.SettledAsync(2);

        Assert.Equal([("m1", "1"), ("m1", "2")], it.Stored);
    }

    [Fact]
    public async Task A_stalled_log_holds_the_sender_back()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { QueueBytes = 1 << 20 });
        var client = await it.ConnectAsync();
        var block = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("m1:" + new string('x', 996) + "\n", 1000)));
        it.Log.Hold();

        // 64 MB do not fit into the queue and the network's buffers: sending cannot end while the log stalls.
        var sending = Task.Run(async () =>
        {
            for (var i = 0; i < 64; i++)
                await client.SendAsync(block);
        });
        await it.ReceivedAsync(500);
        Assert.False(sending.IsCompleted);
        Assert.InRange(it.Ledger.Received, 500, 20_000);

        it.Log.Release();
        await sending;
        await it.SettledAsync(64_000);
        Assert.Equal((64_000, 0), (it.Ledger.Stored, it.Ledger.DroppedTotal));
    }

    [Theory]
    [InlineData(TcpLineSession.LineBytesMax, "\n", true)]
    [InlineData(TcpLineSession.LineBytesMax, "\r\n", true)]
    [InlineData(TcpLineSession.LineBytesMax + 1, "\n", false)]
    [InlineData(TcpLineSession.LineBytesMax + 1, "\r\n", false)]
    [InlineData(1_000_000, "\n", false)]
    public async Task A_line_beyond_64_KiB_is_refused_and_the_connection_stays(int length, string end, bool taken)
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { Acknowledge = true });
        var client = await it.ConnectAsync();

        await client.SendAsync("m1:" + new string('x', length - 3) + end + "m1:after\n");
        var answers = await client.AnswersAsync(2);

        Assert.Equal(taken, answers[0].StartsWith("OK ", StringComparison.Ordinal));
        Assert.Equal(taken ? 0 : 1, it.Ledger.RejectedFor(RejectReason.TooLarge));
        Assert.StartsWith("OK ", answers[1]);
        Assert.Equal(2, it.Ledger.Received);
        Assert.Equal("after", it.Stored[^1].Payload);
    }

    [Theory]
    [InlineData("POST / HTTP/1.1\r\nHost: localhost:8090\r\nContent-Type: text/plain\r\n\r\nm1:666\n")]
    [InlineData("GET /m1:666 HTTP/1.1\r\n\r\n")]
    [InlineData("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
    public async Task A_browser_is_shown_the_door_and_nothing_of_it_is_stored(string request)
    {
        await using var it = await TcpHarness.OpenAsync();
        var browser = await it.ConnectAsync();

        await browser.SendAsync(request);
        await browser.IsClosedAsync();

        Assert.Empty(it.Stored);
        Assert.Equal((1, 1), (it.Ledger.Received, it.Ledger.RejectedFor(RejectReason.UnsupportedFormat)));
    }

    [Fact]
    public async Task A_later_line_that_looks_like_HTTP_is_a_reading()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();

        await client.SendAsync("m1:1\nGET / HTTP/1.1\n");
        await it.SettledAsync(2);

        Assert.Contains(("tcp-127.0.0.1", "GET / HTTP/1.1"), it.Stored);
    }

    [Fact]
    public async Task NUL_and_invalid_UTF8_are_no_danger()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { Acknowledge = true });
        var client = await it.ConnectAsync();

        await client.SendAsync([.. "m1:1\0\n"u8, .. "m1:2\0"u8, .. "3\nm1:"u8, 0xFF, .. "\n\0\0\nm1:4\n"u8]);
        var answers = await client.AnswersAsync(4);

        Assert.Equal([true, true, false, true], answers.Select(a => a.StartsWith("OK ", StringComparison.Ordinal)));
        Assert.Equal(["1", "2\u00003", "4"], it.Stored.Select(r => r.Payload));
    }

    [Fact]
    public async Task Slow_senders_do_not_hinder_others()
    {
        await using var it = await TcpHarness.OpenAsync();
        var slow = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => it.ConnectAsync()));
        foreach (var peer in slow)
            await peer.SendAsync("m1:");

        await it.SendAsync("m2", 1);
        await it.SettledAsync(1);
        foreach (var digit in "12")
        {
            foreach (var peer in slow)
                await peer.SendAsync(digit.ToString());
        }

        foreach (var peer in slow)
            await peer.SendAsync("\n");
        await it.SettledAsync(201);

        Assert.Equal(200, it.Stored.Count(r => r == ("m1", "12")));
    }

    [Fact]
    public async Task Unfinished_lines_of_all_connections_together_are_bounded()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { QueueBytes = 1 << 20 });
        var slow = await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => it.ConnectAsync()));
        foreach (var peer in slow)
            await peer.SendAsync("m1:" + new string('x', 60_000));

        await Eventually.IsTrueAsync(() => it.Ledger.DroppedFor(DropReason.Abandoned) >= 20, () => it.Books);

        await it.SendAsync("m2", 1);
        await Eventually.IsTrueAsync(() => it.Stored.Contains(("m2", "1")), () => it.Books);
        Assert.InRange(it.Lines.Connections, 1, 20);
        Assert.Equal(0, it.Unaccounted);
    }

    [Fact]
    public async Task Thousands_of_idle_connections_are_held_cheaply_and_served()
    {
        await using var it = await TcpHarness.OpenAsync();
        var first = await it.ConnectAsync();
        await first.SendAsync("m0:1\n");
        await it.SettledAsync(1);
        var before = GC.GetTotalMemory(forceFullCollection: true);

        var peers = new List<TcpPeer>();
        for (var i = 0; i < 3000; i++)
            peers.Add(await it.ConnectAsync());
        await Eventually.IsTrueAsync(() => it.Lines.Connections == 3001, () => $"{it.Lines.Connections} connections");
        var perConnection = (GC.GetTotalMemory(forceFullCollection: true) - before) / 3000;

        foreach (var peer in peers)
            await peer.SendAsync("m1:1\n");
        await it.SettledAsync(3001);
        Assert.Equal(3001, it.Ledger.Stored);
        // Both ends live in this process, the client's reader with its 5 KB of buffers included.
        Assert.InRange(perConnection, 0, 16 << 10);
    }

    [Fact]
    public async Task Beyond_the_most_connections_the_longest_silent_one_gives_way()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { ConnectionsMax = 3, Acknowledge = true });
        var a = await it.ConnectAsync();
        var b = await it.ConnectAsync();
        var c = await it.ConnectAsync();
        foreach (var peer in new[] { b, c, a })
        {
            await peer.SendAsync("m1:1\n");
            await peer.AnswerAsync();
        }

        var d = await it.ConnectAsync();
        await b.IsClosedAsync();

        foreach (var peer in new[] { a, c, d })
        {
            await peer.SendAsync("m1:2\n");
            Assert.StartsWith("OK ", await peer.AnswerAsync());
        }
    }

    [Fact]
    public async Task A_client_that_never_reads_its_answers_gives_way_all_the_same()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { ConnectionsMax = 1, Acknowledge = true });
        var deaf = await it.ConnectAsync();
        var line = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("m:1\n", 4096)));
        // Until answers fill every buffer on the way back, the server stops reading, and sending stalls.
        var sending = SendForEverAsync();
        await Eventually.IsTrueAsync(() => it.Ledger.Received > 0);

        var next = await it.ConnectAsync();
        await next.SendAsync("m:2\n");
        Assert.StartsWith("OK ", await next.AnswerAsync());

        await sending.WaitAsync(TimeSpan.FromSeconds(60));

        async Task SendForEverAsync()
        {
            try
            {
                while (true)
                    await deaf.SendAsync(line);
            }
            catch (SocketException)
            {
                // Closed by the other end.
            }
        }
    }

    [Fact]
    public async Task A_silent_connection_is_closed_after_the_idle_limit()
    {
        await using var it = await TcpHarness.OpenAsync(new TcpLineListenerOptions { Idle = TimeSpan.FromSeconds(1) });
        var client = await it.ConnectAsync();
        await client.SendAsync("m1:1\nm1:unfinished");

        await client.IsClosedAsync();

        Assert.Equal((2, 1, 1), (it.Ledger.Received, it.Ledger.Stored, it.Ledger.DroppedFor(DropReason.Abandoned)));
    }

    [Fact]
    public async Task A_reset_connection_leaves_balanced_books()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();
        await client.SendAsync("m1:1\n");
        await it.SettledAsync(1);
        client.Reset();
        await Eventually.IsTrueAsync(() => it.Lines.Connections == 0);

        await it.SendAsync("m1", 2);
        await it.SettledAsync(2);
        Assert.Equal(2, it.Ledger.Stored);
    }

    [Fact]
    public async Task Stopping_does_not_wait_for_clients_that_keep_silent()
    {
        await using var it = await TcpHarness.OpenAsync();
        var client = await it.ConnectAsync();
        await client.SendAsync("m1:1\nm1:half");
        await it.SettledAsync(1);

        await it.StopAsync();

        await client.IsClosedAsync();
        Assert.Equal(0, it.Lines.Connections);
        Assert.Equal((2, 1, 1), (it.Ledger.Received, it.Ledger.Stored, it.Ledger.DroppedFor(DropReason.Abandoned)));
    }

    /// <summary>However the network cuts a stream, the same lines come out.</summary>
    [Fact]
    public async Task Any_split_of_a_stream_gives_the_same_readings()
    {
        await using var it = await TcpHarness.OpenAsync();
        var random = new Random(20261120);
        var expected = new List<(string, string)>();
        for (var run = 0; run < 20; run++)
        {
            var client = await it.ConnectAsync();
            var stream = new StringBuilder();
            for (var i = 0; i < 50; i++)
            {
                var value = new string((char)('a' + random.Next(26)), random.Next(1, 3000));
                expected.Add(($"m{run}", value));
                stream.Append($"m{run}:{value}").Append(random.Next(2) == 0 ? "\n" : "\r\n");
            }

            var bytes = Encoding.UTF8.GetBytes(stream.ToString());
            for (var at = 0; at < bytes.Length;)
            {
                var length = Math.Min(bytes.Length - at, random.Next(1, 5000));
                await client.SendAsync(bytes[at..(at + length)]);
                at += length;
            }
        }

        await it.SettledAsync(expected.Count);
        Assert.Equal(expected.OrderBy(r => r.Item1, StringComparer.Ordinal), it.Stored.OrderBy(r => r.Id, StringComparer.Ordinal));
    }

    [Fact]
    public void Arbitrary_lines_never_throw_and_always_count() =>
        Prop.ForAll<byte[][]>(lines =>
        {
            var log = new Millrace.Testing.MemoryLog();
            var ledger = new ListenerLedger(ListenerId.Tcp);
            var context = new ListenerContext(
                log, new TestAdmission(), new TestDeadLetters(), new(new()), TimeProvider.System, SecurityMode.Open);
            var session = new TcpLineSession(new TcpSessionContext(new() { Acknowledge = true }, context, ledger), System.Net.IPAddress.IPv6Loopback);
            var batch = new ReadingBatch(log.PartitionCount);
            foreach (var line in lines)
                session.Take(line, batch);
            session.WriteBooks();
            return ledger.Received == batch.Count + ledger.RejectedTotal && session.OutcomeCount == ledger.Received;
        }).QuickCheckThrowOnFailure();
}
