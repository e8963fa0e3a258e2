using System.Globalization;
using System.Text.Json;
using Millrace.Parquet.Tests.Support;

namespace Millrace.Parquet.Tests;

/// <summary>What independent readers make of our files, and we of theirs.</summary>
public sealed class PeerTests(Peers peers) : IClassFixture<Peers>
{
    [Fact]
    public void DuckDB_and_hyparquet_read_every_value_of_any_table_written_any_way()
    {
        peers.SkipUnlessAvailable();
        using var folder = new TemporaryFolder();
        var tables = new List<TestTable>();
        var descriptions = new List<string>();
        var jobs = new List<object>();
        for (var seed = 1; seed <= 120; seed++)
        {
            var table = RandomTable.Make(seed, new Random(seed).Next(1, 400), withinCalendar: true);
            var options = RandomTable.Options(seed, table);
            // These two combinations are legal and DuckDB does not read them.
            if (options.Encodings.Any(e => e.Value == ParquetEncoding.ByteStreamSplit && KindOf(table, e.Key) != ParquetKind.Double)
                || options.Encodings.Any(e => e.Value == ParquetEncoding.DeltaByteArray && KindOf(table, e.Key) == ParquetKind.Decimal))
            {
                continue;
            }

            var file = folder.File($"{seed}.parquet");
            File.WriteAllBytes(file, table.Write(options));
            tables.Add(table);
            descriptions.Add($"seed {seed}, {options.Codec}, second form {options.PagesV2}, {string.Join(' ', options.Encodings)}");
            jobs.Add(new { file, columns = table.Columns.Select(c => new { name = c.Name, kind = c.Kind.ToString() }) });
        }

        Assert.InRange(tables.Count, 80, 120);
        var read = peers.Run("dump.mjs", JsonSerializer.Serialize(jobs));

        var faults = new List<string>();
        for (var i = 0; i < tables.Count; i++)
        {
            foreach (var fault in read[i].GetProperty("faults").EnumerateArray())
                faults.Add($"{descriptions[i]}: {fault}");
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
        for (var i = 0; i < tables.Count; i++)
        {
            AssertSame(tables[i], read[i].GetProperty("duckdb"), "DuckDB");
            AssertSame(tables[i], read[i].GetProperty("hyparquet"), "hyparquet");
        }
    }

    [Theory]
    [InlineData("UNCOMPRESSED", "V1")]
    [InlineData("SNAPPY", "V1")]
    [InlineData("GZIP", "V1")]
    [InlineData("BROTLI", "V1")]
    [InlineData("LZ4_RAW", "V1")]
    [InlineData("SNAPPY", "V2")]
    [InlineData("GZIP", "V2")]
    public void Files_that_DuckDB_writes_are_read(string codec, string version)
    {
        peers.SkipUnlessAvailable();
        using var folder = new TemporaryFolder();
        var file = folder.File("duckdb.parquet");
        peers.Run("sql.mjs", $"""
            COPY (SELECT i AS n, i::INTEGER AS small, (i % 200)::UTINYINT AS tiny, (i * 1000000000000)::UBIGINT AS huge,
                         CASE WHEN i % 7 = 0 THEN NULL ELSE 'device-' || (i % 50) END AS device, 'text ' || i AS text,
                         i * 0.25 AS half, (i * 0.5)::DOUBLE AS d, (i * 0.125)::FLOAT AS f, i % 3 = 0 AS b,
                         (i / 8)::DECIMAL(9, 3) AS d9, (i / 8)::DECIMAL(18, 3) AS d18, (-i)::DECIMAL(38, 4) AS d38,
                         DATE '2026-01-01' + (i % 365)::INTEGER AS day,
                         to_timestamp(1772323200 + i) AS utc, TIMESTAMP '2026-03-01' + to_seconds(i) AS local,
                         ('b' || i)::BLOB AS raw, [i] AS list
                  FROM range(10000) t(i))
            TO '{file}' (FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 4096)
            """);

        using var reader = ParquetReader.Open(file);
        var table = TestTable.Read(reader, new ParquetScanOptions { BatchRows = 777 });

        Assert.Equal(["list"], reader.UnsupportedColumns);
        Assert.Equal(3, reader.RowGroups.Count);
        Check(table, "n", i => (long)i);
        Check(table, "small", i => (long)i);
        Check(table, "tiny", i => (long)(i % 200));
        Check(table, "huge", i => unchecked((long)((ulong)i * 1_000_000_000_000)));
        Check(table, "device", i => i % 7 == 0 ? null : System.Text.Encoding.UTF8.GetBytes($"device-{i % 50}"));
        Check(table, "text", i => System.Text.Encoding.UTF8.GetBytes($"text {i}"));
        Check(table, "d", i => i * 0.5);
        Check(table, "f", i => i * 0.125);
        Check(table, "b", i => i % 3 == 0);
        Check(table, "d9", i => i * 125L);
        Check(table, "d18", i => i * 125L);
        Check(table, "d38", i => (Int128)(-i) * 10_000);
        Check(table, "day", i => (long)(DateOnly.Parse("2026-01-01").DayNumber - DateOnly.Parse("1970-01-01").DayNumber + i % 365));
        Check(table, "utc", i => (1_772_323_200L + i) * 1_000_000);
        Check(table, "local", i => (1_772_323_200L + i) * 1_000_000);
        Check(table, "raw", i => System.Text.Encoding.UTF8.GetBytes($"b{i}"));
        Assert.True(table.Columns.Single(c => c.Name == "utc").IsUtc);
        Assert.False(table.Columns.Single(c => c.Name == "local").IsUtc);
    }

    [Fact]
    public void A_file_that_DuckDB_compressed_with_zstd_is_refused_by_name()
    {
        peers.SkipUnlessAvailable();
        using var folder = new TemporaryFolder();
        var file = folder.File("zstd.parquet");
        peers.Run("sql.mjs", $"COPY (SELECT i AS n FROM range(100) t(i)) TO '{file}' (FORMAT parquet, COMPRESSION ZSTD)");

        var fault = Assert.Throws<ParquetFormatException>(() =>
        {
            using var reader = ParquetReader.Open(file);
            reader.Scan().Read();
        });

        Assert.Contains("Zstd", fault.Message);
        Assert.Equal("n", fault.Column);
    }

    [Fact]
    public void DuckDB_sees_our_types_statistics_metadata_and_bloom_filter()
    {
        peers.SkipUnlessAvailable();
        using var folder = new TemporaryFolder();
        var file = folder.File("ours.parquet");
        var table = new TestTable(
            [
                ParquetColumn.String("device", nullable: false), ParquetColumn.TimestampMicros("time", nullable: false),
                ParquetColumn.TimestampMillis("received", nullable: false), ParquetColumn.Decimal("used", 12, 3), ParquetColumn.Json("rest"),
            ],
            [["a1", "a1", "b2"], [1_772_323_200_000_000L, 1_772_323_230_000_000L, 1_772_323_200_000_000L],
             [1_772_323_200_001L, 1_772_323_230_001L, 1_772_323_200_002L], [20_829L, null, 7L], ["{}", null, "[1]"]]);
        File.WriteAllBytes(file, table.Write(new ParquetWriterOptions { BloomFilters = ["device"], SortedBy = ["device", "time"] }));

        var types = peers.Run("sql.mjs", $"SELECT column_type FROM (DESCRIBE SELECT * FROM read_parquet('{file}'))");
        var sums = peers.Run("sql.mjs", $"SELECT sum(used)::VARCHAR, count(*)::VARCHAR, max(epoch_ms(received))::VARCHAR FROM read_parquet('{file}') WHERE device = 'a1'");
        var bounds = peers.Run("sql.mjs", $"SELECT stats_min_value, stats_max_value, stats_null_count::INTEGER FROM parquet_metadata('{file}') WHERE path_in_schema = 'used'");
        var bloom = peers.Run("sql.mjs", $"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{file}', 'device', 'a1') UNION ALL SELECT bloom_filter_excludes FROM parquet_bloom_probe('{file}', 'device', 'a2')");
        var metadata = peers.Run("sql.mjs", $"SELECT decode(value) FROM parquet_kv_metadata('{file}')");

        Assert.Equal(
            """[["VARCHAR"],["TIMESTAMP WITH TIME ZONE"],["TIMESTAMP WITH TIME ZONE"],["DECIMAL(12,3)"],["JSON"]]""", types.GetRawText());
        Assert.Equal("""[["20.829","2","1772323230001"]]""", sums.GetRawText());
        Assert.Equal("""[["0.007","20.829",1]]""", bounds.GetRawText());
        Assert.Equal("[[false],[true]]", bloom.GetRawText());
        Assert.Equal("""[["3"]]""", metadata.GetRawText());
    }

    [Fact]
    public void An_empty_table_opens_in_DuckDB_and_hyparquet()
    {
        peers.SkipUnlessAvailable();
        using var folder = new TemporaryFolder();
        var file = folder.File("empty.parquet");
        File.WriteAllBytes(file, new TestTable([ParquetColumn.String("device", nullable: false)], [[]]).Write());

        var read = peers.Run("dump.mjs", JsonSerializer.Serialize(new[] { new { file, columns = new[] { new { name = "device", kind = "String" } } } }));

        Assert.Equal("""[{"faults":[],"duckdb":[],"hyparquet":[]}]""", read.GetRawText());
    }

    private static ParquetKind KindOf(TestTable table, string column) => table.Columns.Single(c => c.Name == column).Kind;

    private static void Check(TestTable table, string column, Func<int, object?> expected)
    {
        var place = table.Columns.ToList().FindIndex(c => c.Name == column);
        var shown = new TestTable([table.Columns[place]], [[.. Enumerable.Range(0, table.Rows).Select(expected)]]);
        shown.AssertEqual(new TestTable([table.Columns[place]], [table.Values[place]]));
    }

    private static void AssertSame(TestTable table, JsonElement rows, string reader)
    {
        Assert.Equal(table.Rows, rows.GetArrayLength());
        for (var row = 0; row < table.Rows; row++)
        {
            for (var c = 0; c < table.Columns.Count; c++)
            {
                var (expected, actual) = (table.Values[c][row], rows[row][c].GetString());
                Assert.True(IsSame(table.Columns[c], expected, actual), $"{reader}: {table.Columns[c]}, row {row}: {expected} was read as {actual}");
            }
        }
    }

    private static bool IsSame(ParquetColumn column, object? expected, string? actual) => (expected, actual) switch
    {
        (null, null) => true,
        (null, _) or (_, null) => false,
        (double value, _) => Bits(value) == Bits(ParseDouble(actual)),
        (bool value, _) => actual == (value ? "true" : "false"),
        (string text, _) => actual == Convert.ToHexString(System.Text.Encoding.UTF8.GetBytes(text)),
        (byte[] bytes, _) => actual == Convert.ToHexString(bytes),
        _ when column.Kind == ParquetKind.Decimal => IsSameDecimal(column, expected, actual),
        _ => actual == Convert.ToString(expected, CultureInfo.InvariantCulture),
    };

    /// <summary>DuckDB shows all digits; hyparquet makes a double of it, which is compared as one.</summary>
    private static bool IsSameDecimal(ParquetColumn column, object expected, string actual)
    {
        var unscaled = expected is Int128 wide ? wide : (long)expected;
        if (Int128.TryParse(actual.Replace(".", ""), out var digits) && digits == unscaled && (column.Scale == 0 || actual.Contains('.')))
            return true;

        var asDouble = (double)unscaled / Math.Pow(10, column.Scale);
        return Math.Abs(ParseDouble(actual) - asDouble) <= Math.Abs(asDouble) * 1e-14 && actual.Replace(".", "").Length < 26;
    }

    private static long Bits(double value) => double.IsNaN(value) ? long.MinValue + 1 : BitConverter.DoubleToInt64Bits(value);

    private static double ParseDouble(string text) => text switch
    {
        "nan" or "NaN" => double.NaN,
        "inf" or "Infinity" => double.PositiveInfinity,
        "-inf" or "-Infinity" => double.NegativeInfinity,
        _ => double.Parse(text, CultureInfo.InvariantCulture),
    };
}
