using Microsoft.Extensions.Logging;

namespace Millrace.Web;

/// <summary>What the web says in the log; ids 8000–8999.</summary>
internal static partial class WebLog
{
    [LoggerMessage(8000, LogLevel.Error, "{Method} {Path} failed; the caller got 500 and nothing is known to be lost.")]
    public static partial void RequestFailed(ILogger log, Exception error, string method, string path);

    [LoggerMessage(8001, LogLevel.Information, "Made a self-signed certificate, valid until {Until:yyyy-MM-dd}: {Path}. Browsers will ask before they trust it.")]
    public static partial void CertificateMade(ILogger log, DateTimeOffset until, string path);

    [LoggerMessage(8002, LogLevel.Warning, "Signing in from {Address} is locked for {Seconds} s after {Failures} wrong tokens.")]
    public static partial void SignInLocked(ILogger log, string address, int seconds, int failures);

    [LoggerMessage(8003, LogLevel.Information, "{Who}: {Action} {Subject}.")]
    public static partial void Audited(ILogger log, string who, string action, string subject);

    [LoggerMessage(8004, LogLevel.Warning, "Warming up failed, the first requests will be slower: {Reason}")]
    public static partial void WarmUpFailed(ILogger log, string reason);
}
