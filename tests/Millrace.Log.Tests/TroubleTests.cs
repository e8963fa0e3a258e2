using Millrace.Core;
using Millrace.Log.Segments;
using Millrace.Log.Tests.Simulation;
using Millrace.Testing;

namespace Millrace.Log.Tests;

/// <summary>Full disks, failing flushes, and what appenders see of them.</summary>
public sealed class TroubleTests
{
    private static readonly LogOptions Options = TestLog.Small("/sim/log") with { SegmentBytes = 1 << 20, ReserveBytes = 10_000 };

    private readonly SimulatedDisk _disk = new(11);

    [Fact]
    public async Task A_full_disk_stops_the_log_with_a_clear_word_and_room_starts_it_again()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        _disk.CapacityBytes = 300_000;

        var refusal = await FillUntilRefusedAsync(log);
        Assert.Equal((LogState.Full, LogState.Full), (refusal.State, log.Log.State));
        Assert.Contains("free some space", log.Log.StateDetail);
        Assert.False(log.Appender.TryAppend(log.Batch(("m", "v"))));
        await Assert.ThrowsAsync<LogUnavailableException>(() => log.AppendAsync("m", "v"));
        Assert.Equal(log.ReadAll().Count, log.Ledger.Stored);
        Assert.Equal((2, 0), (log.Ledger.DroppedFor(DropReason.LogFull), log.Ledger.InFlight));

