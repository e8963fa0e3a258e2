using System.Buffers.Binary;

namespace Millrace.Log.Format;

internal enum BlockKind : byte
{
    Records = 0,
    Mark = 1,
}

/// <summary>The 80 bytes before a block's records (docs/formats/log.md).</summary>
/// <param name="Length">Bytes after the header.</param>
/// <param name="RecordsCrc">CRC-32C of the bytes after the header.</param>
internal readonly record struct BlockHeader(
    BlockKind Kind, int Partition, int Count, int Length, uint RecordsCrc, long Position, long FlushedTo,
    long FirstSequence, long FirstReceivedAt, long LastReceivedAt)
{
    // offset  0 magic 4 · 4 version 2 · 6 header length 2 · 8 header CRC 4 · 12 records CRC 4 · 16 length 4 · 20 codec 1
    //        21 kind 1 · 22 partition 2 · 24 epoch 4 · 28 count 4 · 32 position 8 · 40 flushedTo 8 · 48 first sequence 8
    //        56 first receivedAt 8 · 64 last receivedAt 8 · 72 decoded length 4 · 76 zero 4
    public const int Bytes = 80;
    public const int LengthMax = 64 << 20;
    private const ushort Version = 1;

    public static ReadOnlySpan<byte> Magic => "MLB1"u8;

    public int TotalLength => Bytes + Length;

    public long End => Position + TotalLength;

    public long NextSequence => FirstSequence + Count;

    /// <param name="saltState">State of the CRC after the log's salt.</param>
    public void Write(Span<byte> target, uint saltState)
    {
        Magic.CopyTo(target);
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(target[6..], Bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(target[12..], RecordsCrc);
        BinaryPrimitives.WriteInt32LittleEndian(target[16..], Length);
        target[20] = 0;
        target[21] = (byte)Kind;
        BinaryPrimitives.WriteUInt16LittleEndian(target[22..], (ushort)Partition);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], 0);
        BinaryPrimitives.WriteInt32LittleEndian(target[28..], Count);
        BinaryPrimitives.WriteInt64LittleEndian(target[32..], Position);
        BinaryPrimitives.WriteInt64LittleEndian(target[40..], FlushedTo);
        BinaryPrimitives.WriteInt64LittleEndian(target[48..], FirstSequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[56..], FirstReceivedAt);
        BinaryPrimitives.WriteInt64LittleEndian(target[64..], LastReceivedAt);
        BinaryPrimitives.WriteInt32LittleEndian(target[72..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(target[76..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], Checksum(target, saltState));
    }

    /// <summary>Whether the bytes begin with a header of this log that was written for <paramref name="position"/>.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, uint saltState, long position, int partitions, out BlockHeader header)
    {
        header = default;
        if (bytes.Length < Bytes || !bytes.StartsWith(Magic)
            || BinaryPrimitives.ReadInt64LittleEndian(bytes[32..]) != position
            || BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]) != Version
            || BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]) != Bytes
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != Checksum(bytes, saltState))
            return false;

        header = new BlockHeader(
            (BlockKind)bytes[21],
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[22..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[28..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]),
            position,
            BinaryPrimitives.ReadInt64LittleEndian(bytes[40..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[48..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[56..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[64..]));
        return bytes[20] == 0 && header.IsConsistent(partitions);
    }

    private bool IsConsistent(int partitions) =>
        Length is >= 0 and <= LengthMax && Partition < partitions && FlushedTo >= 0 && FlushedTo <= Position && Kind switch
        {
            BlockKind.Records => Count > 0 && FirstSequence >= 0 && LastReceivedAt == FirstReceivedAt + Count - 1,
            BlockKind.Mark => Count == 0 && Length == 8 * partitions,
            _ => false,
        };

    private static uint Checksum(ReadOnlySpan<byte> header, uint saltState) =>
        Crc32C.Finish(Crc32C.Continue(Crc32C.Continue(saltState, header[..8]), header[12..Bytes]));
}
