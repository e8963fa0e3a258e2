using System.Buffers;

namespace Millrace.Core;

/// <summary>
/// The newest reading of every device (greatest event time, ties by sequence), as listeners and the web read it. A view
/// of the log: it may be behind by as much as <see cref="Position"/> says. Thread-safe.
/// </summary>
public interface ILatestReadings
{
    /// <summary>Per partition the next sequence the view will take in. Live: read it, do not keep it.</summary>
    PositionVector Position { get; }

    /// <summary>
    /// Copies the newest reading of a device, as the record it has in the log, to <paramref name="record"/>. Hot: no
    /// allocation of its own.
    /// </summary>
    /// <returns>False when the device has no reading; nothing is written then.</returns>
    bool TryRead(ushort tenant, ReadOnlySpan<byte> id, IBufferWriter<byte> record, out ReadingPlace place);

    /// <summary>Waits until everything before <paramref name="next"/> in the partition is taken in.</summary>
    /// <returns>True when it is; false when <paramref name="limit"/> passed first.</returns>
    ValueTask<bool> ReachAsync(int partition, long next, TimeSpan limit, CancellationToken cancel);
}

/// <summary>Where a reading lies in the log and when it arrived (µs).</summary>
public readonly record struct ReadingPlace(int Partition, long Sequence, long ReceivedAt);
