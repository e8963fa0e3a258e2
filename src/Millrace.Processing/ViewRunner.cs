using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Processing;

/// <summary>What a view is doing.</summary>
public enum ViewState
{
    Opening,
    Running,
    Restarting,
    Stopped,
}

/// <summary>
/// Drives one view: opens it, feeds it the log, has it save its state at intervals and when stopping. A view that faults
/// restarts alone, from its own checkpoint, with growing pauses; nothing else notices.
/// </summary>
public sealed class ViewRunner(IReadingLog log, IReadingView view, TimeSpan checkpointEvery, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan PauseMin = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan PauseMax = TimeSpan.FromSeconds(30);

    /// <summary>A view gets this long to catch up and save its state when the server stops; beyond it the next start re-reads.</summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(8);

    /// <summary>Of that, this much may go into catching up with what listeners took last.</summary>
    private static readonly TimeSpan CatchUpLimit = TimeSpan.FromSeconds(4);

    private long _skipped;
    private Task _saving = Task.CompletedTask;
    private volatile PositionVector _position = new(log.PartitionCount);

    public string Name => view.Name;

    public ViewState State { get; private set; }

    /// <summary>The last fault, cleared when the view has run for a while.</summary>
    public string? LastError { get; private set; }

    /// <summary>Readings that retention or damage took from the view since start.</summary>
    public long Skipped => Interlocked.Read(ref _skipped);

    /// <summary>Per partition the next sequence the view will take; what it is busy with still counts as ahead. Live: copy it to keep it.</summary>
    public PositionVector Position => _position;

    public long LagReadings => State == ViewState.Opening ? 0 : _position.LagBehind(log.Durable);

    /// <summary>Runs the view until <paramref name="leaving"/> fires; then saves its state and returns. Never throws.</summary>
    public async Task RunAsync(CancellationToken leaving)
    {
        // A view that has much to read goes on without a pause: on the caller's thread it would keep the listeners from starting.
        await Task.Yield();
        var pause = PauseMin;
        while (!leaving.IsCancellationRequested)
        {
            var startedAt = time.GetTimestamp();
            try
            {
                await RunOnceAsync(leaving);
            }
            catch (OperationCanceledException) when (leaving.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e)
            {
                if (time.GetElapsedTime(startedAt) > PauseMax)
                    pause = PauseMin;
                State = ViewState.Restarting;
                LastError = e.Message;
                ViewLog.Faulted(logger, view.Name, pause.TotalSeconds, e);
                pause = await PauseAsync(pause, leaving);
            }
        }

        State = ViewState.Stopped;
    }

    private async Task<TimeSpan> PauseAsync(TimeSpan pause, CancellationToken leaving)
    {
        try
        {
            await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), time, leaving);
        }
        catch (OperationCanceledException)
        {
            // Leaving: the loop's condition ends it.
        }

        return pause * 2 < PauseMax ? pause * 2 : PauseMax;
    }

    private async Task RunOnceAsync(CancellationToken leaving)
    {
        var from = await view.OpenAsync(log, leaving);
        using var reader = log.OpenReader(from);
        // Not the reader's position: that counts a block as read before the view has taken it in, and a block that is cut
        // short by a fault or by leaving has to come again.
        _position = from.Copy();
        State = ViewState.Running;
        try
        {
            await FeedAsync(reader, leaving);
        }
        catch (OperationCanceledException) when (leaving.IsCancellationRequested)
        {
            await WaitForSavingAsync();
            await FinishAsync();
            throw;
        }
        finally
        {
            await WaitForSavingAsync();
        }
    }

    private async Task FeedAsync(ILogReader reader, CancellationToken leaving)
    {
        var due = Task.Delay(checkpointEvery, time, leaving);
        while (true)
        {
            var block = reader.TryRead();
            if (block is null)
            {
                TakeLost(reader);
                await view.IdleAsync(leaving);
                var reading = reader.ReadAsync(leaving).AsTask();
                if (await Task.WhenAny(reading, due) == due)
                    due = await CheckpointAsync(leaving);
                block = await reading;
            }

            TakeLost(reader);
            await ApplyAsync(block, leaving);
            if (due.IsCompleted)
                due = await CheckpointAsync(leaving);
            leaving.ThrowIfCancellationRequested();
        }
    }

    private async ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        await view.ApplyAsync(block, cancel);
        _position[block.Partition] = block.NextSequence;
    }

    /// <summary>Saves, or sees to it that saving goes on beside; a fault of the last saving beside comes out here.</summary>
    private async Task<Task> CheckpointAsync(CancellationToken leaving)
    {
        leaving.ThrowIfCancellationRequested();
        var position = _position.Copy();
        if (!view.SavesWhileApplying)
        {
            await view.CheckpointAsync(position, leaving);
            LastError = null;
        }
        else if (_saving.IsCompleted)
        {
            await _saving;
            LastError = null;
            _saving = view.CheckpointAsync(position, leaving).AsTask();
        }

        return Task.Delay(checkpointEvery, time, leaving);
    }

    /// <summary>Waits until nothing is being saved any more; whether that went well is asked elsewhere.</summary>
    private async Task WaitForSavingAsync()
    {
        await _saving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _saving = Task.CompletedTask;
    }

    /// <summary>Takes in what became durable before leaving, within bounds, and saves.</summary>
    private async Task FinishAsync()
    {
        using var limit = new CancellationTokenSource(StopLimit, time);
        try
        {
            using var catchUp = new CancellationTokenSource(CatchUpLimit, time);
            await CatchUpAsync(catchUp.Token);
        }
        catch (OperationCanceledException)
        {
            // What is left is read after the next start.
        }
        catch (Exception e)
        {
            ViewLog.NotSaved(logger, view.Name, e.Message);
            return;
        }

        try
        {
            await view.CheckpointAsync(_position.Copy(), limit.Token);
        }
        catch (Exception e)
        {
            ViewLog.NotSaved(logger, view.Name, e.Message);
        }
    }

    private async Task CatchUpAsync(CancellationToken cancel)
    {
        var end = log.Durable.Copy();
        using var reader = log.OpenReader(_position.Copy());
        while (_position.LagBehind(end) > 0 && reader.TryRead() is { } block)
        {
            TakeLost(reader);
            await ApplyAsync(block, cancel);
            cancel.ThrowIfCancellationRequested();
        }

        await view.IdleAsync(cancel);
    }

    private void TakeLost(ILogReader reader)
    {
        while (reader.TakeLost() is { } lost)
        {
            Interlocked.Add(ref _skipped, lost.To - lost.From);
            _position[lost.Partition] = Math.Max(_position[lost.Partition], lost.To);
            ViewLog.Lost(logger, view.Name, lost.Partition, lost.From, lost.To);
            view.OnLost(lost);
        }
    }
}
