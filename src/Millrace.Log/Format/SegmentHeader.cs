using System.Buffers.Binary;
using Millrace.Core;

namespace Millrace.Log.Format;

/// <summary>The first bytes of a segment file, stored twice (docs/formats/log.md).</summary>
/// <param name="LastReceivedAt">The last stamp of the journal before this segment.</param>
/// <param name="Start">Per partition the first sequence not used before this segment.</param>
internal sealed record SegmentHeader(ulong Salt, long Base, long LastReceivedAt, long CreatedAt, PositionVector Start)
{
    public const int CopyBytes = 4096;
    public const int Bytes = 2 * CopyBytes;
    public const int PartitionsMax = 256;
    private const int VectorOffset = 64;
    private const ushort Version = 1;

    private static ReadOnlySpan<byte> Magic => "MILLRSEG"u8;

    /// <summary>Both copies.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[Bytes];
        var copy = bytes.AsSpan(0, CopyBytes);
        Magic.CopyTo(copy);
        BinaryPrimitives.WriteUInt16LittleEndian(copy[8..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(copy[10..], (ushort)Start.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(copy[16..], Salt);
        BinaryPrimitives.WriteInt64LittleEndian(copy[24..], Base);
        BinaryPrimitives.WriteInt64LittleEndian(copy[32..], LastReceivedAt);
        BinaryPrimitives.WriteInt64LittleEndian(copy[40..], CreatedAt);
        Vectors.Write(Start, copy[VectorOffset..]);
        BinaryPrimitives.WriteUInt32LittleEndian(copy[12..], Checksum(copy));
        copy.CopyTo(bytes.AsSpan(CopyBytes));
        return bytes;
    }

    /// <summary>Reads whichever copy is whole.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out SegmentHeader? header)
    {
        header = null;
        for (; bytes.Length >= CopyBytes && header is null; bytes = bytes[CopyBytes..])
            header = ReadCopy(bytes[..CopyBytes]);
        return header is not null;
    }

    private static SegmentHeader? ReadCopy(ReadOnlySpan<byte> copy)
    {
        if (!copy.StartsWith(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(copy[12..]) != Checksum(copy))
            return null;
        LogVersions.Check("segment", BinaryPrimitives.ReadUInt16LittleEndian(copy[8..]), Version);
        return new SegmentHeader(
            BinaryPrimitives.ReadUInt64LittleEndian(copy[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(copy[24..]),
            BinaryPrimitives.ReadInt64LittleEndian(copy[32..]),
            BinaryPrimitives.ReadInt64LittleEndian(copy[40..]),
            Vectors.Read(copy[VectorOffset..], BinaryPrimitives.ReadUInt16LittleEndian(copy[10..])));
    }

    private static uint Checksum(ReadOnlySpan<byte> copy) =>
        Crc32C.Finish(Crc32C.Continue(Crc32C.Continue(Crc32C.Start, copy[..12]), copy[16..]));
}
