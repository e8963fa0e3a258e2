using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Parquet.Compression;
using Millrace.Parquet.Encodings;
using Millrace.Parquet.Metadata;

namespace Millrace.Parquet.Tests.Compression;

public sealed class CompressionTests
{
    [Theory]
    [InlineData("", 0xef46db3751d8e999)]
    [InlineData("a1", 0xfbe5503cb106ea90)]
    [InlineData("fffe020101000039", 0x758a093ac62c4713)]
    public void The_hash_is_xxh64(string text, ulong expected) =>
        Assert.Equal(expected, XxHash64.Compute(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public void The_hash_of_a_number_is_that_of_its_plain_bytes() =>
        Assert.Equal(0xb556806fb6d14353, BloomFilter.HashOf(42L));

    [Fact]
    public void The_checksum_is_crc_32() => Assert.Equal(0xCBF43926, Crc32.Compute("123456789"u8));

    [Fact]
    public void A_bloom_filter_has_the_bytes_of_the_format()
    {
        var bits = BloomFilter.Build([XxHash64.Compute("a1"u8)], 1 << 20);
        var output = new ByteBuffer();
        MetadataWriter.WriteBloomHeader(bits.Length, output);
        output.Write(bits);

        Assert.Equal(
            "15401c1c00001c1c00001c1c0000000001000000000040040000000040000000000800000000010000000400400000",
            Convert.ToHexStringLower(output.Written));
    }

    [Fact]
    public void A_bloom_filter_never_denies_what_was_put_in()
    {
        var hashes = Enumerable.Range(0, 5000).Select(i => BloomFilter.HashOf((long)i)).ToArray();
        var bits = BloomFilter.Build(hashes, 1 << 20);
        var blocks = bits.Length / BloomFilter.BlockBytes;

        Assert.All(hashes, hash => Assert.True(Asked(bits, blocks, hash)));
        var falseHits = Enumerable.Range(10_000, 5000).Count(i => Asked(bits, blocks, BloomFilter.HashOf((long)i)));
        Assert.InRange(falseHits, 0, 100);
    }

    [Fact]
    public void Snappy_gives_back_any_bytes()
    {
        Prop.ForAll(Bytes().ToArbitrary(), bytes =>
        {
            var packed = new byte[Snappy.BoundOf(bytes.Length)];
            var length = Snappy.Compress(bytes, packed);
            var back = new byte[bytes.Length];
            Snappy.Decompress(packed.AsSpan(0, length), back);
            Assert.Equal(bytes, back);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(400));
    }

    [Fact]
    public void Snappy_reads_copies_of_all_three_forms_and_overlapping_ones()
    {
        // "ab", then four more by a one-byte offset, six by a two-byte and five by a four-byte one.
        byte[] packed = [17, 0x04, (byte)'a', (byte)'b', 0x01, 0x02, 0x16, 0x02, 0x00, 0x13, 0x02, 0x00, 0x00, 0x00];
        var back = new byte[17];
        Snappy.Decompress(packed, back);

        Assert.Equal("ababababababababa", Encoding.ASCII.GetString(back));
    }

    [Fact]
    public void Lz4_reads_literals_and_overlapping_copies()
    {
        // Three literals, a copy of 4 + 15 + 1 bytes three back, then two last literals.
        byte[] packed = [0x3F, (byte)'a', (byte)'b', (byte)'c', 3, 0, 1, 0x20, (byte)'x', (byte)'y'];
        var back = new byte[25];
        Lz4Block.Decompress(packed, back);

        Assert.Equal("abcabcabcabcabcabcabcabxy", Encoding.ASCII.GetString(back));
    }

    [Fact]
    public void Damaged_blocks_are_refused_and_nothing_else()
    {
        Prop.ForAll(Bytes().ToArbitrary(), bytes =>
        {
            var target = new byte[64];
            Refuses(() => Snappy.Decompress(bytes, target));
            Refuses(() => Lz4Block.Decompress(bytes, target));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    private static void Refuses(Action decompress)
    {
        try
        {
            decompress();
        }
        catch (InvalidDataException)
        {
            // What a damaged block should do; chance may also make it a good one.
        }
    }

    private static bool Asked(byte[] bits, int blocks, ulong hash) => BloomFilter.MightContain(
        bits.AsSpan(BloomFilter.BlockOf(hash, blocks) * BloomFilter.BlockBytes, BloomFilter.BlockBytes), hash);

    private static Gen<byte[]> Bytes() =>
        from seed in Gen.Choose(0, int.MaxValue - 1)
        from length in Gen.Elements(0, 1, 3, 60, 61, 300, 5000, 70_000, 200_000)
        from letters in Gen.Elements(1, 2, 20, 256)
        select Make(seed, length, letters);

    private static byte[] Make(int seed, int length, int letters)
    {
        var random = new Random(seed);
        var bytes = new byte[length];
        for (var i = 0; i < length; i++)
            bytes[i] = i > 100 && random.Next(10) > 0 ? bytes[i - 100] : (byte)random.Next(letters);
        return bytes;
    }
}
