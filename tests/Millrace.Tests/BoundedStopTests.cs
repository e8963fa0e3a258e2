using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Log;
using Millrace.Log.Tests.Simulation;
using Millrace.Testing;

namespace Millrace.Tests;

public sealed class BoundedStopTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(15);
    private static readonly LogOptions Options = new() { Folder = "/log", Partitions = 2, ReserveBytes = 0, GroupWindow = TimeSpan.Zero };

    [Fact]
    public async Task A_stop_gives_a_disk_up_that_does_not_answer_and_says_what_was_not_stored()
    {
        var (disk, time, ledger) = (new SimulatedDisk(11), new ManualTime(), new ListenerLedger(ListenerId.Tcp));
        var log = await SegmentLog.OpenAsync(Options, disk, time, NullLogger.Instance);
        var appender = log.OpenAppender(ledger, 1 << 20);
        await appender.AppendAsync(Batch("stored"), CancellationToken.None);
        var hanging = disk.Pause();
        var waiting = appender.AppendAsync(Batch("a", "b"), CancellationToken.None).AsTask();
        await hanging;

        using var stopping = new CancellationTokenSource();
        var began = time.GetUtcNow();
        var running = BoundedStop.RunAsync(stop => ServeAsync(log, stop), Limit, [ledger], time, stopping.Token);
        await stopping.CancelAsync();
        while (!running.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(10));
            await Task.Yield();
        }

        var givenUp = await Assert.ThrowsAsync<StopGivenUpException>(() => running);
        Assert.Contains("2 readings", givenUp.Message);
        Assert.True(time.GetUtcNow() - began >= Limit);
        Assert.False(waiting.IsCompleted, "a reading was acknowledged that no disk holds");

        // The process is gone, and the machine with it.
        disk.LosePower();
        disk.Resume();
        await Assert.ThrowsAsync<LogUnavailableException>(() => waiting);
        await using var again = await SegmentLog.OpenAsync(Options, disk, time, NullLogger.Instance);
        Assert.Contains("stored", IdsOf(again));
    }

    [Fact]
    public async Task A_stop_in_time_is_a_stop_in_order()
    {
        var (time, ledger) = (new ManualTime(), new ListenerLedger(ListenerId.Tcp));
        var log = await SegmentLog.OpenAsync(Options, new SimulatedDisk(12), time, NullLogger.Instance);
        using var stopping = new CancellationTokenSource();

        var running = BoundedStop.RunAsync(stop => ServeAsync(log, stop), Limit, [ledger], time, stopping.Token);
        time.Advance(Limit * 2);
        Assert.False(running.IsCompleted);
        await stopping.CancelAsync();

        await running.WaitAsync(TimeSpan.FromSeconds(30));
    }

    private static async Task ServeAsync(SegmentLog log, CancellationToken stopping)
    {
        await new Shutdown([new QuietListener()], _ => Task.CompletedTask, log.FlushAsync).RunAsync(stopping);
        await log.DisposeAsync();
    }

    private static ReadingBatch Batch(params string[] ids)
    {
        var batch = new ReadingBatch(Options.Partitions);
        foreach (var id in ids)
            batch.Add(0, Encoding.UTF8.GetBytes(id), ListenerId.Tcp, PayloadFormat.Text, ReadingFlags.None, Micros.None, [], "1"u8);
        return batch;
    }

    private static List<string> IdsOf(SegmentLog log)
    {
        using var reader = log.OpenReader(log.Oldest);
        List<string> ids = [];
        while (reader.TryRead() is { } block)
        {
            foreach (var record in block)
                ids.Add(Encoding.UTF8.GetString(record.Id));
        }

        return ids;
    }

    private sealed class QuietListener : IListener
    {
        public string Name => "quiet";

        public string Endpoint => "";

        public ValueTask BindAsync(CancellationToken cancel) => ValueTask.CompletedTask;

        public Task RunAsync(CancellationToken stopping) =>
            Task.Delay(Timeout.Infinite, stopping).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }
}
