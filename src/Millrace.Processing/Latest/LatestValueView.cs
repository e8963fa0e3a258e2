using System.Buffers;
using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Processing.Latest;

/// <summary>
/// The newest reading of every device as a view of the log: the device table, kept up by the log, saved by shard. A
/// reading is newer when its event time is greater, or equal with a greater sequence, so that seeing a reading twice
/// changes nothing and saving may go on while readings are taken in.
/// </summary>
public sealed class LatestValueView : IReadingView, ILatestReadings
{
    private readonly DeviceTable _table;
    private readonly LatestSnapshots _snapshots;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _waitGate = new();
    private volatile int _waiting;
    private TaskCompletionSource _moved = NewSignal();
    private bool _restored;
    private long _refusedTold;

    /// <param name="folder">Below the data folder; made when missing.</param>
    public LatestValueView(DeviceTable table, string folder, TimeProvider time, ILogger<LatestValueView> logger)
    {
        ArgumentNullException.ThrowIfNull(table);
        (_table, _time, _logger) = (table, time, logger);
        _snapshots = new LatestSnapshots(folder, table, logger);
        Position = new PositionVector(table.Partitions);
    }

    public string Name => "latest";

    public PositionVector Position { get; }

    public bool SavesWhileApplying => true;

    /// <summary>Fills the table from the snapshots; called before the server takes readings, and by the first opening otherwise.</summary>
    public void Restore(CancellationToken cancel)
    {
        if (_restored)
            return;
        var started = _time.GetTimestamp();
        var position = _snapshots.Load(cancel);
        for (var partition = 0; partition < position.Count; partition++)
            Position[partition] = position[partition];
        _restored = true;
        LatestLog.Restored(_logger, _table.Count, (long)_time.GetElapsedTime(started).TotalMilliseconds);
    }

    public ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
    {
        // After a fault the memory is as good as before: what was half applied is applied again.
        Restore(cancel);
        return ValueTask.FromResult(Position.Copy());
    }

    public ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        _table.Apply(block);
        MoveTo(block.Partition, block.NextSequence);
        return ValueTask.CompletedTask;
    }

    public void OnLost(LostRange lost)
    {
        ArgumentNullException.ThrowIfNull(lost);
        MoveTo(lost.Partition, Math.Max(Position[lost.Partition], lost.To));
    }

    public async ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
    {
        await Task.Factory.StartNew(() => _snapshots.Save(position, cancel), cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        if (_table.RefusedReadings != _refusedTold)
        {
            LatestLog.TableFull(_logger, _table.Max, _table.RefusedReadings - _refusedTold);
            _refusedTold = _table.RefusedReadings;
        }
    }

    public bool TryRead(ushort tenant, ReadOnlySpan<byte> id, IBufferWriter<byte> record, out ReadingPlace place) =>
        _table.TryRead(tenant, id, record, out place);

    public ValueTask<bool> ReachAsync(int partition, long next, TimeSpan limit, CancellationToken cancel) =>
        Position[partition] >= next ? ValueTask.FromResult(true) : WaitAsync(partition, next, limit, cancel);

    private async ValueTask<bool> WaitAsync(int partition, long next, TimeSpan limit, CancellationToken cancel)
    {
        var deadline = _time.GetTimestamp();
        Interlocked.Increment(ref _waiting);
        try
        {
            while (true)
            {
                Task moved;
                lock (_waitGate)
                    moved = _moved.Task;
                // Looked at after the signal was taken: a move in between completes that signal.
                if (Position[partition] >= next)
                    return true;
                var left = limit - _time.GetElapsedTime(deadline);
                if (left <= TimeSpan.Zero)
                    return false;
                await moved.WaitAsync(left, _time, cancel);
            }
        }
        catch (TimeoutException)
        {
            return Position[partition] >= next;
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    private void MoveTo(int partition, long next)
    {
        Position[partition] = next;
        // Or the look at the waiting might come before the new position is seen, and a waiter would sleep over it.
        Interlocked.MemoryBarrier();
        if (_waiting > 0)
            Signal();
    }

    private void Signal()
    {
        lock (_waitGate)
        {
            _moved.SetResult();
            _moved = NewSignal();
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
