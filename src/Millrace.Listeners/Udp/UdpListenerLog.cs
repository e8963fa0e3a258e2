using Microsoft.Extensions.Logging;

namespace Millrace.Listeners.Udp;

internal static partial class UdpListenerLog
{
    [LoggerMessage(1000, LogLevel.Information, "UDP listens on {Endpoint} with a kernel buffer of {BufferBytes} bytes.")]
    public static partial void Bound(ILogger log, string endpoint, int bufferBytes);

    [LoggerMessage(1001, LogLevel.Warning,
        "UDP was granted a kernel buffer of {BufferBytes} bytes only; bursts may be lost. Raise net.core.rmem_max to {WantedBytes} or give the process CAP_NET_ADMIN.")]
    public static partial void SmallBuffer(ILogger log, int bufferBytes, int wantedBytes);

    [LoggerMessage(1002, LogLevel.Warning, "The kernel dropped {Datagrams} datagrams in the last {WindowSeconds} s: its receive buffer was full.")]
    public static partial void KernelDropped(ILogger log, long datagrams, int windowSeconds);

    [LoggerMessage(1003, LogLevel.Warning, "Dropped {Readings} readings in the last {WindowSeconds} s: the log did not take them in time.")]
    public static partial void QueueDropped(ILogger log, long readings, int windowSeconds);

    [LoggerMessage(1004, LogLevel.Information, "UDP stopped; {Received} readings received since the start.")]
    public static partial void Stopped(ILogger log, long received);
}
