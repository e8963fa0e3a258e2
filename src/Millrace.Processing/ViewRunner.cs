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

    /// <summary>A view gets this long to save its state when the server stops; beyond it the next start re-reads.</summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(5);

    private long _skipped;
    private volatile PositionVector _position = new(log.PartitionCount);

    public string Name => view.Name;

    public ViewState State { get; private set; }

    /// <summary>The last fault, cleared when the view has run for a while.</summary>
    public string? LastError { get; private set; }

    /// <summary>Readings that retention or damage took from the view since start.</summary>
    public long Skipped => Interlocked.Read(ref _skipped);

    /// <summary>Per partition the next sequence the view will take. Live: copy it to keep it.</summary>
    public PositionVector Position => _position;

    public long LagReadings => State == ViewState.Opening ? 0 : _position.LagBehind(log.Durable);

    /// <summary>Runs the view until <paramref name="leaving"/> fires; then saves its state and returns. Never throws.</summary>
    public async Task RunAsync(CancellationToken leaving)
    {
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
        using var reader = log.OpenReader(await OpenAsync(leaving));
        _position = reader.Position;
        State = ViewState.Running;
        try
        {
            await FeedAsync(reader, leaving);
        }
        catch (OperationCanceledException) when (leaving.IsCancellationRequested)
        {
            await SaveWhenStoppingAsync(reader);
            throw;
        }
    }

    private async Task<PositionVector> OpenAsync(CancellationToken leaving)
    {
        var position = await view.OpenAsync(log, leaving);
        _position = position.Copy();
        return position;
    }

    private async Task FeedAsync(ILogReader reader, CancellationToken leaving)
    {
        var due = Task.Delay(checkpointEvery, time, leaving);
        while (true)
        {
            var block = reader.TryRead();
            if (block is null)
            {
                await view.IdleAsync(leaving);
                var reading = reader.ReadAsync(leaving).AsTask();
                if (await Task.WhenAny(reading, due) == due)
                    due = await CheckpointAsync(reader, leaving);
                block = await reading;
            }

            TakeLost(reader);
            await view.ApplyAsync(block, leaving);
            if (due.IsCompleted)
                due = await CheckpointAsync(reader, leaving);
            leaving.ThrowIfCancellationRequested();
        }
    }

    private async Task<Task> CheckpointAsync(ILogReader reader, CancellationToken leaving)
    {
        await view.CheckpointAsync(reader.Position.Copy(), leaving);
        LastError = null;
        return Task.Delay(checkpointEvery, time, leaving);
    }

    private async Task SaveWhenStoppingAsync(ILogReader reader)
    {
        using var limit = new CancellationTokenSource(StopLimit, time);
        try
        {
            await view.CheckpointAsync(reader.Position.Copy(), limit.Token);
        }
        catch (Exception e)
        {
            ViewLog.NotSaved(logger, view.Name, e.Message);
        }
    }

    private void TakeLost(ILogReader reader)
    {
        while (reader.TakeLost() is { } lost)
        {
            Interlocked.Add(ref _skipped, lost.To - lost.From);
            ViewLog.Lost(logger, view.Name, lost.Partition, lost.From, lost.To);
            view.OnLost(lost);
        }
    }
}