        _disk.CapacityBytes = 1_000_000;
        log.Time.Advance(TimeSpan.FromSeconds(2));
        await UntilAcceptingAsync(log);
        await log.AppendAsync("m", "after");
        Assert.Equal("after", log.ReadAll()[^1].Value);
    }

    [Fact]
    public async Task What_was_half_written_when_the_disk_filled_up_is_gone()
    {
        var options = Options with { ReserveBytes = 0 };
        await using (var log = await TestLog.OpenAsync(options, _disk))
        {
            await log.FillAsync(10);
            var segment = _disk.Names.Single(n => n.EndsWith(Segment.Extension, StringComparison.Ordinal));
            var length = _disk.BytesOf(segment).Length;
            _disk.PromisesRoom = true;
            _disk.CapacityBytes = _disk.Used + 500;

            var refusal = await Assert.ThrowsAsync<LogUnavailableException>(() => log.AppendAsync("m", new string('x', 1000)));

            Assert.Equal((LogState.Full, length), (refusal.State, _disk.BytesOf(segment).Length));
            Assert.Equal(10, log.ReadAll().Count);
            _disk.CapacityBytes = 1 << 20;
        }

        await using var again = await TestLog.OpenAsync(options, _disk);
        Assert.Equal(10, again.ReadAll().Count);
    }

    [Fact]
    public async Task A_failed_flush_ends_the_log_until_it_is_opened_again()
    {
        var log = await TestLog.OpenAsync(Options, _disk);
        await log.FillAsync(10);

        _disk.FlushesToFail = 1;
        var refusal = await Assert.ThrowsAsync<LogUnavailableException>(() => log.AppendAsync("m", "lost?"));
        Assert.Equal((LogState.Failed, LogState.Failed), (refusal.State, log.Log.State));
        Assert.Equal(refusal.Message, (await log.Log.Failure).Message);
        await Assert.ThrowsAsync<LogUnavailableException>(() => log.AppendAsync("m", "v"));
        Assert.False(log.Appender.TryAppend(log.Batch(("m", "v"))));
        Assert.Equal((10, 2, 0), (log.Ledger.Stored, log.Ledger.DroppedFor(DropReason.LogFailed), log.Ledger.InFlight));
        var operations = _disk.Operations;
        await log.DisposeAsync();
        Assert.Equal(operations, _disk.Operations);
    }

    [Fact]
    public async Task What_recovery_shows_after_a_failed_flush_survives_the_next_power_loss()
    {
        for (ulong seed = 1; seed <= 10; seed++)
        {
            var disk = new SimulatedDisk(seed);
            var log = await TestLog.OpenAsync(Options, disk);
            await log.FillAsync(10);
            disk.FlushesToFail = 1;
            await Assert.ThrowsAsync<LogUnavailableException>(() => log.AppendAsync("m", new string('x', 3000)));
            disk.Kill();
            await log.DisposeAsync();

            var again = await TestLog.OpenAsync(Options, disk);
            var shown = again.ReadAll();
            disk.LosePower();
            await again.DisposeAsync();

            await using var last = await TestLog.OpenAsync(Options, disk);
            Assert.Equal(shown, last.ReadAll());
            Assert.True(shown.Count >= 10);
        }
    }

    [Fact]
    public async Task An_appender_at_its_bound_waits_or_says_no_and_the_others_go_on()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        var narrow = log.Log.OpenAppender(log.Ledger, 300);
        var stalled = _disk.Pause();
        var first = narrow.AppendAsync(log.Batch(("m", new string('1', 200))), CancellationToken.None).AsTask();
        await stalled.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.False(narrow.TryAppend(log.Batch(("m", new string('2', 200)))));
        var second = narrow.AppendAsync(log.Batch(("m", new string('2', 200))), CancellationToken.None).AsTask();
        Assert.True(log.Appender.TryAppend(log.Batch(("m", "other"))));
        Assert.Equal(3, log.Ledger.InFlight);
        Assert.False(second.IsCompleted);
        _disk.Resume();

        await Task.WhenAll(first, second).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(["1", "o", "2"], log.ReadAll().Select(r => r.Value[..1]));
        Assert.Equal((3, 0), (log.Ledger.Stored, log.Ledger.InFlight));
    }

    [Fact]
    public async Task Giving_up_while_waiting_for_room_counts_the_readings_as_abandoned()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        var narrow = log.Log.OpenAppender(log.Ledger, 300);
        var stalled = _disk.Pause();
        var first = narrow.AppendAsync(log.Batch(("m", new string('1', 200))), CancellationToken.None).AsTask();
        await stalled.WaitAsync(TimeSpan.FromSeconds(30));
        using var patience = new CancellationTokenSource();
        var large = narrow.AppendAsync(log.Batch(("m", new string('2', 290))), patience.Token).AsTask();
        var small = narrow.AppendAsync(log.Batch(("m", "3")), CancellationToken.None).AsTask();

        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => large);
        _disk.Resume();

        await Task.WhenAll(first, small).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal((2, 1, 0), (log.Ledger.Stored, log.Ledger.DroppedFor(DropReason.Abandoned), log.Ledger.InFlight));
    }

    [Fact]
    public async Task When_the_log_fails_everybody_who_waits_is_told()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        var narrow = log.Log.OpenAppender(log.Ledger, 300);
        var stalled = _disk.Pause();
        List<Task> appends = [narrow.AppendAsync(log.Batch(("m", new string('1', 200))), CancellationToken.None).AsTask()];
        await stalled.WaitAsync(TimeSpan.FromSeconds(30));
        for (var i = 0; i < 5; i++)
            appends.Add(narrow.AppendAsync(log.Batch(("m", new string('2', 200))), CancellationToken.None).AsTask());
        for (var i = 0; i < 5; i++)
            appends.Add(log.Appender.AppendAsync(log.Batch(("m", "3")), CancellationToken.None).AsTask());
        _disk.FlushesToFail = 1;
        _disk.Resume();

        foreach (var append in appends)
            await Assert.ThrowsAsync<LogUnavailableException>(() => append.WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.Equal((0, 11, 0), (log.Ledger.Stored, log.Ledger.DroppedFor(DropReason.LogFailed), log.Ledger.InFlight));
    }

    [Fact]
    public async Task Readings_gathered_while_the_disk_stalls_are_stored_when_it_goes_on()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        var stalled = _disk.Pause();
        Assert.True(log.Appender.TryAppend(log.Batch(("m", "first"))));
        await stalled.WaitAsync(TimeSpan.FromSeconds(30));
        var taken = 1;
        for (; taken < 500; taken++)
            Assert.True(log.Appender.TryAppend(log.Batch(("m", $"{taken}".PadRight(200)))));
        Assert.Empty(log.ReadAll());
        _disk.Resume();

        await log.Log.FlushAsync();
        Assert.Equal(taken, log.ReadAll().Count);
        Assert.Equal((taken, 0), (log.Ledger.Stored, log.Ledger.InFlight));
    }

    [Fact]
    public async Task All_mistakes_in_the_options_are_told_at_once()
    {
        var refusal = await Assert.ThrowsAsync<ArgumentException>(() => TestLog.OpenAsync(new LogOptions { Folder = "", Partitions = 0, SegmentBytes = 1 }, _disk));

        Assert.Contains("Log:Folder", refusal.Message);
        Assert.Contains("Log:Partitions", refusal.Message);
        Assert.Contains("Log:SegmentBytes", refusal.Message);
    }

    private static async Task<LogUnavailableException> FillUntilRefusedAsync(TestLog log)
    {
        for (var i = 0; i < 10_000; i++)
        {
            try
            {
                await log.AppendAsync("m", new string('x', 1000));
            }
            catch (LogUnavailableException refusal)
            {
                return refusal;
            }
        }

        throw new InvalidOperationException("the disk never filled up");
    }

    /// <summary>The writer's thread takes note of the clock by itself; the log's own state is the signal.</summary>
    private static async Task UntilAcceptingAsync(TestLog log)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (log.Log.State != LogState.Accepting)
        {
            deadline.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
