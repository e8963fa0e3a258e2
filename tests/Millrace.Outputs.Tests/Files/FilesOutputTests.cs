using System.Text;
using System.Text.Json;
using Millrace.Outputs.Files;
using Millrace.Parquet;
using Millrace.Testing;

namespace Millrace.Outputs.Tests.Files;

public sealed class JsonLinesOutputTests : OutputConformance
{
    protected override Task<OutputTarget> StartAsync() => Task.FromResult<OutputTarget>(new FilesTarget(FileFormat.JsonLines, 0));
}

public sealed class RollingJsonLinesOutputTests : OutputConformance
{
    protected override Task<OutputTarget> StartAsync() => Task.FromResult<OutputTarget>(new FilesTarget(FileFormat.JsonLines, 900));
}

public sealed class RollingCsvOutputTests : OutputConformance
{
    protected override Task<OutputTarget> StartAsync() => Task.FromResult<OutputTarget>(new FilesTarget(FileFormat.Csv, 700));
}

public sealed class RollingParquetOutputTests : OutputConformance
{
    protected override Task<OutputTarget> StartAsync() => Task.FromResult<OutputTarget>(new FilesTarget(FileFormat.Parquet, 900));
}

internal sealed class FilesTarget(FileFormat format, long rollBytes) : OutputTarget
{
    public override IOutput Create() => new FilesOutput(
        Source,
        new FilesOutputOptions { Path = Folder["out/rows"], Format = format, RollBytes = rollBytes },
        TimeProvider.System);

    public override Task<IReadOnlyList<long>> HeldAsync()
    {
        // Files are read in the order of their first rows, which their names end with.
        var files = Directory.GetFiles(Folder["out"], "rows*").OrderBy(RowOf).ToList();
        List<long> numbers = [];
        foreach (var table in files.Where(f => f.EndsWith(".parquet", StringComparison.Ordinal)).ToList())
        {
            numbers.AddRange(Numbers(table));
            files.Remove(table);
        }

        foreach (var lines in files.Select(File.ReadAllLines))
        {
            numbers.AddRange(format == FileFormat.Csv
                ? lines.Skip(1).Select(l => long.Parse(l.Split(',')[0]))
                : lines.Select(l => JsonDocument.Parse(l).RootElement.GetProperty("n").GetInt64()));
        }

        return Task.FromResult<IReadOnlyList<long>>(numbers);
    }

    private static IEnumerable<long> Numbers(string parquet)
    {
        using var reader = ParquetReader.Open(parquet);
        var scan = reader.Scan(new ParquetScanOptions { Columns = ["n"] });
        List<long> numbers = [];
        while (scan.Read())
            numbers.AddRange(scan["n"].Int64s);
        return numbers;
    }

    private static (int, long) RowOf(string path)
    {
        var parts = Path.GetFileName(path).Split('.');
        var mark = parts.FirstOrDefault(p => p.Contains('-'))?.Split('-');
        return mark is null ? (0, 0) : (int.Parse(mark[0]), long.Parse(mark[1]));
    }
}

