using Millrace.Commands;
using Millrace.Commands.Query;
using Millrace.Testing;

namespace Millrace.Tests.Commands.Query;

/// <summary><c>query run</c> over files, with what people give it.</summary>
public sealed class QueryRunTests : IDisposable
{
    private readonly TempFolder folder = new();
    private readonly StringWriter output = new();
    private readonly StringWriter errors = new();

    public void Dispose()
    {
        folder.Dispose();
        output.Dispose();
        errors.Dispose();
    }

    private string Write(string name, string text)
    {
        File.WriteAllText(folder[name], text);
        return folder[name];
    }

    private int Run(string query, string events, string? arrival = null, string? reference = null, int threads = 2) => new QueryRun
    {
        File = Write("q.sql", query),
        Inputs = [("m", Write("in.jsonl", events))],
        References = reference is null ? [] : [("r", reference)],
        OutputFolder = folder["out"],
        ArrivalField = arrival,
        LateArrival = TimeSpan.FromSeconds(5),
        Threads = threads,
    }.Run(output, errors, CancellationToken.None);

    private string Rows(string name = "output") => File.ReadAllText(folder[Path.Combine("out", name + ".jsonl")]);

    private string Refusal(Func<int> run) => Assert.Throws<CommandException>(() => { run(); }).Message;

    [Fact]
    public void Rows_and_dead_letters_are_the_same_files_with_any_number_of_threads()
    {
        var random = new Random(4);
        var events = string.Join('\n', Enumerable.Range(0, 6000).Select(i => random.Next(200) == 0 ? "bad" : $$"""{"id":"m{{random.Next(50)}}","v":{{random.Next(9)}},"ts":"2026-03-02T08:{{i / 100:00}}:{{i * 6 / 10 % 60:00}}Z"}"""));
        string[]? first = null;
        foreach (var threads in new[] { 1, 2, 5 })
        {
            output.GetStringBuilder().Clear();
            Run("SELECT id, COUNT(*) AS n, 10 / MIN(v) AS x INTO a FROM m TIMESTAMP BY ts GROUP BY id, TumblingWindow(minute, 1) SELECT id, 10 / v AS y INTO b FROM m", events, threads: threads);
            string[] found = [Rows("a"), Rows("b"), string.Join('\n', Rows("dead-letter").Split('\n').Order(StringComparer.Ordinal)), output.ToString()];
            Assert.True(found[0].Length > 5000 && found[2].Length > 5000);
            Assert.Equal(first ??= found, found);
        }
    }

    [Fact]
    public void Rows_and_bad_events_go_to_files_and_the_counts_to_the_terminal()
    {
        var code = Run(
            "SELECT id, v / w AS q INTO good FROM m",
            """
            {"id":"a","v":4,"w":2}
            {"id":"b","v":4,"w":0}
            no "JSON" ü
            """);

        Assert.Equal(ExitCode.Done, code);
        Assert.Equal("""{"id":"a","q":2}""" + "\n", Rows("good"));
        Assert.Equal(
            """
            {"query":"good","reason":"division by zero","arrival":"1970-01-01T00:00:01Z","payload":"{\"id\":\"b\",\"v\":4,\"w\":0}"}
            {"query":"good","reason":"the payload is not one JSON object","arrival":"1970-01-01T00:00:02Z","payload":"no \"JSON\" ü"}

            """.ReplaceLineEndings("\n"),
            Rows("dead-letter"));
        Assert.StartsWith("3 events, 1 rows, bad 2,", output.ToString());
    }

    [Fact]
    public void Byte_order_marks_carriage_returns_and_blank_lines_are_no_part_of_an_event()
    {
        Run("\uFEFFSELECT id, System.Timestamp() AS t FROM m", "\uFEFF{\"id\":1}\r\n\r\n  \n{\"id\":2}\r");

        Assert.Equal(
            """
            {"id":1,"t":"1970-01-01T00:00:00.0000000Z"}
            {"id":2,"t":"1970-01-01T00:00:01.0000000Z"}

            """.ReplaceLineEndings("\n"),
            Rows());
        Assert.Empty(Rows("dead-letter"));
    }

    [Theory]
    [InlineData("""{"t":"2026-03-02T08:00:00.1234567+01:00","event":{"ts":"x"}}""", null, "2026-03-02T07:00:00.1234567Z")]
    [InlineData("""{"t":1772438400000,"event":{}}""", null, "2026-03-02T08:00:00.0000000Z")]
    [InlineData("""{"t":"2026-03-02T08:00:00Z","raw":"{\"v\":1}"}""", null, "2026-03-02T08:00:00.0000000Z")]
    [InlineData("""{"at":{"x":1772438400}}""", "at.x", "2026-03-02T08:00:00.0000000Z")]
    [InlineData("""{"EventEnqueuedUtcTime":"2026-03-02T08:00:00Z"}""", null, "2026-03-02T08:00:00.0000000Z")]
    [InlineData("""{"t":"2026-03-02T08:00:00Z","event":{},"more":1}""", null, "1970-01-01T00:00:00.0000000Z")]
    public void Arrival_is_what_the_line_tells(string line, string? arrival, string expected)
    {
        Run("SELECT System.Timestamp() AS t FROM m", line, arrival);

        Assert.Equal($"{{\"t\":\"{expected}\"}}\n", Rows());
    }

