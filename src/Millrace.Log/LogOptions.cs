namespace Millrace.Log;

/// <summary>How the event log keeps readings.</summary>
public sealed record LogOptions
{
    /// <summary>The log's folder, made if missing; usually <c>&lt;data&gt;/log</c>.</summary>
    public required string Folder { get; init; }

    /// <summary>Partitions of a new log (1 to 256); a folder that exists keeps the number it was made with.</summary>
    public int Partitions { get; init; } = 8;

    /// <summary>A segment is sealed when it would grow beyond this many bytes (64 KiB to 16 GiB).</summary>
    public long SegmentBytes { get; init; } = 256L << 20;

    /// <summary>A segment with readings is sealed at this age (1 s or more), so that retention by age has something to remove.</summary>
    public TimeSpan SegmentAge { get; init; } = TimeSpan.FromHours(6);

    /// <summary>Readings older than this go, segment by segment (1 s or more).</summary>
    public TimeSpan RetentionAge { get; init; } = TimeSpan.FromDays(7);

    /// <summary>The size budget of the whole log in bytes; null = half of the file system.</summary>
    public long? RetentionBytes { get; init; }

    /// <summary>Free bytes at which the log stops accepting; null = 64 MiB or 1 % of the file system, whichever is less.</summary>
    public long? ReserveBytes { get; init; }

    /// <summary>A group of readings closes at this many bytes (4 KiB to 16 MiB).</summary>
    public int GroupBytes { get; init; } = 1 << 20;

    /// <summary>The longest a group gathers readings for which nobody waits (0 to 1 s).</summary>
    public TimeSpan GroupWindow { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>Bytes of the newest blocks kept in memory for readers (64 KiB to 4 GiB); taken from the system as they fill.</summary>
    public long RingBytes { get; init; } = 32L << 20;

    /// <summary>Every mistake at once; none means the options can be used.</summary>
    public IEnumerable<string> Validate()
    {
        if (string.IsNullOrWhiteSpace(Folder))
            yield return "Log:Folder is empty";
        if (Partitions is < 1 or > Format.SegmentHeader.PartitionsMax)
            yield return $"Log:Partitions {Partitions} is outside 1..{Format.SegmentHeader.PartitionsMax}";
        if (SegmentBytes is < 64 << 10 or > 16L << 30)
            yield return $"Log:SegmentBytes {SegmentBytes} is outside 65536..17179869184";
        if (SegmentAge < TimeSpan.FromSeconds(1))
            yield return $"Log:SegmentAge {SegmentAge} is below one second";
        if (RetentionAge < TimeSpan.FromSeconds(1))
            yield return $"Log:Retention:Age {RetentionAge} is below one second";
        if (RetentionBytes is <= 0)
            yield return $"Log:Retention:Bytes {RetentionBytes} is not positive";
        if (ReserveBytes is < 0)
            yield return $"Log:ReserveBytes {ReserveBytes} is negative";
        if (GroupBytes is < 4 << 10 or > 16 << 20)
            yield return $"Log:GroupBytes {GroupBytes} is outside 4096..16777216";
        if (GroupWindow < TimeSpan.Zero || GroupWindow > TimeSpan.FromSeconds(1))
            yield return $"Log:GroupWindow {GroupWindow} is outside 0..1 s";
        if (RingBytes is < 64 << 10 or > 4L << 30)
            yield return $"Log:RingBytes {RingBytes} is outside 65536..4294967296";
    }
}