public sealed class FilesOutputTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly ManualTime _time = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_parquet_file_holds_what_the_rows_held_in_columns_of_their_kind()
    {
        await using var output = Open(new() { Path = _folder["t.parquet"], Format = FileFormat.Parquet, RollAfter = TimeSpan.FromMinutes(1) });
        await output.OpenAsync(default);

        await output.AppendAsync(
            [
                Row(0, """{"id":"m\u00fc","n":1,"x":1,"open":true,"where":{"a":[1]},"mixed":1,"none":null}"""),
                Row(1, """{"id":"b","n":-9007199254740993,"x":1.5,"open":null,"where":[],"mixed":"one","none":null,"late":2}"""),
            ], default);
        _time.Advance(TimeSpan.FromMinutes(1));
        await output.IdleAsync(default);

        using var reader = ParquetReader.Open(Assert.Single(Directory.GetFiles(_folder.Path, "t*")));
        var scan = reader.Scan();
        Assert.True(scan.Read());
        string Text(string column, int row) => Encoding.UTF8.GetString(scan[column].Bytes(row));
        Assert.Equal(["id", "n", "x", "open", "where", "mixed", "none", "late"], reader.Columns.Select(c => c.Name));
        Assert.Equal(("mü", "b", 1L, -9007199254740993), (Text("id", 0), Text("id", 1), scan["n"].Int64s[0], scan["n"].Int64s[1]));
        Assert.Equal((1.0, 1.5, true, true), (scan["x"].Doubles[0], scan["x"].Doubles[1], scan["open"].Booleans[0], scan["open"].IsNull(1)));
        Assert.Equal(("""{"a":[1]}""", "[]", ParquetKind.Json), (Text("where", 0), Text("where", 1), reader.Columns[4].Kind));
        Assert.Equal(("1", "one", true, true, 2L), (Text("mixed", 0), Text("mixed", 1), scan["none"].IsNull(0), scan["late"].IsNull(0), scan["late"].Int64s[1]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_parquet_file_that_was_recorded_and_then_cut_off_gets_its_name_once_even_when_it_was_taken_away(bool named)
    {
        var options = new FilesOutputOptions { Path = _folder["t.parquet"], Format = FileFormat.Parquet, RollAfter = TimeSpan.FromMinutes(1) };
        await using (var output = Open(options))
        {
            await output.OpenAsync(default);
            await output.AppendAsync([Row(0, "{\"n\":0}")], default);
        }

        // As killed between the record and the name, or between the name and the removal of the lines; the file itself is taken at once.
        var part = Assert.Single(Directory.GetFiles(_folder.Path, "t*.part"));
        var state = _folder[".t.parquet.millrace"];
        File.WriteAllText(state, File.ReadAllText(state).Replace("\"Sealed\":false", "\"Sealed\":true"));
        if (!named)
            File.WriteAllText(_folder["." + Path.GetFileName(part)[..^5] + ".new"], "made");
        await using var again = Open(options);
        var held = await again.OpenAsync(default);

        Assert.Equal(new RowId(1, 0), held);
        Assert.Equal(named ? [] : [Path.GetFileName(part)[..^5]], Directory.GetFiles(_folder.Path, "t*").Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_rolling_file_has_its_name_only_when_it_is_complete()
    {
        await using var output = Open(new() { Path = _folder["low.jsonl"], RollAfter = TimeSpan.FromMinutes(1) });
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, "{\"a\":1}")], default);
        var whileOpen = Directory.GetFiles(_folder.Path, "low*").Select(Path.GetFileName).ToArray();
        _time.Advance(TimeSpan.FromMinutes(1));
        await output.IdleAsync(default);

        Assert.Equal("low.20260101T000000Z.1-0.jsonl.part", Assert.Single(whileOpen));
        Assert.Equal("low.20260101T000000Z.1-0.jsonl", Path.GetFileName(Assert.Single(Directory.GetFiles(_folder.Path, "low*"))));
    }

    [Fact]
    public async Task A_csv_row_with_another_column_begins_a_new_file()
    {
        await using var output = Open(new() { Path = _folder["t.csv"], Format = FileFormat.Csv });
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, """{"a":1,"b":"x,\"y\"\r\n"}"""), Row(1, """{"a":2,"c":[1,2]}""")], default);

        Assert.Equal("a,b\r\n1,\"x,\"\"y\"\"\r\n\"\r\n", await File.ReadAllTextAsync(_folder["t.until-1-0.csv"]));
        Assert.Equal("a,c\r\n2,\"[1,2]\"\r\n", await File.ReadAllTextAsync(_folder["t.csv"]));
    }

    [Fact]
    public async Task A_file_that_was_there_before_is_not_touched()
    {
        await File.WriteAllTextAsync(_folder["mine.jsonl"], "precious");
        await using var output = Open(new() { Path = _folder["mine.jsonl"] });

        var error = await Assert.ThrowsAsync<OutputException>(() => output.OpenAsync(default).AsTask());

        Assert.True(error.Refused);
        Assert.Contains("exists already", error.Message);
        Assert.Equal("precious", await File.ReadAllTextAsync(_folder["mine.jsonl"]));
    }

    [Fact]
    public async Task Two_outputs_cannot_share_a_file()
    {
        await using (var first = Open(new() { Path = _folder["shared.jsonl"] }))
        {
            await first.OpenAsync(default);
            await first.AppendAsync([Row(0, "{}")], default);
        }

        await using var second = new FilesOutput(new OutputSource("other", "out"), new() { Path = _folder["shared.jsonl"] }, _time);
        var error = await Assert.ThrowsAsync<OutputException>(() => second.OpenAsync(default).AsTask());

        Assert.Contains("belongs to output j/o", error.Message);
    }

    [Theory]
    [InlineData("../registry.db")]
    [InlineData("/etc/passwd")]
    [InlineData("a/../../x")]
    [InlineData("link/x.jsonl")]
    [InlineData("")]
    public void Paths_that_lead_outside_are_refused(string path)
    {
        Directory.CreateDirectory(_folder["files"]);
        Directory.CreateSymbolicLink(_folder["files/link"], "/tmp");
        var folders = new AllowedFolders(_folder["files"], []);

        Assert.True(Assert.Throws<OutputException>(() => folders.Resolve(path)).Refused);
    }

    [Fact]
    public void Paths_below_an_allowed_folder_are_taken()
    {
        Directory.CreateDirectory(_folder["share"]);
        var folders = new AllowedFolders(_folder["files"], [_folder["share"]]);

        Assert.Equal(_folder["files/a/b.csv"], folders.Resolve("a/b.csv"));
        Assert.Equal(_folder["share/c.csv"], folders.Resolve(_folder["share/c.csv"]));
        Assert.Throws<OutputException>(() => folders.Resolve(_folder["share2/c.csv"]));
    }

    private FilesOutput Open(FilesOutputOptions options) => new(new OutputSource("j", "o"), options, _time);

    private static OutputRow Row(long row, string json) => new(new RowId(1, row), 1_767_225_600_000_000, Encoding.UTF8.GetBytes(json));
}
