using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Listeners.Udp;
using Millrace.Testing;
using Decoder = Millrace.Codecs.Decoder;

namespace Millrace.Listeners.Tests.Udp;

public sealed class UdpConformanceTests : ListenerConformance
{
    private protected override async Task<ListenerHarness> StartAsync(SecurityMode security, bool allowAnonymous) =>
        await UdpHarness.OpenAsync(new UdpListenerOptions { AllowAnonymous = allowAnonymous }, security);
}

public sealed class UdpListenerTests
{
    [Fact]
    public async Task A_datagram_may_carry_many_lines_with_either_line_end()
    {
        await using var it = await UdpHarness.OpenAsync();

        await it.SendAsync("m1:1\r\nm2:2\n\n  \r\nm3:{\"value\":3}\r\n{\"id\":\"m4\",\"value\":4}\nm5:5");
        await it.SettledAsync(5);

        Assert.Equal(
            [("m1", "1"), ("m2", "2"), ("m3", "{\"value\":3}"), ("m4", "{\"id\":\"m4\",\"value\":4}"), ("m5", "5")],
            it.Stored.OrderBy(r => r.Id));
    }

    [Fact]
    public async Task A_datagram_may_carry_one_JSON_document_over_several_lines()
    {
        await using var it = await UdpHarness.OpenAsync();

        await it.SendAsync("{\n  \"id\": \"m1\",\n  \"value\": 20.5\n}\n");
        await it.SettledAsync(1);

        Assert.Equal(("m1", "{\n  \"id\": \"m1\",\n  \"value\": 20.5\n}"), Assert.Single(it.Stored));
    }

    [Theory]
    [InlineData("no separator", RejectReason.MissingSeparator)]
    [InlineData("", RejectReason.EmptyPayload)]
    [InlineData("\r\n\r\n", RejectReason.EmptyPayload)]
    [InlineData("\0\0\0", RejectReason.EmptyPayload)]
    [InlineData(":20", RejectReason.BadDeviceId)]
    [InlineData("m 1:20", RejectReason.BadDeviceId)]
    [InlineData("m\u00001:20", RejectReason.BadDeviceId)]
    [InlineData("m1:", RejectReason.EmptyPayload)]
    [InlineData("{\"id\":\"m1\",", RejectReason.InvalidJson)]
    [InlineData("{\"value\":1}", RejectReason.MissingDevice)]
    [InlineData("{\"id\":\"m1\",\"v\":NaN}", RejectReason.InvalidJson)]
    [InlineData("{\"id\":\"m1\",\"v\":1,\"v\":2}", RejectReason.DuplicateKey)]
    [InlineData("[1]", RejectReason.NotAnObject)]
    public async Task Junk_is_counted_by_its_reason_and_kept(string datagram, RejectReason reason)
    {
        await using var it = await UdpHarness.OpenAsync();

        await it.SendAsync(datagram);
        await it.SettledAsync(1);

        Assert.Equal((1, 1), (it.Ledger.Received, it.Ledger.RejectedFor(reason)));
        Assert.Equal(reason, Assert.Single(it.DeadLetters.Kept).Reason);
    }

    [Fact]
    public async Task Invalid_UTF8_is_refused_and_the_listener_hears_on()
    {
        await using var it = await UdpHarness.OpenAsync();

        await it.SendAsync([(byte)'m', (byte)'1', (byte)':', 0xC3, 0x28]);
        await it.SendAsync("m1:20");
        await it.SettledAsync(2);

        Assert.Equal(1, it.Ledger.RejectedFor(RejectReason.InvalidUtf8));
        Assert.Equal(("m1", "20"), Assert.Single(it.Stored));
    }

    [Fact]
    public async Task The_largest_datagram_is_taken_whole()
    {
        await using var it = await UdpHarness.OpenAsync();
        var value = new string('x', 65_507 - "m1:".Length);

        await it.SendAsync("m1:" + value);
        await it.SendAsync(new string('y', 65_507));
        await it.SettledAsync(2);

        Assert.Equal(("m1", value), Assert.Single(it.Stored));
        Assert.Equal(1, it.Ledger.RejectedFor(RejectReason.MissingSeparator));
    }

