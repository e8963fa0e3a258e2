using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Millrace.Listeners.Udp;

/// <summary>
/// recvmmsg on 64-bit Linux: up to 512 datagrams per system call. Hot. Every message has a slot of 2 KiB in one compact
/// area, which stays in the processor's cache, and an overflow that the kernel touches only for longer datagrams.
/// </summary>
internal sealed unsafe partial class RecvmmsgSource : DatagramSource
{
    private const int Messages = 512;
    private const int SlotBytes = 2048;
    private const int OverflowBytes = DatagramBytesMax - SlotBytes;

    /// <summary>sockaddr_in6 and room to spare.</summary>
    private const int AddressBytes = 32;

    private const int DontWait = 0x40;
    private const int TryAgain = 11;
    private const int Interrupted = 4;

    private readonly Socket _socket;
    private readonly bool _withAddresses;
    private readonly byte* _slots;
    private readonly byte* _overflows;
    private readonly byte* _addresses;
    private readonly IoVector* _vectors;
    private readonly Message* _messages;
    private readonly byte[] _joined = new byte[DatagramBytesMax];

    /// <summary>struct iovec.</summary>
    private struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    /// <summary>struct mmsghdr: a msghdr of 56 bytes, the received length, padding to 64.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 64)]
    private struct Message
    {
        [FieldOffset(0)]
        public byte* Name;

        [FieldOffset(8)]
        public uint NameLength;

        [FieldOffset(16)]
        public IoVector* Vectors;

        [FieldOffset(24)]
        public nuint VectorCount;

        [FieldOffset(56)]
        public uint Received;
    }

    public RecvmmsgSource(Socket socket, bool withAddresses)
    {
        _socket = socket;
        _withAddresses = withAddresses;
        _slots = (byte*)NativeMemory.AlignedAlloc(Messages * SlotBytes, 4096);
        _overflows = (byte*)NativeMemory.Alloc(Messages * (nuint)OverflowBytes);
        _addresses = (byte*)NativeMemory.AllocZeroed(Messages * AddressBytes);
        _vectors = (IoVector*)NativeMemory.Alloc((nuint)(Messages * 2 * sizeof(IoVector)));
        _messages = (Message*)NativeMemory.AllocZeroed((nuint)(Messages * sizeof(Message)));
        for (var i = 0; i < Messages; i++)
        {
            _vectors[2 * i] = new IoVector { Base = _slots + (i * SlotBytes), Length = SlotBytes };
            _vectors[(2 * i) + 1] = new IoVector { Base = _overflows + (i * (long)OverflowBytes), Length = OverflowBytes };
            _messages[i].Vectors = &_vectors[2 * i];
            _messages[i].VectorCount = 2;
            if (withAddresses)
                _messages[i].Name = _addresses + (i * AddressBytes);
        }
    }

    public override int BatchMax => Messages;

    public override int Receive()
    {
        if (_withAddresses)
        {
            // The kernel wrote the lengths of the last addresses here.
            for (var i = 0; i < Messages; i++)
                _messages[i].NameLength = AddressBytes;
        }

        var count = ReceiveMany(_socket.SafeHandle, _messages, Messages, DontWait, null);
        if (count >= 0)
            return count;
        var error = Marshal.GetLastPInvokeError();
        return error is TryAgain or Interrupted ? 0 : throw new SocketException(error, $"recvmmsg failed with error {error}");
    }

    public override ReadOnlySpan<byte> Datagram(int index)
    {
        var length = (int)_messages[index].Received;
        var slot = new ReadOnlySpan<byte>(_slots + (index * SlotBytes), Math.Min(length, SlotBytes));
        if (length <= SlotBytes)
            return slot;
        slot.CopyTo(_joined);
        new ReadOnlySpan<byte>(_overflows + (index * (long)OverflowBytes), length - SlotBytes).CopyTo(_joined.AsSpan(SlotBytes));
        return _joined.AsSpan(0, length);
    }

    public override UInt128 AddressOf(int index)
    {
        if (!_withAddresses)
            return 0;
        // sockaddr_in: family, port, address at 4; sockaddr_in6: family, port, flow, address at 8.
        var address = new ReadOnlySpan<byte>(_addresses + (index * AddressBytes), AddressBytes);
        var isV4 = BinaryPrimitives.ReadUInt16LittleEndian(address) == (ushort)AddressFamily.InterNetwork;
        return AddressRates.KeyOf(new IPAddress(isV4 ? address.Slice(4, 4) : address.Slice(8, 16)));
    }

    public override void Dispose()
    {
        NativeMemory.AlignedFree(_slots);
        NativeMemory.Free(_overflows);
        NativeMemory.Free(_addresses);
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_messages);
    }

    [LibraryImport("libc", EntryPoint = "recvmmsg", SetLastError = true)]
    private static partial int ReceiveMany(SafeHandle socket, Message* messages, uint count, int flags, void* timeout);
}
