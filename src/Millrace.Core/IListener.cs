namespace Millrace.Core;

/// <summary>
/// Takes readings over one protocol. Bound by <see cref="BindAsync"/> before the ready line, then served until stopping.
/// </summary>
public interface IListener
{
    /// <summary>As in the ready line and metrics: udp, tcp, http, middleware…</summary>
    string Name { get; }

    /// <summary>The bound endpoint as host:port; valid after <see cref="BindAsync"/>.</summary>
    string Endpoint { get; }

    /// <summary>Opens the socket. Throws <see cref="StartException"/> with what to do when it cannot.</summary>
    ValueTask BindAsync(CancellationToken cancel);

    /// <summary>Serves until <paramref name="stopping"/> fires, then finishes what it accepted and returns. A fault stops the server.</summary>
    Task RunAsync(CancellationToken stopping);
}

/// <summary>The server cannot start; the message says what, where and how to mend it.</summary>
public sealed class StartException(string message, Exception? inner = null) : Exception(message, inner);
