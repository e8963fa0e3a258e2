using System.Net;

namespace Millrace.Listeners.Middleware;

/// <summary>How the middleware API listens and what it takes.</summary>
public sealed record MiddlewareOptions
{
    /// <summary><c>Listeners:Middleware:Endpoint</c>; port 0 picks one.</summary>
    public IPEndPoint Endpoint { get; init; } = new(IPAddress.Loopback, 5000);

    /// <summary><c>Listeners:Middleware:AllowAnonymous</c>: in token mode, take heartbeats without a token, stored as not authenticated.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary><c>Http:AllowedHosts</c>: further host names under which the server is reached.</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary><c>Codecs:PayloadBytesMax</c>: largest heartbeat in bytes.</summary>
    public int HeartbeatBytesMax { get; init; } = 256 << 10;

    /// <summary>Bytes of heartbeats that may wait for the disk at once; beyond, senders wait (default 32 MiB).</summary>
    public long QueueBytes { get; init; } = 32 << 20;

    /// <summary><c>Security:RequestsPerAddressPerSecond</c>: requests per second from one address; 0 is no limit.</summary>
    public double RequestsPerAddressPerSecond { get; init; }

    /// <summary>Open connections at once (default 20,000).</summary>
    public int ConnectionsMax { get; init; } = 20_000;
}
