using Millrace.Core;

namespace Millrace.Log.Writing;

/// <summary>One listener's way into the log, with its own bound on what waits for the disk. Hot; thread-safe.</summary>
internal sealed class Appender(SegmentLog log, Gathering gathering, ListenerLedger ledger, long pendingBytesMax) : ILogAppender
{
    /// <summary>The largest batch: a block of it must stay readable in one piece.</summary>
    internal const int BatchBytesMax = 32 << 20;

    private readonly Lock _gate = new();
    private readonly LinkedList<Waiter> _waiters = new();
    private long _pendingBytes;

    public ListenerLedger Ledger => ledger;

    public bool TryAppend(ReadingBatch batch)
    {
        Check(batch);
        if (batch.Count == 0)
            return true;
        lock (_gate)
        {
            if (_waiters.Count > 0 || !HasRoom(batch.Bytes))
                return false;
            _pendingBytes += batch.Bytes;
        }

        ledger.EnterFlight(batch.Count);
        if (gathering.TryTake(this, batch, waits: false, out _))
            return true;
        ledger.EnterFlight(-batch.Count); // Not taken after all.
        Release(batch.Bytes);
        return false;
    }

    public ValueTask AppendAsync(ReadingBatch batch, CancellationToken cancel)
    {
        Check(batch);
        return batch.Count == 0 ? ValueTask.CompletedTask : AppendCheckedAsync(batch, cancel);
    }

    /// <summary>Gives back room when readings have left the log's memory, and lets waiting appends in, first come first served.</summary>
    public void Release(long bytes)
    {
        lock (_gate)
        {
            _pendingBytes -= bytes;
            while (_waiters.First is { } first && HasRoom(first.Value.Bytes))
            {
                _waiters.RemoveFirst();
                _pendingBytes += first.Value.Bytes;
                first.Value.Admitted.SetResult();
            }
        }
    }

    /// <summary>Turns away everybody who waits for room: the log has stopped accepting.</summary>
    public void Refuse(LogUnavailableException why)
    {
        lock (_gate)
        {
            foreach (var waiter in _waiters)
                waiter.Admitted.SetException(why);
            _waiters.Clear();
        }
    }

    private async ValueTask AppendCheckedAsync(ReadingBatch batch, CancellationToken cancel)
    {
        var (readings, bytes) = (batch.Count, batch.Bytes);
        ledger.EnterFlight(readings);
        try
        {
            await EnterAsync(bytes, cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            ledger.LandDropped(DropReason.Abandoned, readings);
            throw;
        }
        catch (LogUnavailableException refusal)
        {
            ledger.LandDropped(refusal.Drop(), readings);
            throw;
        }

        if (!gathering.TryTake(this, batch, waits: true, out var durable))
        {
            var refusal = log.Unavailable();
            ledger.LandDropped(refusal.Drop(), readings);
            Release(bytes);
            throw refusal;
        }

        // From here on the writer settles room and ledger, whatever happens.
        await durable!.ConfigureAwait(false);
    }

    private Task EnterAsync(int bytes, CancellationToken cancel)
    {
        if (cancel.IsCancellationRequested)
            return Task.FromCanceled(cancel);
        LinkedListNode<Waiter> place;
        lock (_gate)
        {
            if (_waiters.Count == 0 && HasRoom(bytes))
            {
                _pendingBytes += bytes;
                return Task.CompletedTask;
            }

            if (log.State != LogState.Accepting)
                return Task.FromException(log.Unavailable());
            place = _waiters.AddLast(new Waiter(bytes));
        }

        return WaitAsync(place, cancel);
    }

    private async Task WaitAsync(LinkedListNode<Waiter> place, CancellationToken cancel)
    {
        using var registration = cancel.UnsafeRegister((_, token) => GiveUp(place, token), null);
        await place.Value.Admitted.Task.ConfigureAwait(false);
    }

    private void GiveUp(LinkedListNode<Waiter> place, CancellationToken token)
    {
        lock (_gate)
        {
            if (place.List is null)
                return; // Admitted or refused before.
            _waiters.Remove(place);
            place.Value.Admitted.SetCanceled(token);
        }

        Release(0); // A large one that gave up may have held up small ones behind it.
    }

    /// <summary>A batch larger than the whole bound goes in alone.</summary>
    private bool HasRoom(int bytes) => _pendingBytes == 0 || _pendingBytes + bytes <= pendingBytesMax;

    private void Check(ReadingBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.PartitionCount != log.PartitionCount)
            throw new ArgumentException($"The batch has {batch.PartitionCount} partitions, the log {log.PartitionCount}.", nameof(batch));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(batch.Bytes, BatchBytesMax);
    }

    private sealed class Waiter(int bytes)
    {
        public int Bytes { get; } = bytes;

        public TaskCompletionSource Admitted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