    [Fact]
    public async Task Datagrams_of_every_length_around_a_receive_slot_are_whole()
    {
        await using var it = await UdpHarness.OpenAsync();
        var values = Enumerable.Range(2040, 20).Select(n => string.Concat(Enumerable.Range(0, n).Select(i => (char)('a' + (i % 26))))).ToArray();

        foreach (var value in values)
            await it.SendAsync("m:" + value);
        await it.SettledAsync(values.Length);

        Assert.Equal(values, it.Stored.Select(r => r.Payload));
    }

    [Fact]
    public async Task A_million_junk_ids_do_not_grow_anything()
    {
        await using var it = await UdpHarness.OpenAsync();
        it.Admission.Decide = _ => RejectReason.EnrolmentLimit;

        for (var i = 0; i < 2000; i++)
            await it.SendAsync(string.Join('\n', Enumerable.Range(i * 500, 500).Select(n => $"junk-{n}:1")));
        await Eventually.IsTrueAsync(() => it.Ledger.Received + (499 * it.Ledger.DroppedFor(DropReason.Kernel)) >= 1_000_000, () => it.Books);

        Assert.Empty(it.Stored);
        Assert.Equal(0, it.Unaccounted);
        Assert.InRange(it.DeadLetters.Kept.Count, 1, 200 * 40);
    }

    [Fact]
    public async Task A_disk_that_stalls_loses_nothing_and_the_receiver_does_not_wait()
    {
        await using var it = await UdpHarness.OpenAsync();
        var payload = "{\"id\":\"m1\",\"text\":\"" + new string('x', 400) + "\",\"n\":";
        it.Log.Hold();

        for (var i = 0; i < 33_334; i++)
        {
            await it.SendAsync(payload + i + "}");
            // The sender leaves the kernel no more than its buffer holds: the stall of the disk is what is tested.
            if (i % 1000 == 999)
                await it.ReceivedAsync(i + 1);
        }

        await it.ReceivedAsync(33_334);
        Assert.Equal((0, 33_334), (it.Ledger.Stored, it.Ledger.InFlight));
        it.Log.Release();
        await it.SettledAsync(33_334);

        Assert.Equal((33_334, 0), (it.Ledger.Stored, it.Ledger.DroppedTotal));
        Assert.Equal(33_334, it.Stored.Count);
    }

    [Fact]
    public async Task Beyond_the_queue_readings_are_dropped_and_counted_and_the_rest_is_stored()
    {
        await using var it = await UdpHarness.OpenAsync(new UdpListenerOptions { QueueBytes = 1 << 20 });
        var value = new string('x', 1000);
        it.Log.Hold();

        for (var i = 0; i < 3000; i++)
        {
            await it.SendAsync("m1:" + value);
            if (i % 100 == 99)
                await it.ReceivedAsync(i + 1);
        }

        await it.ReceivedAsync(3000);
        await Eventually.IsTrueAsync(() => it.Ledger.DroppedFor(DropReason.Queue) > 1500, () => it.Books);
        it.Log.Release();
        await it.SettledAsync(3000);

        Assert.Equal(3000, it.Ledger.Stored + it.Ledger.DroppedFor(DropReason.Queue));
        // The queue, and the batch of 256 KiB that is being filled when the log takes readings again.
        Assert.InRange(it.Ledger.Stored, 500, ((1 << 20) + (256 << 10)) / 1000);
    }

    [Fact]
    public async Task What_the_kernel_drops_is_counted()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux tells what it dropped");
        await using var it = await UdpHarness.OpenAsync(new UdpListenerOptions { ReceiveBufferBytes = 64 << 10 });
        using var held = new ManualResetEventSlim();
        it.Admission.Decide = _ =>
        {
            held.Wait();
            return RejectReason.None;
        };

        for (var i = 0; i < 5000; i++)
            await it.SendAsync("m1:1");
        held.Set();
        await it.SettledAsync(5000);

