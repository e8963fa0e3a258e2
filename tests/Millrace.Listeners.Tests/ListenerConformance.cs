using Millrace.Core;

namespace Millrace.Listeners.Tests;

/// <summary>What every listener must do, whatever it speaks.</summary>
public abstract class ListenerConformance
{
    /// <summary>Starts the listener under test.</summary>
    private protected abstract Task<ListenerHarness> StartAsync(SecurityMode security = SecurityMode.Open, bool allowAnonymous = false);

    [Fact]
    public async Task A_reading_arrives_in_the_log_with_its_device_and_value()
    {
        await using var it = await StartAsync();

        await it.SendAsync("meter-1", 20.5);
        await it.SettledAsync(1);

        var (id, payload) = Assert.Single(it.Stored);
        Assert.Equal("meter-1", id);
        Assert.Contains("20.5", payload);
        Assert.Equal(1, it.Ledger.Stored);
    }

    [Fact]
    public async Task Garbage_is_counted_and_the_listener_serves_on()
    {
        await using var it = await StartAsync();

        await it.SendAsync("meter-1", 1);
        await it.SendGarbageAsync();
        await it.SendAsync("meter-1", 2);
        await it.SettledAsync(3);

        Assert.Equal((3, 2, 1), (it.Ledger.Received, it.Ledger.Stored, it.Ledger.RejectedTotal));
        Assert.Equal(2, it.Stored.Count);
    }

    [Fact]
    public async Task Books_balance_over_good_bad_and_unwanted_readings()
    {
        await using var it = await StartAsync();
        it.Admission.Decide = id => id == "blocked" ? RejectReason.DeviceBlocked : RejectReason.None;

        for (var i = 0; i < 100; i++)
        {
            await it.SendAsync("meter-1", i);
            await it.SendAsync("blocked", i);
            await it.SendGarbageAsync();
        }

        await it.SettledAsync(300);
        Assert.Equal((300, 100, 200, 0), (it.Ledger.Received, it.Ledger.Stored, it.Ledger.RejectedTotal, it.Ledger.DroppedTotal));
        Assert.Equal(100, it.Ledger.RejectedFor(RejectReason.DeviceBlocked));
        Assert.Equal(100, it.Stored.Count);
    }

    [Fact]
    public async Task Readings_of_a_device_keep_their_order()
    {
        await using var it = await StartAsync();

        for (var i = 0; i < 200; i++)
            await it.SendAsync("meter-1", i + 0.5);
        await it.SettledAsync(200);

        Assert.Equal(Enumerable.Range(0, 200).Select(i => $"{i}.5"), it.Stored.Select(r => r.Payload.Trim('{', '}').Split(':')[^1]));
    }

    [Fact]
    public async Task What_was_taken_is_finished_when_the_listener_stops()
    {
        await using var it = await StartAsync();
        it.Log.Hold();
        await it.SendAsync("meter-1", 20.5);
        await it.ReceivedAsync(1);

        var stopped = it.StopAsync();
        it.Log.Release();
        await stopped;

        await it.SettledAsync(1);
        Assert.Equal(1, it.Ledger.Stored);
        Assert.Single(it.Stored);
    }

    [Fact]
    public async Task Readings_the_log_cannot_take_are_counted()
    {
        await using var it = await StartAsync();
        it.Log.State = LogState.Full;

        await it.SendAsync("meter-1", 20.5);
        await it.ReceivedAsync(1);
        await it.StopAsync();

        Assert.Equal((0, 1), (it.Ledger.Stored, it.Ledger.DroppedFor(DropReason.LogFull)));
        Assert.Equal((0, 0), (it.Unaccounted, it.Ledger.InFlight));
    }

    [Fact]
    public async Task In_token_mode_nobody_is_taken_on_trust()
    {
        await using var it = await StartAsync(SecurityMode.Token);

        await it.SendAsync("meter-1", 20.5);
        await it.SettledAsync(1);

        Assert.Equal((0, 1), (it.Ledger.Stored, it.Ledger.RejectedFor(RejectReason.Unauthenticated)));
    }

    [Fact]
    public async Task Anonymous_readings_that_are_allowed_are_stored_as_not_authenticated()
    {
        await using var it = await StartAsync(SecurityMode.Token, allowAnonymous: true);

        await it.SendAsync("meter-1", 20.5);
        await it.SettledAsync(1);

        Assert.Equal(1, it.Ledger.Stored);
        foreach (var record in it.Log.Blocks[0])
            Assert.Equal(ReadingFlags.None, record.Flags);
    }
}
