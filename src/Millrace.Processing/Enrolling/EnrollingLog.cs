using Microsoft.Extensions.Logging;

namespace Millrace.Processing.Enrolling;

internal static partial class EnrollingLog
{
    [LoggerMessage(5201, LogLevel.Warning, "Devices:Max ({Max}) is reached: {Devices} further ids were not enrolled. Raise it or remove devices.")]
    public static partial void LimitReached(ILogger log, long max, int devices);
}
