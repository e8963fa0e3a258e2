using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Millrace.Listeners.Http;

/// <summary>
/// Gives the web framework our logs from Warning on: it would write two lines per request otherwise, and say things about
/// itself that we say better.
/// </summary>
public sealed class FrameworkLogs(ILoggerFactory logs) : ILoggerFactory
{
    /// <summary>If this one takes anything at all, the framework begins an activity for every request.</summary>
    private const string PerRequest = "Microsoft.AspNetCore.Hosting.Diagnostics";

    public ILogger CreateLogger(string categoryName)
    {
        if (categoryName == PerRequest)
            return NullLogger.Instance;
        var log = logs.CreateLogger(categoryName);
        return categoryName.StartsWith("Microsoft.", StringComparison.Ordinal) ? new FromWarning(log) : log;
    }

    public void AddProvider(ILoggerProvider provider) => logs.AddProvider(provider);

    /// <summary>The logs are not ours to close.</summary>
    public void Dispose()
    {
    }

    private sealed class FromWarning(ILogger log) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning && log.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                log.Log(logLevel, eventId, state, exception, formatter);
        }
    }
}
