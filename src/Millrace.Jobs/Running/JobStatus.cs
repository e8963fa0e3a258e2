using Millrace.Core;
using Millrace.Outputs.Delivery;

namespace Millrace.Jobs.Running;

public enum JobState
{
    Stopped,
    Starting,

    /// <summary>Reads the past without emitting, until its windows are filled.</summary>
    Warming,
    Running,

    /// <summary>Waits for the next time it is due.</summary>
    Scheduled,

    /// <summary>An output is so far behind that the job waits for it.</summary>
    Waiting,

    /// <summary>Something failed; it starts again by itself from its snapshot.</summary>
    Retrying,

    /// <summary>It cannot go on until somebody changes it.</summary>
    Failed,
}

/// <summary>One output of a running job.</summary>
public sealed record JobOutputStatus(string Name, string Kind, long Rows, OutputStatus? Delivery, bool IsNotification = false);

/// <summary>How a job is doing. Times in µs.</summary>
/// <param name="ExactFrom">From when on its results are exact, or null when nothing was started.</param>
/// <param name="Watermark">No row at or before it will come any more; null before the first event.</param>
/// <param name="DataLost">Readings that retention or damage took from the job before it read them.</param>
public sealed record JobStatus(
    JobState State, int Version, long? ExactFrom, long RowsIn, long RowsOut, long Bad, long Late, long Early, long OutOfOrder,
    long? Watermark, long LagReadings, string? LastError, long? LastErrorAt, long MemoryBytes, long? SnapshotAt, long SnapshotBytes,
    IReadOnlyList<LostRange> DataLost, IReadOnlyList<JobOutputStatus> Outputs)
{
    /// <summary>When a scheduled job runs next, µs; null for others.</summary>
    public long? NextRunAt { get; init; }

    public static JobStatus Stopped(int version, string? error = null) =>
        new(JobState.Stopped, version, null, 0, 0, 0, 0, 0, 0, null, 0, error, null, 0, null, 0, [], []);
}
