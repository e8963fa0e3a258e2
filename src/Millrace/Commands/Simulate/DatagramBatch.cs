using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Millrace.Commands.Simulate;

/// <summary>
/// Datagrams that leave in one system call (sendmmsg on Linux, one by one elsewhere). Hot. Not thread-safe.
/// </summary>
internal sealed unsafe partial class DatagramBatch : IDisposable
{
    /// <summary>A call's fixed cost is well spread over so many.</summary>
    public const int DatagramsMax = 64;

    private const int DatagramBytesMax = 8 * 1024;
    private const int ConnectionRefused = 111;

    private readonly Socket _socket;
    private readonly byte* _bytes;
    private readonly MessageHeader* _headers;
    private readonly IoVector* _vectors;
    private int _at;

    public DatagramBatch(Socket socket)
    {
        _socket = socket;
        _bytes = (byte*)NativeMemory.AllocZeroed(DatagramsMax * DatagramBytesMax);
        _headers = (MessageHeader*)NativeMemory.AllocZeroed(DatagramsMax, (nuint)sizeof(MessageHeader));
        _vectors = (IoVector*)NativeMemory.AllocZeroed(DatagramsMax, (nuint)sizeof(IoVector));
        for (var i = 0; i < DatagramsMax; i++)
        {
            _vectors[i].Base = _bytes + (i * DatagramBytesMax);
            _headers[i].Vectors = _vectors + i;
            _headers[i].VectorCount = 1;
        }
    }

    /// <summary>What is left of the datagram being written.</summary>
    public Span<byte> Free => new((byte*)_vectors[_at].Base + _vectors[_at].Length, DatagramBytesMax - (int)_vectors[_at].Length);

    /// <summary>Bytes written and not sent.</summary>
    public long Bytes
    {
        get
        {
            long bytes = 0;
            for (var i = 0; i <= _at; i++)
                bytes += (long)_vectors[i].Length;
            return bytes;
        }
    }

    public void Advance(int bytes) => _vectors[_at].Length += (nuint)bytes;

    /// <summary>Begins another datagram; false when the batch is full and must be sent first.</summary>
    public bool Next()
    {
        if (_at == DatagramsMax - 1)
            return false;
        _at++;
        return true;
    }

    /// <summary>Sends all datagrams and empties the batch.</summary>
    /// <returns>How many times the other side was found not to listen.</returns>
    public int Send()
    {
        var count = _at + (_vectors[_at].Length > 0 ? 1 : 0);
        var refused = OperatingSystem.IsLinux() ? SendTogether(count) : SendSingly(count);
        for (var i = 0; i < count; i++)
            _vectors[i].Length = 0;
        _at = 0;
        return refused;
    }

    private int SendTogether(int count)
    {
        var refused = 0;
        for (var sent = 0; sent < count;)
        {
            var now = SendMany((int)_socket.Handle, _headers + sent, (uint)(count - sent), 0);
            if (now > 0)
            {
                sent += now;
                continue;
            }

            // An earlier datagram met a closed port: the error is reported once and the rest can go.
            if (Marshal.GetLastPInvokeError() != ConnectionRefused)
                throw new SocketException(Marshal.GetLastPInvokeError());
            refused++;
        }

        return refused;
    }

    private int SendSingly(int count)
    {
        var refused = 0;
        for (var i = 0; i < count; i++)
        {
            try
            {
                _socket.Send(new ReadOnlySpan<byte>(_vectors[i].Base, (int)_vectors[i].Length));
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionRefused or SocketError.ConnectionReset)
            {
                refused++;
            }
        }

        return refused;
    }

    public void Dispose()
    {
        NativeMemory.Free(_bytes);
        NativeMemory.Free(_headers);
        NativeMemory.Free(_vectors);
    }

    [LibraryImport("libc", EntryPoint = "sendmmsg", SetLastError = true)]
    private static partial int SendMany(int socket, MessageHeader* messages, uint count, int flags);

    /// <summary>struct mmsghdr on 64-bit Linux: 56 bytes of msghdr, then the length sent, padded to 64.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 64)]
    private struct MessageHeader
    {
        [FieldOffset(16)] public IoVector* Vectors;
        [FieldOffset(24)] public nuint VectorCount;
        [FieldOffset(56)] public uint BytesSent;
    }

    private struct IoVector
    {
        public void* Base;
        public nuint Length;
    }
}
