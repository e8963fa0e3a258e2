using System.Diagnostics;

namespace Millrace.History.Queries;

/// <summary>What one request may read: at most so many bytes and for so long. One user at a time.</summary>
public sealed class ReadBudget(long bytesMax = ReadBudget.BytesDefault, TimeSpan? timeMax = null)
{
    public const long BytesDefault = 256L << 20;

    private static readonly TimeSpan TimeDefault = TimeSpan.FromSeconds(1);

    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly TimeSpan _timeMax = timeMax ?? TimeDefault;
    private long _bytes;

    public bool IsSpent => _bytes > bytesMax || Stopwatch.GetElapsedTime(_started) > _timeMax;

    /// <summary>Everything before this time (µs) is read whatever it costs, so that an answer never gets nowhere.</summary>
    public long AtLeastUntil { get; init; } = long.MinValue;

    /// <summary>Where reading stopped because the budget was spent: everything before this time was given. Null: all was read.</summary>
    public long? StoppedBefore { get; private set; }

    /// <summary>The newest arrivals could not all be looked at: the archive is far behind the log.</summary>
    public bool IsBehind { get; internal set; }

    internal void Count(long bytes) => _bytes += bytes;

    internal void Stop(long before) => StoppedBefore = Math.Min(StoppedBefore ?? long.MaxValue, before);
}
