using Microsoft.Extensions.Logging;

namespace Millrace.Log.Tests.Simulation;

/// <summary>Keeps what was logged, to tell the story of a seed that fails.</summary>
internal sealed class RecordingLogger : ILogger
{
    private readonly Lock _gate = new();
    private readonly Queue<string> _lines = new();

    public void Note(string line)
    {
        lock (_gate)
        {
            _lines.Enqueue(line);
            if (_lines.Count > 200)
                _lines.Dequeue();
        }
    }

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_gate)
                return [.. _lines];
        }
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Note($"{logLevel} {eventId.Id}: {formatter(state, exception)} {exception?.Message}");
}
