using System.Numerics;
using System.Runtime.InteropServices;

namespace Millrace.History.Rollups.Stored;

/// <summary>What writers and readers of cell files agree on (docs/formats/rollups.md).</summary>
internal static class CellFile
{
    public const uint Magic = 0x4352_524D; // MRRC
    public const ushort Version = 2;
    public const ushort FirstVersion = 1;
    public const ushort WithPlaces = 1;
    public const int HeaderBytes = 24;
    public const int BlockHeaderBytes = 13;
    public const int EntryBytes = 24;
    public const int FooterBytes = 64;
    public const byte Plain = 0;
    public const byte Brotli = 1;

    /// <summary>A block is never larger: a day of minutes of a thousand fields has room.</summary>
    public const int BlockBytesMax = 256 << 20;

    public static uint Crc(ReadOnlySpan<byte> bytes, uint crc = 0)
    {
        crc = ~crc;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(bytes))
            crc = BitOperations.Crc32C(crc, word);
        foreach (var b in bytes[(bytes.Length & ~7)..])
            crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    /// <summary>Bits of the hash that the fan-out has, so that about 128 series share a value.</summary>
    public static int FanOutBits(int entries) => Math.Clamp(BitOperations.Log2((uint)Math.Max(entries, 1)) - 7, 0, 20);

    /// <summary>Begins the checksum of a value of the fan-out, so that its own bounds are covered too.</summary>
    public static uint SlotSeed(uint first, uint next) => BitOperations.Crc32C(BitOperations.Crc32C(0, first), next);

    public static int Slot(ulong hash, int bits) => bits == 0 ? 0 : (int)(hash >> (64 - bits));
}

/// <summary>The cells of one field, in order of time.</summary>
internal readonly record struct FieldCells(string Field, IReadOnlyList<Cell> Cells);
