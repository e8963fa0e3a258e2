using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.Parquet;

namespace Millrace.History.Tests.Archive;

public sealed class PayloadTests
{
    /// <summary>2026-03-01T00:00:00.250Z</summary>
    private const long Time = 1_772_323_200_250_000;

    [Fact]
    public void Any_payload_comes_back_equal_as_a_json_value()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var payloads = Enumerable.Range(0, 8).Select(_ => RandomObject(random, 0)).SelectMany(json => new[] { json, Alike(random, json), Alike(random, json) }).ToList();
            foreach (var (json, back) in payloads.Zip(RoundTrip(new ColumnSet(Declared), payloads)))
                Assert.True(JsonElement.DeepEquals(Parse(json), Parse(back)), $"{json}\nbecame\n{back}");
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    [Fact]
    public void Numbers_of_a_known_layout_are_those_that_a_first_look_finds()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var known = new NumericFields();
            foreach (var json in Enumerable.Range(0, 6).Select(_ => RandomObject(random, 0)).SelectMany(json => new[] { json, Alike(random, json), json, Alike(random, json) }))
                Assert.Equal(Numbers(new NumericFields(), json), Numbers(known, json));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    [Theory]
    [InlineData("""{"used":01,"on":true,"note":"ok"}""")]
    [InlineData("""{"used":1.,"on":true,"note":"ok"}""")]
    [InlineData("""{"used":1,"on":truth,"note":"ok"}""")]
    [InlineData("""{"used":1,"on":true,"note":"o\qk"}""")]
    [InlineData("""{"used":1,"on":true,"note":"o""")]
    [InlineData("""{"used":1,"on":true,"note":"ok"}}""")]
    [InlineData("""{"used":,"on":true,"note":"ok"}""")]
    public void Bytes_that_only_begin_like_a_known_layout_leave_nothing_behind(string json)
    {
        var cells = new PayloadCells();
        var splitter = new PayloadSplitter(new ColumnSet(), cells);
        Assert.True(splitter.TrySplit("""{"used":2.5,"on":false,"note":"fine"}"""u8, Time));
        Assert.True(splitter.TrySplit("""{"used":3,"on":true,"note":"žár"}"""u8, Time));
        var held = (cells.CellCount, cells.TextLength);

        Assert.False(splitter.TrySplit(Encoding.UTF8.GetBytes(json), Time));
        Assert.Equal(held, (cells.CellCount, cells.TextLength));
    }

    [Theory]
    [InlineData("""{"used":20.829,"on":true,"note":"ok"}""", "used on note", "")]
    [InlineData("""{"userData":{"used":1,"deep":{"x":2}}}""", "userData.used userData.deep.x", "")]
    [InlineData("""{"time":1,"Time":2,"date":3}""", "time% date%", """{"Time":2}""")]
    [InlineData("""{"a.b":1,"c%":2}""", "a%2Eb c%25", "")]
    [InlineData("""{"n":9007199254740993,"m":9007199254740992}""", "m", """{"n":9007199254740993}""")]
    [InlineData("""{"a":[1,2],"b":null,"c":{},"d":5}""", "d", """{"a":[1,2],"b":null,"c":{}}""")]
    [InlineData("""{"a":1,"a":2}""", "", """{"a":1,"a":2}""")]
    [InlineData("""{"a":1,"s":"\ud800"}""", "", """{"a":1,"s":"\ud800"}""")]
    [InlineData("""{"o":{"x":1,"y":[]},"z":1e400}""", "o.x", """{"o":{"y":[]},"z":1e400}""")]
    [InlineData("""{"":1,"k":{"":2}}""", "", """{"":1,"k":{"":2}}""")]
    public void What_has_no_column_stays_in_the_rest(string json, string expectedColumns, string expectedRest)
    {
        var (columns, cells) = (new ColumnSet(), new PayloadCells());
        var splitter = new PayloadSplitter(columns, cells);
        Assert.True(splitter.TrySplit(Encoding.UTF8.GetBytes(json), Time));

        Assert.Equal(expectedColumns, string.Join(' ', cells.Cells(0, cells.CellCount).ToArray().Select(cell => columns.Columns[cell.Column].Name)));
        Assert.Equal(expectedRest, Encoding.UTF8.GetString(splitter.Rest));
    }

    [Fact]
    public void A_doubled_name_is_noticed_however_many_names_came_before()
    {
        var columns = new ColumnSet();
        Assert.True(new PayloadSplitter(columns, new PayloadCells()).TrySplit("""{"v":1}"""u8, Time));
        var cells = new PayloadCells();
        var splitter = new PayloadSplitter(columns, cells);
        for (var i = 0; i < 5000; i += 100)
            Assert.True(splitter.TrySplit(Encoding.UTF8.GetBytes("{" + string.Join(',', Enumerable.Range(i, 100).Select(n => $"\"f{n}\":{n}")) + "}"), Time));

        foreach (var json in new[] { """{"v":1,"v":2}""", """{"g":1,"g":2}""", """{"o":{"g":1,"g":[]}}""" })
        {
            var before = cells.CellCount;
            Assert.True(splitter.TrySplit(Encoding.UTF8.GetBytes(json), Time));
            Assert.Equal((before, json), (cells.CellCount, Encoding.UTF8.GetString(splitter.Rest)));
        }
    }

