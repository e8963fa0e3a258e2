using Millrace.Core;

namespace Millrace.Listeners.Udp;

/// <summary>
/// Batches on their way to the log. While the log cannot take them they wait in a bounded ring, in order; what does not fit
/// is dropped and counted. Never waits. One thread.
/// </summary>
internal sealed class WaitingBatches(IReadingLog log, ILogAppender appender, ListenerLedger ledger, long bytesMax)
{
    /// <summary>Batches kept for reuse: more only wait after a stall, and then their memory is better given back.</summary>
    private const int SpareMax = 4;

    private readonly Queue<ReadingBatch> _waiting = [];
    private readonly Stack<ReadingBatch> _spare = [];
    private long _waitingBytes;

    /// <summary>The batch being filled.</summary>
    public ReadingBatch Current { get; private set; } = new(log.PartitionCount);

    public bool IsEmpty => Current.Count == 0 && _waiting.Count == 0;

    /// <summary>Offers everything to the log, oldest first.</summary>
    /// <returns>Readings that had to be dropped.</returns>
    public long Flush()
    {
        OfferWaiting();
        if (Current.Count == 0)
            return 0;
        if (_waiting.Count == 0 && TryOffer(Current))
        {
            Current.Clear();
            return 0;
        }

        if (log.State != LogState.Failed && _waitingBytes + Current.Bytes <= bytesMax)
        {
            _waiting.Enqueue(Current);
            _waitingBytes += Current.Bytes;
            Current = _spare.TryPop(out var spare) ? spare : new ReadingBatch(log.PartitionCount);
            return 0;
        }

        var dropped = Drop(Current);
        Current.Clear();
        return dropped;
    }

    /// <summary>Gives up on what the log will not take any more.</summary>
    /// <returns>Readings dropped.</returns>
    public long Abandon()
    {
        var dropped = Current.Count > 0 ? Drop(Current) : 0;
        Current.Clear();
        while (_waiting.TryDequeue(out var batch))
            dropped += Drop(batch);
        _waitingBytes = 0;
        return dropped;
    }

    private void OfferWaiting()
    {
        while (_waiting.TryPeek(out var batch) && TryOffer(batch))
        {
            _waiting.Dequeue();
            _waitingBytes -= batch.Bytes;
            if (_spare.Count == SpareMax)
                continue;
            batch.Clear();
            _spare.Push(batch);
        }
    }

    private bool TryOffer(ReadingBatch batch)
    {
        // The readings have been in flight since they were received; the log counts those it takes itself.
        ledger.EnterFlight(-batch.Count);
        if (appender.TryAppend(batch))
            return true;
        ledger.EnterFlight(batch.Count);
        return false;
    }

    private long Drop(ReadingBatch batch)
    {
        var reason = log.State switch
        {
            LogState.Full => DropReason.LogFull,
            LogState.Failed => DropReason.LogFailed,
            _ => DropReason.Queue,
        };
        ledger.LandDropped(reason, batch.Count);
        return batch.Count;
    }
}
