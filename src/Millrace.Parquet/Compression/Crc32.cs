using System.Buffers.Binary;

namespace Millrace.Parquet.Compression;

/// <summary>CRC-32 with the polynomial of GZIP, eight bytes a step.</summary>
internal static class Crc32
{
    private static readonly uint[] Table = MakeTable();

    public static uint Compute(ReadOnlySpan<byte> bytes, uint previous = 0)
    {
        var table = Table;
        var crc = ~previous;
        while (bytes.Length >= 8)
        {
            var low = BinaryPrimitives.ReadUInt32LittleEndian(bytes) ^ crc;
            var high = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            crc = table[0x700 + (low & 0xFF)] ^ table[0x600 + (low >> 8 & 0xFF)]
                ^ table[0x500 + (low >> 16 & 0xFF)] ^ table[0x400 + (low >> 24)]
                ^ table[0x300 + (high & 0xFF)] ^ table[0x200 + (high >> 8 & 0xFF)]
                ^ table[0x100 + (high >> 16 & 0xFF)] ^ table[high >> 24];
            bytes = bytes[8..];
        }

        foreach (var b in bytes)
            crc = table[(crc ^ b) & 0xFF] ^ crc >> 8;

        return ~crc;
    }

    private static uint[] MakeTable()
    {
        var table = new uint[8 * 256];
        for (var i = 0u; i < 256; i++)
        {
            var crc = i;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
            table[i] = crc;
        }

        for (var i = 256; i < table.Length; i++)
            table[i] = table[table[i - 256] & 0xFF] ^ table[i - 256] >> 8;

        return table;
    }
}
