using Microsoft.Extensions.Logging;

namespace Millrace.Listeners.Middleware;

/// <summary>What the middleware says in the log; ids 2600–2699.</summary>
internal static partial class MiddlewareLog
{
    [LoggerMessage(2600, LogLevel.Debug, "A worker announced itself at {Address}.")]
    public static partial void WorkerAnnounced(ILogger log, string address);
}