    [Fact]
    public void Where_nothing_tells_the_arrival_the_event_time_does_so_that_nothing_is_late()
    {
        Run("SELECT System.Timestamp() AS t FROM m TIMESTAMP BY at", "{\"at\":\"2026-03-02T08:00:00Z\"}\n{\"at\":\"2026-03-02T09:00:00Z\"}");

        Assert.Contains("2026-03-02T08:00:00.0000000Z", Rows());
        Assert.Contains("late 0", output.ToString());
    }

    [Fact]
    public void Reference_rows_come_from_csv_a_json_array_or_json_lines()
    {
        const string query = "SELECT m.id, r.zone FROM m JOIN r ON m.id = r.id";
        foreach (var (name, text) in new[]
        {
            ("r.csv", "\uFEFFid,zone\r\n1,\"a, \"\"b\"\"\"\r\n2,c\r\n"),
            ("r.json", "[{\"id\":1,\"zone\":\"a, \\\"b\\\"\"}]"),
            ("r.jsonl", "{\"id\":1,\"zone\":\"a, \\\"b\\\"\"}\r\n\r\n{\"id\":2}"),
        })
        {
            Run(query, "{\"id\":1}", reference: Write(name, text));

            Assert.Equal("{\"id\":1,\"zone\":\"a, \\\"b\\\"\"}\n", Rows());
        }
    }

    [Fact]
    public void A_mistake_in_the_script_is_shown_with_its_line_and_a_caret_and_nothing_is_written()
    {
        var code = Run("SELECT id FROM m\n\tWHERE nope(id)", "{}");

        Assert.Equal(ExitCode.Failed, code);
        Assert.Equal($"{folder["q.sql"]}:2:8: unknown function nope\n  \tWHERE nope(id)\n  \t      ^\n", errors.ToString().ReplaceLineEndings("\n"));
        Assert.False(Directory.Exists(folder["out"]));
    }

    [Fact]
    public void An_input_that_does_not_exist_is_told_together_with_those_that_do()
    {
        Run("SELECT id FROM meters", "{}");

        Assert.Contains("unknown input or step meters (there is m)", errors.ToString());
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_named_with_its_use_and_earlier_rows_stay()
    {
        Run("SELECT id FROM m", "{\"id\":1}");
        var run = new QueryRun { File = folder["q.sql"], Inputs = [("m", folder["gone.jsonl"])], References = [], OutputFolder = folder["out"] };

        Assert.Equal($"cannot read the input m from {folder["gone.jsonl"]}: there is no such file", Refusal(() => run.Run(output, errors, CancellationToken.None)));
        Assert.Equal("{\"id\":1}\n", Rows());
        Assert.Equal($"cannot read the reference input r from {folder.Path}: it is a folder", Refusal(() => Run("SELECT id FROM m", "{}", reference: folder.Path)));
        Assert.Equal($"cannot read the script from {folder["gone.sql"]}: there is no such file", Refusal(() => QueryCheck.Run(folder["gone.sql"], [], [], errors)));
    }

    [Fact]
    public void Reference_rows_that_are_no_objects_are_told_by_their_number()
    {
        Assert.Equal("row 2 of the reference input r is not one JSON object", Refusal(() => Run("SELECT m.id FROM m JOIN r ON m.id = r.id", "{}", reference: Write("r.jsonl", "{}\n5"))));
        Assert.EndsWith("row 1 has 3 fields under a header of 2", Refusal(() => Run("SELECT m.id FROM m JOIN r ON m.id = r.id", "{}", reference: Write("r.csv", "a,b\n1,2,3"))));
    }

    [Fact]
    public void Rows_that_cannot_be_written_are_refused_with_the_folder_or_the_output()
    {
        Write("out", "a file");
        Assert.Equal($"cannot write rows to the folder {folder["out"]}: it is a file", Refusal(() => Run("SELECT id FROM m", "{}")));
        File.Delete(folder["out"]);
        Assert.Contains("cannot be called dead-letter", Refusal(() => Run("SELECT id INTO [dead-letter] FROM m", "{}")));
        Assert.Contains("a/b cannot be the name of a file", Refusal(() => Run("SELECT id INTO [a/b] FROM m", "{}")));
    }

    [Fact]
    public void An_empty_input_gives_empty_outputs()
    {
        Assert.Equal(ExitCode.Done, Run("SELECT id FROM m", ""));
        Assert.Empty(Rows());
        Assert.StartsWith("0 events, 0 rows", output.ToString());
    }

    [Fact]
    public void Bytes_that_are_no_text_are_kept_in_base64_and_a_line_may_be_long()
    {
        File.WriteAllBytes(folder["raw.jsonl"], [.. "{\"id\":\""u8, 0xFF, .. "\"}\n{\"id\":\""u8, .. Enumerable.Repeat((byte)'x', 3 << 20), .. "\"}"u8]);
        var run = new QueryRun { File = Write("q.sql", "SELECT LEN(id) AS n FROM m"), Inputs = [("m", folder["raw.jsonl"])], References = [], OutputFolder = folder["out"] };

        run.Run(output, errors, CancellationToken.None);

        Assert.Equal("{\"n\":3145728}\n", Rows());
        Assert.Contains("\"payloadBase64\":\"eyJpZCI6Iv8ifQ==\"", Rows("dead-letter"));
    }
}
