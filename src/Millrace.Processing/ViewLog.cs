using Microsoft.Extensions.Logging;

namespace Millrace.Processing;

internal static partial class ViewLog
{
    [LoggerMessage(5001, LogLevel.Error, "The view {View} failed and restarts from its checkpoint in about {PauseSeconds:0.0} s; the log and the other views go on.")]
    public static partial void Faulted(ILogger log, string view, double pauseSeconds, Exception e);

    [LoggerMessage(5002, LogLevel.Warning, "The view {View} could not save its state when stopping; the next start reads more of the log again: {Reason}")]
    public static partial void NotSaved(ILogger log, string view, string reason);

    [LoggerMessage(5003, LogLevel.Warning, "data_lost: the view {View} will never see sequences {From} to {To} (exclusive) of partition {Partition}; retention or damage took them.")]
    public static partial void Lost(ILogger log, string view, int partition, long from, long to);
}