    [Theory]
    [InlineData("""{"time":"2026-03-01T00:00:00.250Z"}""", "time iso3")]
    [InlineData("""{"timestamp":"2026-03-01T00:00:00.250000Z"}""", "timestamp iso6")]
    [InlineData("""{"ts":1772323200250}""", "ts ms")]
    [InlineData("""{"time":"2026-03-01T00:00:00.251Z"}""", "time%")]
    [InlineData("""{"time":"2026-03-01T00:00:00.25Z"}""", "time%")]
    [InlineData("""{"time":"2026-03-01 00:00:00.250Z"}""", "time%")]
    [InlineData("""{"a":{"time":1772323200250}}""", "a.time")]
    public void A_time_that_the_payload_repeats_is_kept_as_its_form(string json, string expected)
    {
        var (columns, cells) = (new ColumnSet(), new PayloadCells());
        Assert.True(new PayloadSplitter(columns, cells).TrySplit(Encoding.UTF8.GetBytes(json), Time));

        var cell = Assert.Single(cells.Cells(0, cells.CellCount).ToArray());
        Assert.Equal(expected, cell.Column < 0 ? Encoding.UTF8.GetString(TimeForm.Codes[cell.Bits]) : columns.Columns[cell.Column].Name);
        Assert.Equal(json, Assert.Single(RoundTrip(columns, [json])));
    }

    [Theory]
    [InlineData("20.829", "20829")]
    [InlineData("-0.5", "-500")]
    [InlineData("7.1000", "7100")]
    [InlineData("0.0001", null)]
    [InlineData("1e3", null)]
    [InlineData("999999999999999999", null)]
    [InlineData("99999999999999.999", "99999999999999999")]
    public void A_declared_decimal_holds_what_fits_exactly(string json, string? unscaled)
    {
        var (columns, cells) = (new ColumnSet(Declared), new PayloadCells());
        var splitter = new PayloadSplitter(columns, cells);
        Assert.True(splitter.TrySplit(Encoding.UTF8.GetBytes($$"""{"exact":{{json}}}"""), Time));

        Assert.Equal(unscaled, cells.CellCount == 0 ? null : cells.Cells(0, 1)[0].Bits.ToString(CultureInfo.InvariantCulture));
        Assert.Equal(unscaled is null, splitter.Rest.Length > 0);
    }

    [Theory]
    [InlineData("""{"a":1""")]
    [InlineData("""{"a":01}""")]
    [InlineData("""{"a":1.}""")]
    [InlineData("""{"a" 1}""")]
    [InlineData("""{"a":1,}""")]
    [InlineData("""{"a":tru}""")]
    [InlineData("""{"a":"\x"}""")]
    [InlineData("""{"a":[1,"\ud800"],"b":"\ud800","c":}""")]
    [InlineData("""{"a":1}x""")]
    [InlineData("""[1]""")]
    [InlineData("")]
    public void Bytes_that_are_no_object_leave_nothing_behind(string json)
    {
        var cells = new PayloadCells();
        Assert.False(new PayloadSplitter(new ColumnSet(), cells).TrySplit(Encoding.UTF8.GetBytes(json), Time));
        Assert.Equal((0, 0), (cells.CellCount, cells.TextLength));
    }

