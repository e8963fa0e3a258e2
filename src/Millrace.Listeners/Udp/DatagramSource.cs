using System.Net;
using System.Net.Sockets;

namespace Millrace.Listeners.Udp;

/// <summary>Takes datagrams from a socket, several at a time where the system can. One thread.</summary>
internal abstract class DatagramSource : IDisposable
{
    /// <summary>The largest UDP payload over IPv4 is 65,507 bytes, over IPv6 20 more.</summary>
    protected const int DatagramBytesMax = 65_536;

    /// <summary>Datagrams taken by one call at most.</summary>
    public abstract int BatchMax { get; }

    /// <summary>Takes what is there without waiting.</summary>
    /// <returns>How many datagrams now lie in <see cref="Datagram"/>; 0: none.</returns>
    /// <exception cref="SocketException">The socket is broken.</exception>
    public abstract int Receive();

    /// <summary>The bytes of a datagram; valid until the next call of any method here.</summary>
    public abstract ReadOnlySpan<byte> Datagram(int index);

    /// <summary>Who sent it, as a key for limits; 0 when addresses were not asked for.</summary>
    public abstract UInt128 AddressOf(int index);

    public abstract void Dispose();

    public static DatagramSource Open(Socket socket, bool withAddresses) =>
        OperatingSystem.IsLinux() && Environment.Is64BitProcess && BitConverter.IsLittleEndian
            ? new RecvmmsgSource(socket, withAddresses)
            : new OneByOneSource(socket, withAddresses);
}

/// <summary>The portable way: one datagram per call.</summary>
internal sealed class OneByOneSource(Socket socket, bool withAddresses) : DatagramSource
{
    private readonly byte[] _buffer = new byte[DatagramBytesMax];
    private readonly SocketAddress _from = new(socket.AddressFamily);
    private readonly EndPoint _any = new IPEndPoint(socket.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
    private int _length;

    public override int BatchMax => 1;

    public override int Receive()
    {
        if (!socket.Poll(0, SelectMode.SelectRead))
            return 0;
        try
        {
            _length = socket.ReceiveFrom(_buffer, SocketFlags.None, _from);
            return 1;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.WouldBlock)
        {
            // Windows reports a port-unreachable of somebody else's answer here; it says nothing about this socket.
            return 0;
        }
    }

    public override ReadOnlySpan<byte> Datagram(int index) => _buffer.AsSpan(0, _length);

    public override UInt128 AddressOf(int index) => withAddresses ? AddressRates.KeyOf(((IPEndPoint)_any.Create(_from)).Address) : 0;

    public override void Dispose() { }
}
