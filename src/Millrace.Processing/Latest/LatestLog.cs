using Microsoft.Extensions.Logging;

namespace Millrace.Processing.Latest;

internal static partial class LatestLog
{
    [LoggerMessage(5101, LogLevel.Information, "Restored the latest values of {Devices} devices in {Milliseconds} ms.")]
    public static partial void Restored(ILogger log, long devices, long milliseconds);

    [LoggerMessage(5102, LogLevel.Warning, "Snapshot {Path} is torn, damaged or of another log and is not used; the one before it or the log is read instead.")]
    public static partial void SnapshotUnreadable(ILogger log, string path);

    [LoggerMessage(5103, LogLevel.Warning, "The table of latest values is full at {Max} devices: {Readings} readings of further ids left no trace in it (they are in the log). Raise Devices:Max or remove devices.")]
    public static partial void TableFull(ILogger log, long max, long readings);
}