    [Fact]
    public void A_payload_shaped_like_the_one_before_allocates_nothing()
    {
        var cells = new PayloadCells();
        var splitter = new PayloadSplitter(new ColumnSet(), cells);
        var json = """{"id":"a","time":"2026-03-01T00:00:00.250Z","used":20.829,"radio":{"rssi":-70,"gateway":"g"},"on":true}"""u8.ToArray();
        for (var i = 0; i < 10; i++)
            splitter.TrySplit(json, Time);

        cells.Truncate(0, 0);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            splitter.TrySplit(json, Time);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void A_column_never_changes_its_type()
    {
        var cells = new PayloadCells();
        var splitter = new PayloadSplitter(new ColumnSet(), cells);
        splitter.TrySplit("""{"v":1}"""u8, Time);
        Assert.Equal(1, cells.CellCount);
        splitter.TrySplit("""{"v":"on"}"""u8, Time);

        Assert.Equal(1, cells.CellCount);
        Assert.Equal("""{"v":"on"}""", Encoding.UTF8.GetString(splitter.Rest));
    }

    [Fact]
    public void Ten_thousand_names_make_a_thousand_columns_and_the_others_stay_in_the_rest()
    {
        var columns = new ColumnSet();
        var payloads = Enumerable.Range(0, 10_000).Select(i => $$"""{"field{{i}}":{{i}}}""").ToList();

        Assert.Equal(payloads, RoundTrip(columns, payloads));
        Assert.Equal(ColumnSet.ColumnsMax, columns.Columns.Count);
        Assert.Equal(9000, columns.Refused);
    }

    [Theory]
    [InlineData("1", true)]
    [InlineData("-0.10", true)]
    [InlineData("123456789012345", true)]
    [InlineData("9007199254740993", false)]
    [InlineData("1e3", true)]
    [InlineData("1.7976931348623157E308", true)]
    [InlineData("1e309", false)]
    [InlineData("0.1000000000000000055511151231257827", false)]
    [InlineData("4.9E-324", false)]
    [InlineData("5E-324", true)]
    [InlineData("1e99999999999", false)]
    public void Only_numbers_that_a_double_gives_back_digit_for_digit_become_one(string json, bool fits) =>
        Assert.Equal(fits, ExactNumbers.TryToDouble(Encoding.ASCII.GetBytes(json), out _));

    /// <summary>Splits payloads, writes them to a file and puts them together again from what is read.</summary>
    private static List<string> RoundTrip(ColumnSet columns, IReadOnlyList<string> payloads)
    {
        var path = Path.GetTempFileName();
        try
        {
            var cells = new PayloadCells();
            var splitter = new PayloadSplitter(columns, cells);
            var rows = new List<(int Start, int End, byte[] Left)>();
            foreach (var payload in payloads)
            {
                var start = cells.CellCount;
                Assert.True(splitter.TrySplit(Encoding.UTF8.GetBytes(payload), Time));
                rows.Add((start, cells.CellCount, splitter.Rest.ToArray()));
            }

            using (var writer = new HistoryFileWriter(path, "test", columns.Columns, isMillis: true, FileEffort.First, 1))
            {
                var places = columns.Columns.Select(column => writer.PlaceOf(column.Name)).ToArray();
                foreach (var (start, end, rest) in rows)
                {
                    writer.Begin("d"u8, Time, Time, 0, 0);
                    foreach (var cell in cells.Cells(start, end))
                        writer.Add(cell, cells, places);
                    writer.AddRest(rest);
                    writer.End();
                }

                writer.Complete("hour=00", 0, 0, rows.Count);
            }

            return Read(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static List<string> Read(string path)
    {
        using var reader = Millrace.Parquet.ParquetReader.Open(path);
        var scan = reader.Scan();
        var json = new RowJson(scan);
        var back = new List<string>();
        while (scan.Read())
        {
            for (var row = 0; row < scan.RowCount; row++)
            {
                var output = new ArrayBufferWriter<byte>();
                json.Write(row, output);
                back.Add(Encoding.UTF8.GetString(output.WrittenSpan));
            }
        }

        return back;
    }

    private static FieldType? Declared(string column) => column switch
    {
        "exact" => new FieldType(ParquetKind.Decimal, 3),
        "whole" => new FieldType(ParquetKind.Int64),
        _ => null,
    };

    private static List<(string Field, double Value)> Numbers(NumericFields fields, string json)
    {
        fields.Read(Encoding.UTF8.GetBytes(json));
        return fields.Values.ConvertAll(number => (fields.Names[number.Field], number.Value));
    }

    /// <summary>The same members, some with other values.</summary>
    private static string Alike(Random random, string json) => Regex.Replace(json, """(?<=":)(-?\d[\dE.e+-]*|true|null|"text")(?=[ ,}])""", found => random.Next(3) switch
    {
        0 => found.Value,
        1 => (random.Next() * 0.01).ToString("R", CultureInfo.InvariantCulture),
        _ => RandomValue(random, 18),
    });

    private static JsonElement Parse(string json) => JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 300 }).RootElement;

    private static string RandomObject(Random random, int depth)
    {
        string[] names = ["exact", "whole", "ts", "time_as", "used", "left", "time", "Used", "a.b", "100%", "rest", "x", "žár", "with \\\"quote", "\\u0041", "nested"];
        var members = names.OrderBy(_ => random.Next()).Take(random.Next(0, 7)).Select(name => $"\"{name}\":{RandomValue(random, depth)}");
        return "{" + string.Join(random.Next(2) == 0 ? "," : " , ", members) + "}";
    }

    private static string RandomValue(Random random, int depth) => random.Next(depth > 17 ? 11 : 14) switch
    {
        9 => "1772323200250",
        10 => "\"2026-03-01T00:00:00.250Z\"",
        0 => random.Next(-1000, 1000).ToString(CultureInfo.InvariantCulture),
        1 => (random.Next() * 0.001).ToString("R", CultureInfo.InvariantCulture),
        2 => random.NextInt64().ToString(CultureInfo.InvariantCulture),
        3 => random.Next(2) == 0 ? "1.50" : "12e-1",
        4 => "true",
        5 => "null",
        6 => "\"text\"",
        7 => "\"\\u00e9\\n\\\"\"",
        8 => "[1,{\"a\":null}]",
        _ => RandomObject(random, depth + 1),
    };
}
