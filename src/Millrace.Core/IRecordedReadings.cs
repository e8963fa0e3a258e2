namespace Millrace.Core;

/// <summary>
/// What was recorded, however old and wherever it lies: the seam between queries over the past (previews, scheduled jobs) and the
/// places that keep readings. Thread-safe.
/// </summary>
public interface IRecordedReadings
{
    /// <summary>Opens at the first reading that was received at or after a time, µs; the first block may begin with earlier ones.</summary>
    /// <param name="toReceivedAt">Arrival at which the reader of it will stop, µs; blocks beyond it may or may not come.</param>
    IRecordedReader Open(long fromReceivedAt, long toReceivedAt = long.MaxValue);
}

/// <summary>Reads what was recorded in order of arrival. One user at a time.</summary>
public interface IRecordedReader : IDisposable
{
    /// <summary>The next block if there is one now; null when all that is recorded was read. Lent until the next call or Dispose.</summary>
    LogBlock? TryRead();

    /// <summary>Readings that retention or damage took from this reader, or null; cleared by the call.</summary>
    LostRange? TakeLost();
}

/// <summary>What the event log still holds.</summary>
public sealed class RecordedInLog(IRecordedLog log) : IRecordedReadings
{
    public IRecordedReader Open(long fromReceivedAt, long toReceivedAt = long.MaxValue) => log.OpenReader(log.PositionAt(fromReceivedAt));
}

/// <summary>What the event log still holds, and before that what the history holds.</summary>
public sealed class RecordedInHistory(IRecordedLog log, IReadingHistory history) : IRecordedReadings
{
    public IRecordedReader Open(long fromReceivedAt, long toReceivedAt = long.MaxValue) => new PastReader(log, history, fromReceivedAt, toReceivedAt);
}
