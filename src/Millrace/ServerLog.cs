using Microsoft.Extensions.Logging;

namespace Millrace;

internal static partial class ServerLog
{
    [LoggerMessage(100, LogLevel.Information, "Stopping: listeners take nothing more, what was taken becomes durable.")]
    public static partial void Stopping(ILogger log);

    [LoggerMessage(101, LogLevel.Information, "Stopped; everything taken is on the disk.")]
    public static partial void Stopped(ILogger log);

    [LoggerMessage(102, LogLevel.Warning, "The listeners' totals could not be saved and are tried again: {Reason}")]
    public static partial void TotalsNotSaved(ILogger log, string reason);

    [LoggerMessage(103, LogLevel.Error, "The server stops because a part of it failed.")]
    public static partial void PartFailed(ILogger log, Exception e);

    [LoggerMessage(105, LogLevel.Error, "A part of the server could not be closed; the others are.")]
    public static partial void NotClosed(ILogger log, Exception e);

    [LoggerMessage(107, LogLevel.Error, "{Reason}")]
    public static partial void StopGivenUp(ILogger log, string reason);

    [LoggerMessage(104, LogLevel.Warning, "Log:Flush is false: readings are acknowledged before they are on the disk. For measuring only.")]
    public static partial void FlushOff(ILogger log);

    [LoggerMessage(2700, LogLevel.Warning, "A query over the past misses a part of the history: {What}")]
    public static partial void NotInHistory(ILogger log, string what);

    [LoggerMessage(106, LogLevel.Warning, "A file of the history could not be read; the rest is served: {Reason}")]
    public static partial void HistoryUnreadable(ILogger log, string reason);
}
