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

    public static byte[] Golden(string name)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "Golden", name + ".hex");
        return Convert.FromHexString(File.ReadAllText(path).ReplaceLineEndings(""));
    }
}
