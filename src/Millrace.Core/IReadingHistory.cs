namespace Millrace.Core;

/// <summary>A reading out of the history. Times in µs UTC.</summary>
/// <param name="Time">Event time: the device's own, or the arrival (see <see cref="Micros.EventTime"/>).</param>
/// <param name="Json">The payload's JSON view, put together from columns and rest; equal to the original as a JSON value.</param>
public sealed record ArchivedReading(
    ushort Tenant, string Device, long Time, long ReceivedAt, int Partition, long Sequence, ReadOnlyMemory<byte> Json);

/// <summary>Which readings of the past are wanted, by arrival and by place in the log. What is left out is open.</summary>
public sealed record ReplayRange
{
    /// <summary>Arrival in µs, inclusive.</summary>
    public long From { get; init; } = long.MinValue;

    /// <summary>Arrival in µs, exclusive.</summary>
    public long To { get; init; } = long.MaxValue;

    /// <summary>Per partition the first sequence wanted; null for all.</summary>
    public PositionVector? Since { get; init; }

    /// <summary>Per partition the first sequence that is no longer wanted; null for all.</summary>
    public PositionVector? Until { get; init; }

    /// <summary>One tenant's readings; null for all tenants'.</summary>
    public ushort? Tenant { get; init; }

    /// <summary>What is read of the payloads; null for all.</summary>
    public WantedFields? Fields { get; init; }
}

/// <summary>The readings that were taken out of the log into files. Thread-safe; read while it is written and merged.</summary>
public interface IReadingHistory
{
    /// <summary>Per partition the first sequence that the history does not hold yet; null while it holds nothing.</summary>
    PositionVector? Held { get; }

    /// <summary>
    /// Readings in order of arrival, each lent until the next, in bounded memory: long ranges are sorted with temporary files. A
    /// missing or damaged file is reported, and the rest is given.
    /// </summary>
    IEnumerable<PastReading> Replay(ReplayRange range, CancellationToken cancel = default);
}
