using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>One life of a job, from opening its state to a stop, a fault or its end.</summary>
internal interface IJobLife
{
    /// <summary>How it is doing, as of the last portion; how its outputs are doing, now. Thread-safe.</summary>
    JobStatus Status { get; }

    /// <summary>Runs until <paramref name="stopping"/> fires; then saves and returns.</summary>
    /// <exception cref="QueryMemoryException">The state exceeds its limit; the job is over.</exception>
    Task RunAsync(CancellationToken stopping);
}
