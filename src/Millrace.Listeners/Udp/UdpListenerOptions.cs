using System.Net;

namespace Millrace.Listeners.Udp;

/// <summary>How datagrams are received.</summary>
public sealed record UdpListenerOptions
{
    /// <summary>Where to listen; port 0 picks one. Default: 127.0.0.1:9999.</summary>
    public IPEndPoint Endpoint { get; init; } = new(IPAddress.Loopback, 9999);

    /// <summary>In token mode: take datagrams all the same, stored as not authenticated. Default: false.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>Bytes of readings that may wait for a stalled disk (1 MiB and more). Default: 64 MiB, four seconds of a
    /// million meters at 30 s and 430 bytes.</summary>
    public long QueueBytes { get; init; } = 64 << 20;

    /// <summary>Receive buffer asked of the kernel, in bytes (64 KiB to 1 GiB). Default: 16 MiB; what is granted is logged.</summary>
    public int ReceiveBufferBytes { get; init; } = 16 << 20;

    /// <summary>Readings per second taken from one address; 0, the default, is no limit.</summary>
    public double ReadingsPerAddressPerSecond { get; init; }

    /// <summary>Every mistake at once; none means the options can be used.</summary>
    public IEnumerable<string> Validate()
    {
        if (QueueBytes < 1 << 20)
            yield return $"QueueBytes: {QueueBytes} is below 1048576";
        if (ReceiveBufferBytes is < 64 << 10 or > 1 << 30)
            yield return $"ReceiveBufferBytes: {ReceiveBufferBytes} is outside 65536..1073741824";
        if (ReadingsPerAddressPerSecond is not (>= 0 and <= 1e9))
            yield return $"ReadingsPerAddressPerSecond: {ReadingsPerAddressPerSecond} is outside 0..1000000000";
    }
}
