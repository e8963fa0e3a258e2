using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Processing.Tests;

public sealed class ViewRunnerTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private readonly MemoryLog _log = new();
    private readonly ManualTime _time = new();

    [Fact]
    public async Task A_view_sees_every_reading_once_and_saves_when_stopping()
    {
        var view = new CollectingView();
        using var leaving = new CancellationTokenSource();
        Send(3);
        var running = new ViewRunner(_log, view, TimeSpan.FromMinutes(1), _time, NullLogger.Instance).RunAsync(leaving.Token);
        await view.SeenAsync(3);
        Send(2);
        await view.SeenAsync(5);

        await leaving.CancelAsync();
        await running.WaitAsync(Deadline);

        Assert.Equal(5, view.Seen);
        Assert.Equal(_log.Durable, view.Saved);
    }

    [Fact]
    public async Task A_faulting_view_restarts_from_its_checkpoint_after_a_pause()
    {
        var view = new CollectingView { FaultAt = 2 };
        using var leaving = new CancellationTokenSource();
        var runner = new ViewRunner(_log, view, TimeSpan.FromMinutes(1), _time, NullLogger.Instance);
        Send(1);
        var running = runner.RunAsync(leaving.Token);
        await view.SeenAsync(1);
        Send(1);
        await view.FaultedAsync();

        while (view.Seen < 3)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        Assert.Equal("as asked", runner.LastError);
        await leaving.CancelAsync();
        await running.WaitAsync(Deadline);
        Assert.Equal(2, view.Opened);
    }

    [Fact]
    public async Task An_idle_view_still_saves_when_its_interval_has_passed()
    {
        var view = new CollectingView();
        using var leaving = new CancellationTokenSource();
        Send(4);
        var running = new ViewRunner(_log, view, TimeSpan.FromMinutes(1), _time, NullLogger.Instance).RunAsync(leaving.Token);
        await view.IdledAsync();

        _time.Advance(TimeSpan.FromMinutes(1));
        await view.SavedAsync();

        Assert.Equal(_log.Durable, view.Saved);
        await leaving.CancelAsync();
        await running.WaitAsync(Deadline);
    }

    [Fact]
    public async Task A_block_cut_short_by_leaving_is_taken_in_again_and_not_skipped()
    {
        var view = new CollectingView { BlockFirst = true };
        using var leaving = new CancellationTokenSource();
        Send(1);
        var running = new ViewRunner(_log, view, TimeSpan.FromMinutes(1), _time, NullLogger.Instance).RunAsync(leaving.Token);
        await view.BlockedAsync();

        await leaving.CancelAsync();
        await running.WaitAsync(Deadline);

        Assert.Equal(1, view.Seen);
        Assert.Equal(_log.Durable, view.Saved);
    }

    [Fact]
    public async Task A_view_that_can_saves_while_it_goes_on_taking_in()
    {
        var view = new CollectingView { SavesWhileApplying = true, HoldSaving = new(TaskCreationOptions.RunContinuationsAsynchronously) };
        using var leaving = new CancellationTokenSource();
        Send(1);
        var running = new ViewRunner(_log, view, TimeSpan.FromMinutes(1), _time, NullLogger.Instance).RunAsync(leaving.Token);
        await view.IdledAsync();
        _time.Advance(TimeSpan.FromMinutes(1));
        await view.SavingAsync();

        Send(1);
        await view.SeenAsync(2);
        Assert.Null(view.Saved);

        view.HoldSaving.SetResult();
        await view.SavedAsync();
        await leaving.CancelAsync();
        await running.WaitAsync(Deadline);
        Assert.Equal(_log.Durable, view.Saved);
    }

    [Fact]
    public async Task A_view_with_much_to_read_does_not_hold_up_who_starts_it()
    {
        using var started = new ManualResetEventSlim();
        var view = new CollectingView { BeforeApply = () => Assert.True(started.Wait(Deadline), "the starter waits for the view") };
        using var leaving = new CancellationTokenSource();
        Send(1);

        var running = new ViewRunner(_log, view, TimeSpan.FromMinutes(1), _time, NullLogger.Instance).RunAsync(leaving.Token);
        started.Set();

        await view.SeenAsync(1);
        Assert.Equal(1, view.Opened);
        await leaving.CancelAsync();
        await running.WaitAsync(Deadline);
    }

    private void Send(int readings)
    {
        var batch = new ReadingBatch(_log.PartitionCount);
        for (var i = 0; i < readings; i++)
            batch.Add(0, Encoding.ASCII.GetBytes($"m{i}"), ListenerId.Udp, PayloadFormat.Text, ReadingFlags.None, Micros.None, [], "1"u8);
        Assert.True(_log.OpenAppender(new ListenerLedger(ListenerId.Udp), 1 << 20).TryAppend(batch));
    }

    private sealed class CollectingView : IReadingView
    {
        private readonly SemaphoreSlim _signal = new(0);
        private readonly TaskCompletionSource _faulted = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _saved = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _idled = new(TaskCreationOptions.RunContinuationsAsynchronously);

        private readonly TaskCompletionSource _blocked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _saving = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string Name => "collecting";
        public bool SavesWhileApplying { get; init; }
        public bool BlockFirst { get; set; }
        public TaskCompletionSource? HoldSaving { get; init; }
        public int Seen { get; private set; }
        public int Opened { get; private set; }
        public int? FaultAt { get; set; }
        public PositionVector? Saved { get; private set; }
        public Action? BeforeApply { get; init; }

        public ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
        {
            Opened++;
            return ValueTask.FromResult(Saved ?? new PositionVector(log.PartitionCount));
        }

        public async ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
        {
            BeforeApply?.Invoke();
            if (BlockFirst)
            {
                BlockFirst = false;
                _blocked.SetResult();
                await Task.Delay(Timeout.Infinite, cancel);
            }

            if (FaultAt is { } at && Seen + block.Count >= at)
            {
                FaultAt = null;
                _faulted.SetResult();
                throw new InvalidOperationException("as asked");
            }

            Seen += block.Count;
            _signal.Release(block.Count);
        }

        public ValueTask IdleAsync(CancellationToken cancel)
        {
            if (Seen > 0)
                _idled.TrySetResult();
            return ValueTask.CompletedTask;
        }

        public async ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
        {
            _saving.TrySetResult();
            if (HoldSaving is not null)
                await HoldSaving.Task;
            Saved = position;
            _saved.TrySetResult();
        }

        public async Task SeenAsync(int readings)
        {
            while (Seen < readings)
                Assert.True(await _signal.WaitAsync(Deadline));
        }

        public Task FaultedAsync() => _faulted.Task.WaitAsync(Deadline);

        public Task BlockedAsync() => _blocked.Task.WaitAsync(Deadline);

        public Task SavingAsync() => _saving.Task.WaitAsync(Deadline);

        public Task SavedAsync() => _saved.Task.WaitAsync(Deadline);

        public Task IdledAsync() => _idled.Task.WaitAsync(Deadline);
    }
}
