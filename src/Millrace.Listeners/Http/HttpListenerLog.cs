using Microsoft.Extensions.Logging;

namespace Millrace.Listeners.Http;

/// <summary>What listeners over HTTP say in the log; ids 2500–2599.</summary>
internal static partial class HttpListenerLog
{
    [LoggerMessage(2500, LogLevel.Error, "{Method} {Path} failed; the caller got 500.")]
    public static partial void RequestFailed(ILogger log, Exception error, string method, string path);
}
