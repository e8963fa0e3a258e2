using Microsoft.Extensions.Logging;

namespace Millrace.Outputs;

/// <summary>Messages of the outputs: 6000–6199.</summary>
internal static partial class OutputsLog
{
    [LoggerMessage(6000, LogLevel.Warning,
        "Output {Source} ({Kind}) failed {Failures} times in a row; its rows wait, next attempt in {DelaySeconds:F1} s: {Reason}")]
    public static partial void Failed(
        ILogger log, OutputSource source, string kind, int failures, double delaySeconds, string reason, Exception? error);

    [LoggerMessage(6001, LogLevel.Information, "Output {Source} ({Kind}) delivers again after {Failures} failures.")]
    public static partial void Recovered(ILogger log, OutputSource source, string kind, int failures);

    [LoggerMessage(6002, LogLevel.Error,
        "Output {Source}: the recorded batch {First} to {Last} is not in the outbox any more; delivery goes on with the oldest waiting row.")]
    public static partial void BatchGone(ILogger log, OutputSource source, RowId first, RowId last);
}
