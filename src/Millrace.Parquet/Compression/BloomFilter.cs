using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Millrace.Parquet.Compression;

/// <summary>A split-block Bloom filter: 32-byte blocks, one of which holds eight bits for each value.</summary>
internal static class BloomFilter
{
    public const int BlockBytes = 32;

    /// <summary>Twelve bits a value leave about one false hit in three hundred.</summary>
    private const int BitsPerValue = 12;

    private static ReadOnlySpan<uint> Salt =>
    [
        0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
    ];

    /// <summary>Makes the filter of these hashes; the size follows from their number.</summary>
    public static byte[] Build(ReadOnlySpan<ulong> hashes, int bytesMax)
    {
        var wanted = Math.Max(1, ((long)hashes.Length * BitsPerValue + 255) / 256);
        var blocks = (int)Math.Min(BitOperations.RoundUpToPowerOf2((ulong)wanted), (ulong)(bytesMax / BlockBytes));
        var bits = new byte[blocks * BlockBytes];
        foreach (var hash in hashes)
            Insert(bits.AsSpan(BlockOf(hash, blocks) * BlockBytes, BlockBytes), hash);

        return bits;
    }

    public static int BlockOf(ulong hash, int blocks) => (int)((hash >> 32) * (uint)blocks >> 32);

    public static bool MightContain(ReadOnlySpan<byte> block, ulong hash)
    {
        for (var i = 0; i < 8; i++)
        {
            var word = BinaryPrimitives.ReadUInt32LittleEndian(block[(i * 4)..]);
            if ((word >> Bit(hash, i) & 1) == 0)
                return false;
        }

        return true;
    }

    public static ulong HashOf(long value) => XxHash64.Compute(MemoryMarshal.AsBytes(new ReadOnlySpan<long>(in value)));

    public static ulong HashOf(int value) => XxHash64.Compute(MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in value)));

    private static void Insert(Span<byte> block, ulong hash)
    {
        for (var i = 0; i < 8; i++)
        {
            var word = block[(i * 4)..];
            BinaryPrimitives.WriteUInt32LittleEndian(word, BinaryPrimitives.ReadUInt32LittleEndian(word) | 1u << Bit(hash, i));
        }
    }

    private static int Bit(ulong hash, int i) => (int)((uint)hash * Salt[i] >> 27);
}
