using FsCheck;
using FsCheck.Fluent;
using Millrace.Parquet.Tests.Support;

namespace Millrace.Parquet.Tests;

public sealed class PruningTests
{
    private static readonly ParquetColumn[] Columns =
    [
        ParquetColumn.String("device", nullable: false), ParquetColumn.TimestampMillis("time", nullable: false),
        ParquetColumn.Double("used"),
    ];

    [Fact]
    public void One_device_is_found_without_reading_the_others_pages()
    {
        using var reader = ParquetReader.Open(ParquetSource.Memory(Sorted(devices: 50, rowsEach: 100, pageRows: 100, groupRows: 1000)));
        var scan = reader.Scan(new ParquetScanOptions { Filters = [ParquetFilter.Equal("device", "d0023")] });

        var found = 0;
        while (scan.Read())
        {
            for (var row = 0; row < scan.RowCount; row++)
                found += scan["device"].Text(row) == "d0023" ? 1 : 0;
        }

        Assert.Equal(100, found);
        Assert.Equal(4, scan.RowGroupsSkipped);
        Assert.Equal(4900, scan.RowsSkipped);
    }

    [Fact]
    public void Pages_are_cut_out_of_the_middle_with_their_rows_in_step()
    {
        using var reader = ParquetReader.Open(ParquetSource.Memory(Sorted(devices: 1, rowsEach: 1000, pageRows: 10, groupRows: 1000)));
        var scan = reader.Scan(new ParquetScanOptions { Columns = ["used", "time"], Filters = [ParquetFilter.Between("time", 505, 612)] });

        var rows = new List<(long FirstRow, long Time, double Used)>();
        while (scan.Read())
        {
            for (var row = 0; row < scan.RowCount; row++)
                rows.Add((scan.FirstRow + row, scan["time"].Int64s[row], scan["used"].IsNull(row) ? -1 : scan["used"].Doubles[row]));
        }

        Assert.Equal(Enumerable.Range(500, 120).Select(i => ((long)i, (long)i, i % 10 == 0 ? -1 : i * 0.5)), rows);
    }

    [Fact]
    public void A_bloom_filter_rules_out_what_the_bounds_would_let_pass()
    {
        var table = new TestTable([ParquetColumn.String("device", nullable: false)], [["a", "c", "e"]]);
        using var with = ParquetReader.Open(ParquetSource.Memory(table.Write(new ParquetWriterOptions { BloomFilters = ["device"] })));
        using var without = ParquetReader.Open(ParquetSource.Memory(table.Write()));
        var wanted = new ParquetScanOptions { Filters = [ParquetFilter.Equal("device", "d")] };

        Assert.False(with.Scan(wanted).Read());
        Assert.True(without.Scan(wanted).Read());
        Assert.True(with.RowGroups[0].Columns[0].HasBloomFilter);
    }

    [Fact]
    public void No_row_that_a_filter_wants_is_ever_lost()
    {
        var cases =
            from seed in Gen.Choose(0, int.MaxValue - 1)
            from rows in Gen.Choose(1, 300)
            select (seed, rows);

        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var random = new Random(c.seed);
            var table = RandomTable.Make(c.seed, c.rows);
            var file = table.Write(RandomTable.Options(c.seed, table) with { PageRows = random.Next(1, 40), RowGroupRows = random.Next(1, 200) });
            var column = random.Next(table.Columns.Count);
            var value = table.Values[column][random.Next(c.rows)];
            if (FilterOf(table.Columns[column].Name, value) is not { } filter)
                return;

            var wanted = Enumerable.Range(0, c.rows).Where(row => Equal(table.Values[column][row], value)).Select(row => (long)row);
            Assert.Empty(wanted.Except(RowsOf(file, filter)));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(600));
    }

    [Fact]
    public void Long_texts_are_cut_in_the_statistics_without_losing_a_row()
    {
        string[] texts = [new string('a', 200), new string('z', 64) + "zz", new string('é', 100), new string('\uD7FF', 50), "\U0010FFFF"];
        foreach (var text in texts)
        {
            var table = new TestTable([ParquetColumn.String("s")], [[text]]);
            var file = table.Write();
            using var reader = ParquetReader.Open(ParquetSource.Memory(file));

            Assert.True(reader.Scan(new ParquetScanOptions { Filters = [ParquetFilter.Equal("s", text)] }).Read());
            Assert.InRange(reader.RowGroups[0].Columns[0].Min!.Value.Length, 1, 64);
        }
    }

    [Fact]
    public void Bounds_of_doubles_leave_nan_out_and_hold_both_zeros()
    {
        var table = new TestTable([ParquetColumn.Double("v")], [[double.NaN, 0.0, 3.0, -0.0, null]]);
        using var reader = ParquetReader.Open(ParquetSource.Memory(table.Write()));
        var chunk = reader.RowGroups[0].Columns[0];

        Assert.Equal(BitConverter.GetBytes(-0.0), chunk.Min!.Value.ToArray());
        Assert.Equal(BitConverter.GetBytes(3.0), chunk.Max!.Value.ToArray());
        Assert.Equal(1, chunk.NullCount);
    }

    [Fact]
    public void A_page_of_only_nan_leaves_the_chunk_without_a_column_index()
    {
        var table = new TestTable([ParquetColumn.Double("v")], [[double.NaN, double.NaN, 1.0, 2.0]]);
        using var reader = ParquetReader.Open(ParquetSource.Memory(table.Write(new ParquetWriterOptions { PageRows = 2 })));

        Assert.False(reader.RowGroups[0].Columns[0].HasPageIndex);
        Assert.True(reader.Scan(new ParquetScanOptions { Filters = [ParquetFilter.Equal("v", 2.0)] }).Read());
    }

    private static HashSet<long> RowsOf(byte[] file, ParquetFilter filter)
    {
        using var reader = ParquetReader.Open(ParquetSource.Memory(file));
        var scan = reader.Scan(new ParquetScanOptions { Filters = [filter], BatchRows = 13 });
        var rows = new HashSet<long>();
        while (scan.Read())
        {
            for (var row = 0; row < scan.RowCount; row++)
                rows.Add(scan.FirstRow + row);
        }

        return rows;
    }

    private static bool Equal(object? a, object? b) => a is byte[] x && b is byte[] y ? x.AsSpan().SequenceEqual(y) : Equals(a, b);

    private static ParquetFilter? FilterOf(string column, object? value) => value switch
    {
        long number => ParquetFilter.Equal(column, number),
        double number when !double.IsNaN(number) => ParquetFilter.Equal(column, number),
        string text => ParquetFilter.Equal(column, text),
        _ => null,
    };

    private static byte[] Sorted(int devices, int rowsEach, int pageRows, int groupRows)
    {
        using var stream = new MemoryStream();
        var writer = new ParquetWriter(
            stream, Columns, new ParquetWriterOptions { PageRows = pageRows, RowGroupRows = groupRows, SortedBy = ["device", "time"] });
        for (var device = 0; device < devices; device++)
        {
            for (var i = 0; i < rowsEach; i++)
            {
                writer[0].Add($"d{device:D4}");
                writer[1].Add(i);
                if (i % 10 == 0)
                    writer[2].AddNull();
                else
                    writer[2].Add(i * 0.5);
            }
        }

        writer.Complete();
        return stream.ToArray();
    }
}
