using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Millrace.Listeners.Udp;

/// <summary>The socket options of Linux that the class library has no name for.</summary>
internal static class UdpSocketOptions
{
    private const int SolSocket = 1;
    private const int SoReceiveBufferForce = 33;
    private const int SoMemoryInfo = 55;
    private const int MemoryInfoDrops = 8;
    private const int MemoryInfoFields = 9;

    /// <summary>Asks for a receive buffer, past the system's limit where we may, and says what was granted.</summary>
    public static int GrantReceiveBuffer(Socket socket, int bytes)
    {
        try
        {
            if (OperatingSystem.IsLinux())
                socket.SetRawSocketOption(SolSocket, SoReceiveBufferForce, MemoryMarshal.AsBytes([bytes]));
            else
                socket.ReceiveBufferSize = bytes;
        }
        catch (SocketException)
        {
            // Forcing needs CAP_NET_ADMIN; without it the system's limit holds.
            socket.ReceiveBufferSize = bytes;
        }

        return socket.ReceiveBufferSize;
    }

    /// <summary>Datagrams the kernel has dropped at this socket since it was opened, modulo 2^32; null where it does not say.</summary>
    public static uint? KernelDrops(Socket socket)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        try
        {
            Span<uint> info = stackalloc uint[MemoryInfoFields];
            var length = socket.GetRawSocketOption(SolSocket, SoMemoryInfo, MemoryMarshal.AsBytes(info));
            return length >= MemoryInfoFields * sizeof(uint) ? info[MemoryInfoDrops] : null;
        }
        catch (SocketException)
        {
            return null;
        }
    }
}
