using System.Buffers.Binary;

namespace Millrace.Log.Format;

/// <summary>What is fixed when a log's folder is made (file <c>meta</c>, docs/formats/log.md).</summary>
internal sealed record LogMeta(int Partitions, ulong Salt, long CreatedAt)
{
    public const string FileName = "meta";
    public const int Bytes = 32;
    private const ushort Version = 1;

    private static ReadOnlySpan<byte> Magic => "MILLRLOG"u8;

    /// <summary>State of a CRC after the salt: what every block header's checksum starts from.</summary>
    public uint SaltState
    {
        get
        {
            Span<byte> salt = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(salt, Salt);
            return Crc32C.Continue(Crc32C.Start, salt);
        }
    }

    public byte[] ToBytes()
    {
        var bytes = new byte[Bytes];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), Version);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), (ushort)Partitions);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), Salt);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), CreatedAt);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Checksum(bytes));
        return bytes;
    }

    /// <summary>Null when the bytes are damaged.</summary>
    public static LogMeta? Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < Bytes || !bytes.StartsWith(Magic)
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]) != Checksum(bytes))
            return null;
        LogVersions.Check("log", BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]), Version);
        return new LogMeta(
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[10..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]));
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes) =>
        Crc32C.Finish(Crc32C.Continue(Crc32C.Continue(Crc32C.Start, bytes[..12]), bytes[16..Bytes]));
}

/// <summary>A folder of a release that we are too old for is refused, never guessed at.</summary>
internal static class LogVersions
{
    public static void Check(string what, int found, int known)
    {
        if (found != known)
        {
            throw new LogFolderException(
                $"The {what} has format version {found}, this release reads version {known}: use the release that wrote it, or a newer one.");
        }
    }
}
