using System.Runtime.InteropServices;

namespace Millrace.Listeners.Udp;

/// <summary>
/// How long to let datagrams gather in the kernel before they are fetched. Waking up for each one costs three times the
/// processor time of fetching a hundred at once, and frees the sender's core; the kernel's buffer must hold what gathers.
/// </summary>
internal static partial class ReceiveNap
{
    /// <summary>A millisecond is below what any meter notices and enough to gather hundreds at full load.</summary>
    private const int MicrosMax = 1000;

    /// <summary>Shorter naps sleep longer than they ask for.</summary>
    private const int MicrosMin = 100;

    /// <summary>What the kernel charges for a small datagram: its data and its bookkeeping.</summary>
    private const int BytesPerDatagram = 768;

    /// <summary>The fastest senders to design for, datagrams per microsecond.</summary>
    private const double DatagramsPerMicro = 0.5;

    /// <summary>A quarter of the time in which full load fills the buffer, at most a millisecond; 0: do not nap.</summary>
    public static int MicrosFor(int receiveBufferBytes)
    {
        var fillMicros = receiveBufferBytes / BytesPerDatagram / DatagramsPerMicro;
        var nap = (int)Math.Min(MicrosMax, fillMicros / 4);
        return nap < MicrosMin ? 0 : nap;
    }

    public static void Take(int micros)
    {
        if (micros <= 0)
            return;
        if (OperatingSystem.IsLinux())
            _ = MicroSleep((uint)micros);
        else
            Thread.Sleep(1); // The nap itself, on the receive thread: elsewhere there is no shorter one.
    }

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int MicroSleep(uint micros);
}
