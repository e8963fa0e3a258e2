using Microsoft.Extensions.Logging;

namespace Millrace.Jobs;

/// <summary>Messages of jobs and alerts: 6200–6499 and 3100–3199.</summary>
internal static partial class JobsLog
{
    [LoggerMessage(6200, LogLevel.Information, "Job {Job} version {Version} runs; its results are exact from {ExactFrom} on.")]
    public static partial void Started(ILogger log, string job, int version, string exactFrom);

    [LoggerMessage(6201, LogLevel.Warning, "Job {Job} failed and starts again from its snapshot in {DelaySeconds:F1} s.")]
    public static partial void Faulted(ILogger log, string job, double delaySeconds, Exception error);

    [LoggerMessage(6202, LogLevel.Error, "Job {Job} has stopped: {Reason}")]
    public static partial void Failed(ILogger log, string job, string reason);

    [LoggerMessage(6203, LogLevel.Warning, "Job {Job} lost readings {From} to {To} of partition {Partition}: they were removed before it read them.")]
    public static partial void DataLost(ILogger log, string job, int partition, long from, long to);

    [LoggerMessage(6204, LogLevel.Warning, "Job {Job}: the snapshot cannot be used ({Reason}); the state is built anew from the log.")]
    public static partial void SnapshotRefused(ILogger log, string job, string reason);

    [LoggerMessage(6205, LogLevel.Warning, "Job {Job}: reference {Input} cannot be read, the rows read last stay in use: {Reason}")]
    public static partial void ReferenceFailed(ILogger log, string job, string input, string reason);

    [LoggerMessage(6206, LogLevel.Warning, "Job {Job}: its definition cannot be read and it does not run: {Reason}")]
    public static partial void DefinitionUnreadable(ILogger log, string job, string reason);

    [LoggerMessage(6207, LogLevel.Information, "Job {Job} has stopped at its snapshot.")]
    public static partial void Stopped(ILogger log, string job);

    [LoggerMessage(3100, LogLevel.Information, "Job {Job} has run over the readings received from {From} to {To}.")]
    public static partial void PeriodDone(ILogger log, string job, string from, string to);

    [LoggerMessage(6209, LogLevel.Warning, "Job {Job}: output {Output} is gone with an edit; {Count} rows that waited for it were discarded.")]
    public static partial void RowsDiscarded(ILogger log, string job, string output, long count);

    [LoggerMessage(6210, LogLevel.Warning, "Job {Job}: what outputs that are gone left cannot be removed: {Reason}")]
    public static partial void LeftOutputsFailed(ILogger log, string job, string reason);

    [LoggerMessage(6208, LogLevel.Warning, "The watch over the server itself failed; it goes on in {DelaySeconds} s.")]
    public static partial void WatchFailed(ILogger log, int delaySeconds, Exception error);
}
