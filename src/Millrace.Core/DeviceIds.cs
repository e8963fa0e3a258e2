using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text.Unicode;

namespace Millrace.Core;

/// <summary>What a device id may be, and the stable hash that places a device in a partition.</summary>
public static class DeviceIds
{
    /// <summary>The longest id, in UTF-8 bytes (a record keeps the length in one byte).</summary>
    public const int LengthMax = 128;

    private static readonly SearchValues<byte> TextIdBytes =
        SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-"u8);

    /// <summary>Whether the bytes are an id of the text form <c>ID:value</c>: 1–128 of letters, digits, <c>. _ -</c>.</summary>
    public static bool IsTextId(ReadOnlySpan<byte> id) =>
        id.Length is > 0 and <= LengthMax && !id.ContainsAnyExcept(TextIdBytes);

    /// <summary>
    /// Whether the bytes can be an id in JSON, XML or a path: 1–128 bytes of UTF-8 without control characters.
    /// Wider than the text form because nothing there has to tell an id from a value.
    /// </summary>
    public static bool IsValid(ReadOnlySpan<byte> id)
    {
        if (id.Length is 0 or > LengthMax)
            return false;
        foreach (var b in id)
        {
            if (b is < 0x20 or 0x7F)
                return false;
        }

        return Utf8.IsValid(id);
    }

    /// <summary>
    /// The 64-bit hash of (tenant, id). It decides the partition and is therefore part of the on-disk contract:
    /// FNV-1a over the tenant's two bytes (little-endian) and the id, taken eight bytes at a time, with a final mix.
    /// </summary>
    public static ulong Hash(ushort tenant, ReadOnlySpan<byte> id)
    {
        var h = 14695981039346656037UL ^ tenant;
        h *= 1099511628211UL;
        var rest = id;
        while (rest.Length >= 8)
        {
            h = (h ^ MemoryMarshal.Read<ulong>(rest)) * 0x9E3779B97F4A7C15UL;
            h = BitOperations.RotateLeft(h, 29);
            rest = rest[8..];
        }

        foreach (var b in rest)
            h = (h ^ b) * 1099511628211UL;

        h ^= (ulong)id.Length;
        h ^= h >> 33;
        h *= 0xFF51AFD7ED558CCDUL;
        h ^= h >> 33;
        h *= 0xC4CEB9FE1A85EC53UL;
        return h ^ (h >> 33);
    }

    /// <summary>The partition of a hash: its high half scaled to the number of partitions.</summary>
    public static int PartitionOf(ulong hash, int partitions) => (int)(((hash >> 32) * (ulong)partitions) >> 32);
}
