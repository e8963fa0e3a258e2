using Millrace.Parquet.Tests.Support;

namespace Millrace.Parquet.Tests;

/// <summary>Files written once and kept: what was readable stays readable.</summary>
public sealed class GoldenFileTests
{
    private const long March = 1_772_323_200_000_000;

    [Fact]
    public void A_small_file_written_from_the_formats_description_alone_is_read()
    {
        var table = TestTable.Read(Golden("small-uncompressed-v1"));

        new TestTable(
            [
                ParquetColumn.String("device", nullable: false), ParquetColumn.TimestampMicros("time", nullable: false),
                ParquetColumn.Decimal("used", 12, 3),
            ],
            [["a1", "a1", "b2"], [March, March + 30_000_000, March], [20_829L, null, 7L]]).AssertEqual(table);
    }

    [Theory]
    [InlineData("meters-gzip-v1")]
    [InlineData("meters-snappy-v2")]
    public void Files_of_release_0_1_are_read(string name)
    {
        using var reader = ParquetReader.Open(ParquetSource.Memory(Golden(name)));
        var ten = Enumerable.Range(0, 10).ToArray();

        new TestTable(
            [
                ParquetColumn.String("device", nullable: false), ParquetColumn.TimestampMillis("time", nullable: false),
                ParquetColumn.Decimal("used", 12, 3), ParquetColumn.Double("v"), ParquetColumn.Boolean("ok"), ParquetColumn.Json("rest"),
                ParquetColumn.Decimal("wide", 30, 2),
            ],
            [
                [.. ten.Select(i => $"meter-{i / 5}")],
                [.. ten.Select(i => (object)(1_772_323_200_000 + i * 30_000L))],
                [.. ten.Select(i => i % 4 == 1 ? null : (object)(20_829L + i))],
                [.. ten.Select(i => i == 9 ? null : (object)(i * 0.5))],
                [.. ten.Select(i => i % 3 == 0 ? null : (object)(i % 2 == 0))],
                [.. ten.Select(i => i < 8 ? null : (object)("{\"n\":" + i + "}"))],
                [.. ten.Select(i => (object)((Int128)i * 1_000_000_000_000_000_000 * 1_000))],
            ]).AssertEqual(TestTable.Read(reader));
        Assert.Equal("meters 1", reader.Metadata["millrace.schema"]);
        Assert.Equal(2, reader.RowGroups.Count);
    }

    public static byte[] Golden(string name)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "Golden", name + ".hex");
        return Convert.FromHexString(File.ReadAllText(path).ReplaceLineEndings(""));
    }
}
