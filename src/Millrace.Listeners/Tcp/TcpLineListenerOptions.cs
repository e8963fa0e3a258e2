using System.Net;

namespace Millrace.Listeners.Tcp;

/// <summary>How lines over TCP are taken.</summary>
public sealed record TcpLineListenerOptions
{
    /// <summary>Where to listen; port 0 picks one. Default: 127.0.0.1:8090.</summary>
    public IPEndPoint Endpoint { get; init; } = new(IPAddress.Loopback, 8090);

    /// <summary>In token mode: take lines all the same, stored as not authenticated. Default: false.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>Bytes of readings that may wait for the disk before connections are held back, and as many again of
    /// unfinished lines (1 MiB and more). Default: 32 MiB.</summary>
    public long QueueBytes { get; init; } = 32 << 20;

    /// <summary>Answer every line, also when the first line is not <c>ACK</c>. Default: false.</summary>
    public bool Acknowledge { get; init; }

    /// <summary>Close a connection that has sent nothing for so long. Default: null, never.</summary>
    public TimeSpan? Idle { get; init; }

    /// <summary>Connections at once; beyond it the one that has been silent longest is closed. Default: 10,000.</summary>
    public int ConnectionsMax { get; init; } = 10_000;

    /// <summary>Readings per second taken from one address; 0, the default, is no limit.</summary>
    public double ReadingsPerAddressPerSecond { get; init; }

    /// <summary>Every mistake at once; none means the options can be used.</summary>
    public IEnumerable<string> Validate()
    {
        if (QueueBytes < 1 << 20)
            yield return $"QueueBytes: {QueueBytes} is below 1048576";
        if (Idle is { } idle && idle < TimeSpan.FromSeconds(1))
            yield return $"Idle: {idle} is below one second";
        if (ConnectionsMax < 1)
            yield return $"ConnectionsMax: {ConnectionsMax} is below 1";
        if (ReadingsPerAddressPerSecond is not (>= 0 and <= 1e9))
            yield return $"ReadingsPerAddressPerSecond: {ReadingsPerAddressPerSecond} is outside 0..1000000000";
    }
}
