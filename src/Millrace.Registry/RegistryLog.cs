using Microsoft.Extensions.Logging;

namespace Millrace.Registry;

internal static partial class RegistryLog
{
    [LoggerMessage(7001, LogLevel.Information, "Wrote the first admin token to {Path}, readable for this user only.")]
    public static partial void AdminTokenWritten(ILogger log, string path);

    [LoggerMessage(7002, LogLevel.Information, "Audit: {Who} (tenant {Tenant}) {Action} {Subject}.")]
    public static partial void Audit(ILogger log, string who, int tenant, string action, string subject);
}
