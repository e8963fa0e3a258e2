using FsCheck;
using FsCheck.Fluent;
using Millrace.Parquet.Tests.Support;

namespace Millrace.Parquet.Tests;

public sealed class RoundTripTests
{
    [Fact]
    public void Any_table_written_any_way_is_read_back_as_it_was()
    {
        var cases =
            from seed in Gen.Choose(0, int.MaxValue - 1)
            from rows in Gen.Frequency((3, Gen.Choose(0, 40)), (2, Gen.Choose(100, 700)))
            from commitEvery in Gen.Elements(1, 3, 100, int.MaxValue)
            from batchRows in Gen.Elements(1, 7, 100, 16_384)
            select (seed, rows, commitEvery, batchRows);

        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var table = RandomTable.Make(c.seed, c.rows);
            var file = table.Write(RandomTable.Options(c.seed, table), c.commitEvery);
            table.AssertEqual(TestTable.Read(file, new ParquetScanOptions { BatchRows = c.batchRows }));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(600));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(32)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(129)]
    [InlineData(130)]
    [InlineData(2049)]
    public void Every_encoding_holds_a_page_of_any_length(int rows)
    {
        var random = new Random(rows);
        ParquetColumn[] columns =
        [
            ParquetColumn.Boolean("bool"), ParquetColumn.Int32("int32"), ParquetColumn.Int64("int64"), ParquetColumn.Double("double"),
            ParquetColumn.String("text"), ParquetColumn.Decimal("wide", 38, 4),
        ];
        foreach (var column in columns)
        {
            foreach (var encoding in RandomTable.EncodingsOf(column))
            {
                var table = new TestTable([column], [RandomTable.Values(random, column, rows)]);
                var options = new ParquetWriterOptions
                {
                    Encodings = new Dictionary<string, ParquetEncoding> { [column.Name] = encoding },
                    PageRows = rows,
                };
                table.AssertEqual(TestTable.Read(table.Write(options)));
            }
        }
    }

    [Fact]
    public void Nulls_at_the_ends_or_everywhere_or_nowhere_come_back()
    {
        object?[][] shapes =
        [
            [null, 1L, 2L, 3L], [1L, 2L, 3L, null], [null, null, null, null], [1L, 2L, 3L, 4L], [null, 1L, null, null],
        ];
        foreach (var shape in shapes)
        {
            foreach (var v2 in new[] { false, true })
            {
                var table = new TestTable([ParquetColumn.Int64("n")], [shape]);
                table.AssertEqual(TestTable.Read(table.Write(new ParquetWriterOptions { PagesV2 = v2, PageRows = 2 })));
            }
        }
    }

    [Fact]
    public void An_empty_table_is_a_file_without_row_groups()
    {
        var table = new TestTable([ParquetColumn.String("device", nullable: false)], [[]]);

        using var reader = ParquetReader.Open(ParquetSource.Memory(table.Write()));

        Assert.Equal(0, reader.RowCount);
        Assert.Empty(reader.RowGroups);
        Assert.False(reader.Scan().Read());
    }

    [Fact]
    public void A_hundred_columns_are_read_singly()
    {
        var columns = Enumerable.Range(0, 100).Select(i => ParquetColumn.Int64($"c{i}")).ToArray();
        var table = new TestTable(columns, [.. columns.Select((_, i) => new object?[] { (long)i, null, -(long)i })]);
        var file = table.Write();

        var some = TestTable.Read(file, new ParquetScanOptions { Columns = ["c99", "c7"] });

        Assert.Equal([99L, null, -99L], some.Values[0]);
        Assert.Equal([7L, null, -7L], some.Values[1]);
    }

    [Fact]
    public void Spans_and_single_values_write_the_same_file()
    {
        long[] times = [10, 20, 30, 40];
        bool[] present = [true, false, true, true];
        ParquetColumn[] columns = [ParquetColumn.TimestampMillis("time", nullable: false), ParquetColumn.Int64("n"), ParquetColumn.Double("d")];
        using var bySpan = new MemoryStream();
        var writer = new ParquetWriter(bySpan, columns);
        writer["time"].Add(times);
        writer["n"].Add(times, present);
        writer["d"].Add([1.5, 0, 2.5, 3.5], present);
        writer.Metadata["millrace.rows"] = "4";
        writer.Complete();

        var byValue = new TestTable(columns, [[10L, 20L, 30L, 40L], [10L, null, 30L, 40L], [1.5, null, 2.5, 3.5]]);

        Assert.Equal(byValue.Write(), bySpan.ToArray());
    }

    [Fact]
    public void Metadata_sorting_and_the_writers_name_are_in_the_footer()
    {
        var table = new TestTable(
            [ParquetColumn.String("device", nullable: false), ParquetColumn.Int64("n")], [["a", "b"], [1L, 2L]]);

        using var reader = ParquetReader.Open(ParquetSource.Memory(table.Write(new ParquetWriterOptions { SortedBy = ["device", "n"] })));

        Assert.Equal("2", reader.Metadata["millrace.rows"]);
        Assert.StartsWith("millrace version", reader.CreatedBy);
        Assert.Equal([new ParquetSort(0), new ParquetSort(1)], reader.RowGroups[0].Sorting);
    }

    [Fact]
    public void A_column_refuses_what_it_cannot_hold()
    {
        var writer = new ParquetWriter(new MemoryStream(), [ParquetColumn.Int32("n", nullable: false), ParquetColumn.String("s")]);

        Assert.Throws<InvalidOperationException>(() => writer["n"].AddNull());
        Assert.Throws<ArgumentOutOfRangeException>(() => writer["n"].Add(1L << 40));
        Assert.Throws<InvalidOperationException>(() => writer["n"].Add("text"));
        Assert.Throws<InvalidOperationException>(() => writer["s"].Add(1.5));
        writer["n"].Add(1);
        Assert.Throws<InvalidOperationException>(writer.CommitRows);
    }

    [Fact]
    public void Adding_values_allocates_nothing_once_the_buffers_have_grown()
    {
        var writer = new ParquetWriter(
            Stream.Null, [ParquetColumn.String("device", nullable: false), ParquetColumn.TimestampMillis("time"), ParquetColumn.Double("v")],
            new ParquetWriterOptions { RowGroupRows = 20_000 });
        AddRows(writer, 20_000);
        writer.CommitRows();

        var before = GC.GetAllocatedBytesForCurrentThread();
        AddRows(writer, 19_999);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void AddRows(ParquetWriter writer, int rows)
    {
        var (device, time, value) = (writer[0], writer[1], writer[2]);
        for (var i = 0; i < rows; i++)
        {
            device.Add("fffe020101000039"u8);
            if (i % 7 == 0)
                time.AddNull();
            else
                time.Add(1_772_323_200_000 + i);
            value.Add(i * 0.5);
        }
    }
}
