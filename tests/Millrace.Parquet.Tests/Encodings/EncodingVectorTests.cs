using Millrace.Parquet.Encodings;

namespace Millrace.Parquet.Tests.Encodings;

public sealed class EncodingVectorTests
{
    [Theory]
    [InlineData(new[] { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0 }, 1, "14010300")]
    [InlineData(new[] { 0, 1, 2, 3, 4, 5, 6, 7 }, 3, "0388c6fa")]
    public void Runs_and_packed_stretches_have_the_bytes_of_the_format(int[] values, int width, string hex)
    {
        var output = new ByteBuffer();
        HybridEncoder.Write(values, width, output);

        Assert.Equal(hex, Convert.ToHexStringLower(output.Written));
        var back = new int[values.Length];
        new HybridDecoder(Padded(output), 0, output.Length, width, 0).Read(back);
        Assert.Equal(values, back);
    }

    [Theory]
    [InlineData(new long[] { 7, 5, 3, 1, 2, 3, 4, 5 }, "8001 04 08 0e 03 02000000 c03f000000000000")]
    [InlineData(new long[] { 1, 2, 3, 4, 5 }, "8001 04 05 02 02 00000000")]
    [InlineData(new long[0], "8001 04 00 00")]
    [InlineData(new long[] { 42 }, "8001 04 01 54")]
    [InlineData(new[] { long.MinValue, long.MaxValue }, "8001 04 02 ffffffffffffffffff01 01 00000000")]
    public void Deltas_have_the_bytes_of_the_format(long[] values, string hex)
    {
        var output = new ByteBuffer();
        DeltaBinaryEncoder.Write(values, is32: false, DeltaShape.Default, output);

        Assert.Equal(hex.Replace(" ", ""), Convert.ToHexStringLower(output.Written));
        var back = new long[values.Length];
        var decoder = new DeltaBinaryDecoder(Padded(output), 0, output.Length, 0);
        decoder.Read(back);
        Assert.Equal(values, back);
        Assert.Equal(output.Length, decoder.Position);
    }

    [Fact]
    public void Deltas_of_every_width_and_shape_come_back()
    {
        var random = new Random(5);
        DeltaShape[] shapes = [.. DeltaShape.Candidates, new(256, 1, false), new(1024, 32, false)];
        for (var width = 0; width <= 64; width++)
        {
            foreach (var shape in shapes)
            {
                var values = new long[random.Next(1, 700)];
                for (var i = 0; i < values.Length; i++)
                    values[i] = width == 0 ? 5 : (long)((ulong)random.NextInt64(long.MinValue, long.MaxValue) >> (64 - width));

                var output = new ByteBuffer();
                DeltaBinaryEncoder.Write(values, is32: false, shape, output);
                var back = new long[values.Length];
                var decoder = new DeltaBinaryDecoder(Padded(output), 0, output.Length, 0);
                for (var at = 0; at < back.Length; at += 50)
                    decoder.Read(back.AsSpan(at, Math.Min(50, back.Length - at)));
                Assert.Equal(values, back);
            }
        }
    }

    [Fact]
    public void Indexes_of_every_width_come_back_in_pieces()
    {
        var random = new Random(6);
        for (var width = 1; width <= 32; width++)
        {
            var values = new int[500];
            for (var i = 0; i < values.Length; i++)
                values[i] = i % 40 < 20 && i > 0 ? values[i - 1] : (int)((uint)random.NextInt64() >> (32 - width));

            var output = new ByteBuffer();
            HybridEncoder.Write(values, width, output);
            var decoder = new HybridDecoder(Padded(output), 0, output.Length, width, 0);
            var back = new int[values.Length];
            for (var at = 0; at < back.Length; at += 33)
                decoder.Read(back.AsSpan(at, Math.Min(33, back.Length - at)));
            Assert.Equal(values, back);
        }
    }

    [Fact]
    public void Split_doubles_have_the_bytes_of_the_format()
    {
        using var stream = new MemoryStream();
        var writer = new ParquetWriter(stream, [ParquetColumn.Double("d", nullable: false)], new ParquetWriterOptions
        {
            Codec = ParquetCodec.Uncompressed,
            Encodings = new Dictionary<string, ParquetEncoding> { ["d"] = ParquetEncoding.ByteStreamSplit },
        });
        writer[0].Add([1.0, 2.0, -0.5]);
        writer.Complete();

        var file = Convert.ToHexStringLower(stream.ToArray());

        Assert.Contains("000000000000000000000000000000000000f000e03f40bf", file);
    }

    private static byte[] Padded(ByteBuffer buffer)
    {
        var bytes = new byte[buffer.Length + BitPacking.Slack];
        buffer.Written.CopyTo(bytes);
        return bytes;
    }
}
