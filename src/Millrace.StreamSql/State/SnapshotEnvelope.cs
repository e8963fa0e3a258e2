using System.Buffers.Binary;
using System.Numerics;

namespace Millrace.StreamSql.State;

/// <summary>Magic, version, length and checksum around a snapshot's body (docs/formats/query-snapshot.md).</summary>
internal static class SnapshotEnvelope
{
    // offset 0 magic (4), 4 version (4), 8 length of the body (8), 16 CRC-32C of the body (4)
    private const int HeaderBytes = 20;

    public static void Write(Stream target, ReadOnlySpan<byte> magic, int version, MemoryStream body)
    {
        var bytes = body.GetBuffer().AsSpan(0, (int)body.Length);
        Span<byte> header = stackalloc byte[HeaderBytes];
        magic.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], version);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], bytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], Crc(bytes));
        target.Write(header);
        target.Write(bytes);
    }

    public static MemoryStream Read(Stream source, ReadOnlySpan<byte> magic, int version)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (source.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes || !header.StartsWith(magic))
            throw new InvalidDataException("this is not a query snapshot");
        var found = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        if (found != version)
            throw new InvalidDataException($"the snapshot has version {found}, this program reads version {version}");
        var length = BinaryPrimitives.ReadInt64LittleEndian(header[8..]);
        if (length is < 0 or > int.MaxValue || (source.CanSeek && length > source.Length - source.Position))
            throw new InvalidDataException("the snapshot is damaged: it ends too early");
        var bytes = new byte[length];
        if (source.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false) < bytes.Length)
            throw new InvalidDataException("the snapshot is damaged: it ends too early");
        if (Crc(bytes) != BinaryPrimitives.ReadUInt32LittleEndian(header[16..]))
            throw new InvalidDataException("the snapshot is damaged: its checksum does not fit");
        return new MemoryStream(bytes, writable: false);
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (var value in bytes)
            crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }
}
