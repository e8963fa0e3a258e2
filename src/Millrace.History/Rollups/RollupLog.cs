using Microsoft.Extensions.Logging;

namespace Millrace.History.Rollups;

/// <summary>What the roll-ups tell (events 5500 to 5599).</summary>
internal static partial class RollupLog
{
    [LoggerMessage(5500, LogLevel.Warning, "Tenant {Tenant} has sent more than {Most} different fields with numbers. Further ones have no trends; their readings are kept.")]
    public static partial void FieldsFull(ILogger log, int tenant, int most);

    [LoggerMessage(5501, LogLevel.Warning, "The stored trends belong to a log of {Stored} partitions; this one has {Found}. They are made again from the log.")]
    public static partial void OtherLog(ILogger log, int stored, int found);

    [LoggerMessage(5502, LogLevel.Warning, "A file of the history could not be read, the rest is served: {Reason}")]
    public static partial void FileUnreadable(ILogger log, string reason);

    [LoggerMessage(5503, LogLevel.Warning, "The quarter-hours of devices were not brought up to date; their readings are asked instead: {Reason}")]
    public static partial void NotMade(ILogger log, string reason);

    [LoggerMessage(5504, LogLevel.Warning, "The trends' file {Path} {What}. Trends go on without what it held; stop the server and delete the folder to have them made again from what the log holds.")]
    public static partial void TrendsDamaged(ILogger log, string path, string what);
}
