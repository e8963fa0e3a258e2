namespace Millrace.Core;

/// <summary>Whether the log takes readings, and if not, why.</summary>
public enum LogState
{
    Accepting,

    /// <summary>The disk reserve is reached; accepts again by itself when there is room.</summary>
    Full,

    /// <summary>A write or flush failed; the log accepts nothing until the server is restarted.</summary>
    Failed,
}

/// <summary>What the event log holds, for those that only read it. Thread-safe.</summary>
public interface IRecordedLog
{
    int PartitionCount { get; }

    /// <summary>Per partition the next sequence that will become durable (everything below is on stable storage).</summary>
    PositionVector Durable { get; }

    /// <summary>Per partition the oldest sequence still held.</summary>
    PositionVector Oldest { get; }

    /// <summary>Reads durable blocks from a vector on, following the tail. A sequence that retention removed starts at the oldest.</summary>
    ILogReader OpenReader(PositionVector from);

    /// <summary>The vector at which everything received at or after the time lies.</summary>
    PositionVector PositionAt(long receivedAt);
}

/// <summary>The event log as the stages see it. Thread-safe.</summary>
public interface IReadingLog : IRecordedLog
{
    LogState State { get; }

    /// <summary>What is wrong and how to mend it, when the state is not Accepting.</summary>
    string? StateDetail { get; }

    /// <summary>No reading that arrives from now on will have a receivedAt at or below this (µs).</summary>
    long ArrivalLowWater { get; }

    /// <summary>Opens a way in for one listener, with its own bound.</summary>
    /// <param name="ledger">Told of in-flight, stored and dropped readings.</param>
    /// <param name="pendingBytesMax">Bytes that may wait for the disk at once.</param>
    ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax);
}

/// <summary>One listener's way into the log. Thread-safe.</summary>
public interface ILogAppender
{
    /// <summary>
    /// Copies the batch into the log's open group without ever waiting; the batch is free for reuse at once. The ledger
    /// learns later whether the readings were stored or dropped.
    /// </summary>
    /// <returns>False when the bound is reached or the log does not accept: nothing was taken, nothing counted.</returns>
    bool TryAppend(ReadingBatch batch);

    /// <summary>
    /// Appends the batch, waiting for room if need be; completes when every reading is on stable storage, with the
    /// positions set in the batch. The batch must not be touched until then. All or nothing.
    /// </summary>
    /// <exception cref="LogUnavailableException">The log does not accept; nothing is stored, the ledger has counted the drop.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while waiting for room; nothing was taken, the ledger has counted the drop.</exception>
    ValueTask AppendAsync(ReadingBatch batch, CancellationToken cancel);
}

/// <summary>A reader at some place of the log. One user at a time.</summary>
public interface ILogReader : IRecordedReader
{
    /// <summary>The vector after the last block returned.</summary>
    PositionVector Position { get; }

    /// <summary>The next durable block in journal order, waiting at the tail. The block is lent until the next call or Dispose.</summary>
    ValueTask<LogBlock> ReadAsync(CancellationToken cancel);
}

/// <summary>Sequences from (inclusive) to (exclusive) that a reader could not be given.</summary>
public sealed record LostRange(int Partition, long From, long To);

/// <summary>The log refused a batch: the disk is full, or a write or flush failed.</summary>
public sealed class LogUnavailableException(LogState state, string message) : Exception(message)
{
    public LogState State { get; } = state;
}
