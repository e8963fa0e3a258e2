using Microsoft.Extensions.Logging;

namespace Millrace.Processing.SqlView;

internal static partial class SqlViewLog
{
    [LoggerMessage(5401, LogLevel.Warning, "The table {Target} cannot be written, trying again in about {PauseSeconds:0.0} s; readings wait in the log: {Reason}")]
    public static partial void Unreachable(ILogger log, string target, double pauseSeconds, string reason);

    [LoggerMessage(5402, LogLevel.Warning, "The value of device {Id} was refused by {Target} and passed over: {Reason}")]
    public static partial void RowRefused(ILogger log, string id, string target, string reason);

    [LoggerMessage(5403, LogLevel.Information, "Filling {Target} with the newest value of every device.")]
    public static partial void Filling(ILogger log, string target);

    [LoggerMessage(5404, LogLevel.Warning, "The checkpoint {Path} is not readable; the table is filled again: {Reason}")]
    public static partial void CheckpointUnreadable(ILogger log, string path, string reason);
}