        Assert.InRange(it.Ledger.DroppedFor(DropReason.Kernel), 1, 4999);
        Assert.Equal((5000, 5000 - it.Ledger.DroppedTotal), (it.Ledger.Received, it.Ledger.Stored));
    }

    [Fact]
    public async Task A_log_that_has_failed_is_counted_as_such()
    {
        await using var it = await UdpHarness.OpenAsync();
        it.Log.State = LogState.Failed;

        await it.SendAsync("m1:1");
        await Eventually.IsTrueAsync(() => it.Ledger.DroppedFor(DropReason.LogFailed) == 1, () => it.Books);

        Assert.Equal(0, it.Unaccounted);
    }

    [Fact]
    public async Task Readings_wait_for_a_full_disk_to_have_room_again()
    {
        await using var it = await UdpHarness.OpenAsync();
        it.Log.State = LogState.Full;
        await it.SendAsync("m1:1");
        await it.ReceivedAsync(1);

        it.Log.State = LogState.Accepting;
        await it.SettledAsync(1);

        Assert.Equal((1, 0), (it.Ledger.Stored, it.Ledger.DroppedTotal));
    }

    [Fact]
    public async Task One_address_may_be_held_to_a_rate()
    {
        await using var it = await UdpHarness.OpenAsync(new UdpListenerOptions { ReadingsPerAddressPerSecond = 10 });

        await it.SendAsync(string.Join('\n', Enumerable.Range(0, 1000).Select(i => $"m1:{i}")));
        await it.SettledAsync(1000);

        Assert.InRange(it.Ledger.RejectedFor(RejectReason.RateLimited), 900, 990);
        Assert.Equal(1000, it.Ledger.Stored + it.Ledger.RejectedTotal);
    }

    [Fact]
    public async Task A_port_in_use_is_told_with_what_to_do()
    {
        await using var it = await UdpHarness.OpenAsync();
        using var second = new UdpListener(
            new UdpListenerOptions { Endpoint = new IPEndPoint(IPAddress.Loopback, it.Port) },
            new ListenerContext(it.Log, it.Admission, it.DeadLetters, new Decoder(new DecoderOptions()), TimeProvider.System, SecurityMode.Open),
            new ListenerLedger(ListenerId.Udp), NullLogger<UdpListener>.Instance);

        var error = await Assert.ThrowsAsync<StartException>(async () => await second.BindAsync(CancellationToken.None));

        Assert.Contains($"127.0.0.1:{it.Port}", error.Message);
        Assert.Contains("Listeners:Udp:Endpoint", error.Message);
    }

    [Fact]
    public void Taking_good_datagrams_allocates_nothing()
    {
        var log = new MemoryLog();
        var context = new ListenerContext(
            log, new TestAdmission { AdmitsAll = true }, new TestDeadLetters(), new Decoder(new DecoderOptions()), TimeProvider.System, SecurityMode.Open);
        var intake = new DatagramIntake(context, new UdpListenerOptions(), new ListenerLedger(ListenerId.Udp));
        var batch = new ReadingBatch(log.PartitionCount);
        byte[][] datagrams =
        [
            "AABB01:20.5"u8.ToArray(), "a:1\r\nb:2\n"u8.ToArray(), "m:{\"value\":1}"u8.ToArray(),
            "{\"id\":\"m1\",\"time\":\"2026-01-15T12:00:00Z\",\"value\":20.5}"u8.ToArray(),
        ];
        Run();

        var before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run()
        {
            batch.Clear();
            for (var i = 0; i < 1000; i++)
            {
                foreach (var datagram in datagrams)
                    intake.Take(datagram, 0, batch);
                intake.WriteBooks();
            }
        }
    }

    [Theory]
    [InlineData(64 << 10, 0)]
    [InlineData(212_992, 138)]
    [InlineData(4 << 20, 1000)]
    [InlineData(64 << 20, 1000)]
    public void The_nap_leaves_room_in_the_buffer_that_was_granted(int bufferBytes, int micros) =>
        Assert.Equal(micros, ReceiveNap.MicrosFor(bufferBytes));

    [Fact]
    public void The_portable_source_takes_the_same_datagrams()
    {
        using var receiver = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        receiver.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var sender = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        using var source = new OneByOneSource(receiver, withAddresses: true);
        Assert.Equal(0, source.Receive());

        sender.SendTo("m1:1"u8, receiver.LocalEndPoint!);
        sender.SendTo(""u8, receiver.LocalEndPoint!);
        receiver.Poll(TimeSpan.FromSeconds(30), SelectMode.SelectRead);

        Assert.Equal(1, source.Receive());
        Assert.Equal("m1:1", Encoding.ASCII.GetString(source.Datagram(0)));
        Assert.Equal(AddressRates.KeyOf(IPAddress.Loopback), source.AddressOf(0));
        Assert.Equal(1, source.Receive());
        Assert.Equal(0, source.Datagram(0).Length);
    }
}
