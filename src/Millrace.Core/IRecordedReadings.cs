namespace Millrace.Core;

/// <summary>
/// What was recorded, however old and wherever it lies: the seam between queries over the past (previews, scheduled jobs) and the
/// places that keep readings. Thread-safe.
/// </summary>
public interface IRecordedReadings
{
    /// <summary>Opens at the first reading that was received at or after a time, µs; the first block may begin with earlier ones.</summary>
    /// <param name="toReceivedAt">Arrival at which the reader of it will stop, µs; blocks beyond it may or may not come.</param>
    /// <param name="fields">What is used of the payloads, null for all; what comes may have more.</param>
    IRecordedReader Open(long fromReceivedAt, long toReceivedAt = long.MaxValue, WantedFields? fields = null);
}

/// <summary>Reads what was recorded in order of arrival. One user at a time.</summary>
public interface IRecordedReader : IDisposable
{
    /// <summary>The next block if there is one now; null when all that is recorded was read. Lent until the next call or Dispose.</summary>
    LogBlock? TryRead();

    /// <summary>
    /// The next reading of those that the history gives, which come before the first block; null when there is none left. Lent as
    /// blocks are. Who does not ask gets them as blocks too, unless they were asked for in pieces.
    /// </summary>
    PastReading? TryReadPast() => null;

    /// <summary>Readings that retention or damage took from this reader, or null; cleared by the call.</summary>
    LostRange? TakeLost();
}

/// <summary>What the event log still holds.</summary>
public sealed class RecordedInLog(IRecordedLog log) : IRecordedReadings
{
    public IRecordedReader Open(long fromReceivedAt, long toReceivedAt = long.MaxValue, WantedFields? fields = null) =>
        log.OpenReader(log.PositionAt(fromReceivedAt));
}

/// <summary>What the event log still holds, and before that what the history holds.</summary>
public sealed class RecordedInHistory(IRecordedLog log, IReadingHistory history) : IRecordedReadings
{
    public IRecordedReader Open(long fromReceivedAt, long toReceivedAt = long.MaxValue, WantedFields? fields = null) =>
        new PastReader(log, history, fromReceivedAt, toReceivedAt, fields);
}
