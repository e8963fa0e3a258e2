using System.Text;
using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>Rules of the language that are about whole queries, one test a sentence.</summary>
public sealed class LanguageTests
{
    [Fact]
    public void Of_equal_column_names_the_last_wins_also_against_a_star()
    {
        Assert.Equal(["""{"b":2,"A":3}"""], Sql.Rows("SELECT 1 AS a, 2 AS b, 3 AS A FROM m", "08:00:00 {}"));
        Assert.Equal(["""{"y":2,"x":9}"""], Sql.Rows("SELECT *, 9 AS x FROM m", """08:00:00 {"x":1,"y":2}"""));
        Assert.Equal(["""{"x":1,"y":2}"""], Sql.Rows("SELECT 9 AS x, * FROM m", """08:00:00 {"x":1,"y":2}"""));
        Assert.Equal(["""{"x":9,"y":2}"""], Sql.Rows("SELECT 9 AS x, * FROM m", """08:00:00 {"y":2}"""));
    }

    [Fact]
    public void Columns_without_an_alias_are_named_after_their_last_part_or_their_place()
        => Assert.Equal(
            ["""{"d":1,"UPPER":"A","Timestamp":"2026-03-02T08:00:00.0000000Z","column4":3,"e":5}"""],
            Sql.Rows("SELECT r.d, UPPER(t), System.Timestamp(), 1 + 2, GetArrayElement(a, 0).e FROM m", """08:00:00 {"r":{"d":1},"t":"a","a":[{"e":5}]}"""));

    [Fact]
    public void A_column_can_be_named_with_an_equals_sign()
        => Assert.Equal(["""{"x":2,"y":true}"""], Sql.Rows("SELECT x = v + 1, v = 1 AS y FROM m", """08:00:00 {"v":1}"""));

    [Fact]
    public void Star_of_a_record_copies_its_fields()
        => Assert.Equal(["""{"id":"a","x":1,"y":{"z":2}}"""], Sql.Rows("SELECT id, r.* FROM m", """08:00:00 {"id":"a","r":{"x":1,"y":{"z":2}}}"""));

    [Fact]
    public void Star_with_apply_also_gives_the_applied_record()
        => Assert.Equal(
            ["""{"a":[5],"e":{"ArrayIndex":0,"ArrayValue":5}}"""],
            Sql.Rows("SELECT * FROM m CROSS APPLY GetArrayElements(a) AS e", """08:00:00 {"a":[5]}"""));

    [Fact]
    public void Star_passes_through_steps_and_unions_and_paths_reach_below_it()
    {
        const string steps = "WITH a AS (SELECT *, v + 1 AS w FROM m), b AS (SELECT *, w * 2 AS x FROM a) SELECT * FROM b WHERE r.k = 1 AND w = 3";
        Assert.Equal(["""{"v":2,"r":{"k":1},"w":3,"x":6}"""], Sql.Rows(steps, """08:00:00 {"v":2,"r":{"k":1}}""", """08:00:01 {"v":2,"r":{"k":2}}"""));
        const string union = "WITH u AS (SELECT * FROM m UNION SELECT *, 1 AS extra FROM n) SELECT id, extra, v FROM u";
        Assert.Equal(
            ["""{"id":"a","extra":null,"v":1}""", """{"id":"b","extra":1,"v":2}"""],
            Sql.Rows(union, """08:00:00 {"id":"a","v":1}""", """n 08:00:01 {"id":"b","v":2}"""));
        Assert.Equal(
            ["""{"id":"a"}""", """{"id":"b","extra":1}"""],
            Sql.Rows("SELECT * FROM m UNION SELECT *, 1 AS extra FROM n", """08:00:00 {"id":"a"}""", """n 08:00:01 {"id":"b"}"""));
    }

    [Fact]
    public void A_step_hides_an_input_of_the_same_name()
        => Assert.Equal(["""{"v":10}"""], Sql.Rows("WITH m AS (SELECT v * 10 AS v FROM m) SELECT v FROM m", """08:00:00 {"v":1}"""));

    [Fact]
    public void Exact_spelling_goes_before_another_case_wherever_it_stands()
    {
        Assert.Equal(["""{"a":2,"b":1,"c":1}"""], Sql.Rows("SELECT id AS a, ID AS b, Id AS c FROM m", """08:00:00 {"ID":1,"id":2}"""));
        Assert.Equal(["""{"x":7}"""], Sql.Rows("SELECT r.x FROM m", """08:00:00 {"R":{"x":5},"r":{"X":7}}"""));
    }

    [Fact]
    public void With_an_alias_the_inputs_own_name_is_a_field_like_any_other()
        => Assert.Equal(["""{"v":1,"w":null}"""], Sql.Rows("SELECT a.v, m.v AS w FROM m a", """08:00:00 {"v":1}"""));

    [Fact]
    public void Unqualified_fields_are_searched_from_left_to_right()
        => Assert.Equal(
            ["""{"x":1,"y":2}"""],
            Sql.Rows("SELECT x, y FROM m a JOIN n b ON DATEDIFF(second, a, b) BETWEEN 0 AND 5", """08:00:00 {"x":1}""", """n 08:00:01 {"x":9,"y":2}"""));

    [Fact]
    public void Numbers_keep_their_digits_and_strings_their_escapes_when_passed_through()
        => Assert.Equal(
            ["""{"a":1.50,"b":1e2,"c":"\u00e9\/","d":123456789012345678901234567890}"""],
            Sql.Rows("SELECT a, b, c, d FROM m", """08:00:00 {"a":1.50,"b":1e2,"c":"\u00e9\/","d":123456789012345678901234567890}"""));

    [Fact]
    public void Equal_numbers_are_one_group_whatever_their_type_and_null_is_a_group()
        => Assert.Equal(
            ["""{"v":null,"n":2}""", """{"v":1,"n":2}""", """{"v":"1","n":1}"""],
            Sql.Rows(
                "SELECT v, COUNT(*) AS n FROM m GROUP BY v, TumblingWindow(minute, 1)",
                """08:00:01 {"v":1}""", """08:00:02 {"v":1.0}""", """08:00:03 {"v":"1"}""", """08:00:04 {"v":null}""", "08:00:05 {}"));

    [Fact]
    public void Aggregates_take_the_types_of_their_values()
        => Assert.Equal(
            ["""{"s":3.5,"i":3,"m":1.5,"lo":"a","d":3,"sd":3,"c":2}"""],
            Sql.Rows(
                "SELECT SUM(f) AS s, SUM(i) AS i, AVG(i) AS m, MIN(t) AS lo, SUM(DISTINCT i) AS d, SUM(DISTINCT i) AS sd, COUNT(DISTINCT i) AS c FROM m GROUP BY TumblingWindow(minute, 1)",
                """08:00:01 {"f":1,"i":1,"t":"b"}""", """08:00:02 {"f":2.5,"i":2,"t":"a"}"""));

    [Fact]
    public void A_sum_beyond_bigint_drops_the_result_row_and_counts_it()
    {
        var (run, counters) = Sql.RunCounted(
            "SELECT SUM(v) AS s FROM m GROUP BY TumblingWindow(minute, 1)", null,
            """08:00:01 {"v":9223372036854775807}""", """08:00:02 {"v":1}""", """08:01:02 {"v":1}""");

        Assert.Equal(["""{"s":1}"""], run.Rows["output"]);
        Assert.Equal(1, counters.Bad);
    }

    [Fact]
    public void Distinct_removes_repetitions_among_results_of_one_instant()
        => Assert.Equal(
            ["""{"z":"a"}""", """{"z":"b"}""", """{"z":"a"}"""],
            Sql.Rows(
                "WITH g AS (SELECT z, id FROM m GROUP BY z, id, TumblingWindow(minute, 1)) SELECT DISTINCT z FROM g",
                """08:00:01 {"z":"a","id":1}""", """08:00:02 {"z":"a","id":2}""", """08:00:03 {"z":"b","id":1}""", """08:01:03 {"z":"a","id":1}"""));

    [Fact]
    public void Declared_columns_are_converted_when_read_and_what_cannot_be_is_a_bad_event()
    {
        var (run, counters) = Sql.RunCounted(
            "CREATE TABLE m (v bigint, t datetime, name nvarchar(max)); SELECT *, v + 1 AS w, GetType(t) AS ty FROM m", null,
            """08:00:01 {"v":"41","t":"2026-03-02","name":5,"other":true}""", """08:00:02 {"v":"x"}""", """08:00:03 {"v":null}""");

        Assert.Equal(
            [
                """{"v":41,"t":"2026-03-02T00:00:00.0000000Z","name":"5","other":true,"w":42,"ty":"datetime"}""",
                """{"v":null,"w":null,"ty":"null"}""",
            ],
            run.Rows["output"]);
        Assert.Equal(1, counters.Bad);
    }

    [Fact]
    public void An_event_of_which_one_applied_row_fails_is_skipped_as_a_whole()
    {
        var (run, counters) = Sql.RunCounted(
            "SELECT CAST(e.ArrayValue AS bigint) AS v FROM m CROSS APPLY GetArrayElements(a) AS e", null,
            """08:00:01 {"a":["1","x","y"]}""", """08:00:02 {"a":["2"]}""");

        Assert.Equal(["""{"v":2}"""], run.Rows["output"]);
        Assert.Equal(1, counters.Bad);
    }

    [Fact]
    public void A_bad_event_counts_once_in_each_query_that_fails_and_not_in_others()
    {
        var (run, counters) = Sql.RunCounted(
            "SELECT 1 / v AS x INTO a FROM m; SELECT v INTO b FROM m; SELECT 2 / v AS y, 3 / v AS z INTO c FROM m", null, """08:00:01 {"v":0}""");

        Assert.Equal(["""{"v":0}"""], run.Rows["b"]);
        Assert.Equal(["b"], run.Rows.Keys);
        Assert.Equal(2, counters.Bad);
    }

    [Theory]
    [InlineData("")]
    [InlineData("17")]
    [InlineData("[{}]")]
    [InlineData("{\"a\":1")]
    [InlineData("{\"a\":1}}")]
    [InlineData("{\"a\":1} {}")]
    [InlineData("{\"a\":01}")]
    [InlineData("{\"a\":tru}")]
    [InlineData("{\"a\":'x'}")]
    [InlineData("{a:1}")]
    [InlineData("{\"a\":1,}")]
    [InlineData("{\"a\" 1}")]
    [InlineData("{\"a\":[1,]}")]
    [InlineData("{\"a\":\"\\x\"}")]
    [InlineData("{\"a\":\"\t\"}")]
    [InlineData("{\"a\":\"open}")]
    [InlineData("{\"a\":[}")]
    [InlineData("{\"a\":{]}")]
    [InlineData("{,}")]
    [InlineData("{\"a\"}")]
    [InlineData("{\"a\":-}")]
    [InlineData("{\"a\":1.}")]
    [InlineData("{\"a\":1e}")]
    [InlineData("nul")]
    public void A_payload_that_is_not_one_object_is_a_bad_event(string payload)
    {
        var run = new CaseRun();
        var execution = Sql.Compile("SELECT a FROM m").Query!.Start(run);

        execution.Push(0, 1, Encoding.UTF8.GetBytes(payload));

        Assert.Equal(1, execution.Counters.Bad);
        Assert.Single(run.DeadLetters);
    }

    [Fact]
    public void Posted_events_have_had_their_turn_when_the_execution_is_flushed_and_dead_letters_name_their_own_device()
    {
        var sink = new DeviceSink();
        var execution = Sql.Compile("SELECT d, v - LAG(v) OVER (PARTITION BY d LIMIT DURATION(hour, 1)) AS used FROM m").Query!.Start(sink);
        for (var index = 0; index < 20; index++)
            execution.Post(0, index, Encoding.UTF8.GetBytes(index % 5 == 4 ? "{" : $$"""{"d":{{index % 3}},"v":{{index * index}}}"""), new EventProperties($"meter-{index}"));

        execution.Flush();

        Assert.Equal(["meter-4", "meter-9", "meter-14", "meter-19"], sink.Devices);
        Assert.Equal(20, execution.Counters.Events);
        Assert.Equal(16, execution.NextRowNumber(0));
        Assert.Equal("""{"d":0,"used":99}""", sink.LastRow);
    }

    private sealed class DeviceSink : IQuerySink
    {
        public List<string?> Devices { get; } = [];

        public string LastRow { get; private set; } = "";

        public void OnRow(OutputRow row) => LastRow = Encoding.UTF8.GetString(row.Json);

        public void OnDeadLetter(in DeadLetter letter) => Devices.Add(letter.DeviceId);
    }

    [Fact]
    public void Properties_of_an_event_can_be_named_and_are_not_part_of_a_star_but_the_device_can_be_added()
    {
        var options = new CompileOptions { Inputs = ["m"], AddDeviceId = true };
        var run = new CaseRun();
        var execution = Sql.Compile("SELECT *, PartitionId AS p, IoTHub.ConnectionDeviceId AS d, EventEnqueuedUtcTime AS t FROM m WHERE id <> 'x'", options).Query!.Start(run);

        execution.Push(0, 1, "{\"v\":1}"u8, new EventProperties("meter-7", 3));
        execution.Push(0, 2, "{\"ID\":\"own\",\"PartitionId\":9}"u8, new EventProperties("meter-7", 3));

        Assert.Equal(
            [
                """{"v":1,"id":"meter-7","p":3,"d":"meter-7","t":"1970-01-01T00:00:00.0000010Z"}""",
                """{"ID":"own","PartitionId":9,"p":9,"d":"meter-7","t":"1970-01-01T00:00:00.0000020Z"}""",
            ],
            run.Rows["output"]);
    }

    [Fact]
    public void Properties_of_an_event_can_also_be_asked_for_by_function()
    {
        var run = new CaseRun();
        var execution = Sql.Compile("SELECT GetMetadataPropertyValue(m, '[IoTHub].[ConnectionDeviceId]') AS d, getmetadatapropertyvalue(m, 'PartitionId') AS p, GetMetadataPropertyValue(m, 'none') AS n FROM m").Query!.Start(run);

        execution.Push(0, 1, "{}"u8, new EventProperties("meter-7", 3));

        Assert.Equal(["""{"d":"meter-7","p":3,"n":null}"""], run.Rows["output"]);
    }

    [Fact]
    public void Functions_of_the_host_are_called_with_values_and_may_fail()
    {
        var functions = new FunctionRegistry()
            .Add("twice", 1, a => a[0].IsNull ? SqlValue.Null : SqlValue.FromFloat(a[0].AsFloat() * 2))
            .Add("rec", 0, _ => SqlValue.FromJson("{\"k\":5}"));
        var options = new CompileOptions { Inputs = ["m"], Functions = functions };

        var (run, counters) = Sql.RunCounted("SELECT UDF.Twice(v) AS x, udf.rec().k AS k FROM m", options, """08:00:01 {"v":2}""", "08:00:02 {}", """08:00:03 {"v":"a"}""");

        Assert.Equal(["""{"x":4.0,"k":5}""", """{"x":null,"k":5}"""], run.Rows["output"]);
        Assert.Equal(1, counters.Bad);
    }

    [Fact]
    public void Replaced_reference_rows_count_for_events_processed_afterwards()
    {
        var run = new CaseRun();
        var execution = Sql.Compile("SELECT m.id, r.zone FROM m JOIN r ON m.id = r.id").Query!.Start(run);

        execution.Push(0, 1, "{\"id\":\"1\"}"u8);
        execution.SetReference("R", ["{\"id\":1,\"zone\":\"a\"}"u8.ToArray(), "{\"id\":\"1\",\"zone\":\"b\"}"u8.ToArray()]);
        execution.Push(0, 2, "{\"id\":\"1\"}"u8);
        execution.SetReference("r", ["{\"id\":\"1\",\"zone\":\"c\"}"u8.ToArray()]);
        execution.Push(0, 3, "{\"id\":\"1\"}"u8);

        Assert.Equal(["""{"id":"1","zone":"a"}""", """{"id":"1","zone":"b"}""", """{"id":"1","zone":"c"}"""], run.Rows["output"]);
    }

    [Fact]
    public void Rows_can_be_read_column_by_column_with_their_types()
    {
        var sink = new TypedSink();
        var execution = Sql.Compile("SELECT v, 1.5 AS f, System.Timestamp() AS t, * FROM m").Query!.Start(sink);

        execution.Push(0, 1_000_000, "{\"x\":true,\"s\":\"\\u00e9\",\"v\":5}"u8);

        Assert.Equal(["f:Float:1.5", "t:Datetime:1970-01-01T00:00:01.0000000Z", "x:Bit:true", "s:Text:é", "v:Bigint:5"], sink.Columns);
    }

    private sealed class TypedSink : IQuerySink
    {
        public List<string> Columns { get; } = [];

        public void OnRow(OutputRow row)
        {
            for (var index = 0; index < row.ColumnCount; index++)
                Columns.Add($"{row.ColumnName(index)}:{row.Column(index).Kind}:{row.Column(index)}");
        }

        public void OnDeadLetter(in DeadLetter letter)
        {
        }
    }

    [Fact]
    public void Silent_inputs_go_on_with_the_arrival_mark_and_nothing_comes_before_its_time()
    {
        var run = new CaseRun();
        var execution = Sql.Compile("SELECT COUNT(*) AS n FROM m TIMESTAMP BY ts GROUP BY TumblingWindow(second, 10)").Query!.Start(run);
        const long second = 1_000_000;

        execution.Push(0, 5 * second, "{\"ts\":\"1970-01-01T00:00:04Z\"}"u8);
        execution.AdvanceArrival(15 * second);      // low water 10 s: an event at 10 s may still come
        Assert.Empty(run.Rows);
        execution.AdvanceArrival((15 * second) + 1);

        Assert.Equal(["""{"n":1}"""], run.Rows["output"]);
    }

    [Fact]
    public void State_beyond_the_limit_stops_the_query_with_a_clear_message()
    {
        var options = new CompileOptions { Inputs = ["m"], MemoryLimitBytes = 1 << 20 };
        var execution = Sql.Compile("SELECT id, COLLECT() AS all_ FROM m GROUP BY id, TumblingWindow(day, 1)", options).Query!.Start(new CaseRun());

        var failure = Assert.Throws<QueryMemoryException>(() =>
        {
            for (var index = 1; index < 100_000; index++)
                execution.Push(0, index, Encoding.UTF8.GetBytes($$"""{"id":{{index}},"text":"some text of a meter"}"""));
        });

        Assert.Contains("limit", failure.Message, StringComparison.Ordinal);
        Assert.InRange(execution.Counters.Events, 1000, 50_000);
    }

    [Fact]
    public void Tells_how_far_back_it_has_to_read()
    {
        static TimeSpan WarmUp(string query) => Sql.Compile(query).Query!.WarmUp;

        Assert.Equal(TimeSpan.Zero, WarmUp("SELECT v FROM m"));
        Assert.Equal(TimeSpan.FromMinutes(1), WarmUp("SELECT COUNT(*) AS n FROM m GROUP BY TumblingWindow(minute, 1)"));
        Assert.Equal(TimeSpan.FromDays(7), WarmUp("SELECT LAG(v) OVER (LIMIT DURATION(day, 7)) AS p FROM m"));
        Assert.Equal(TimeSpan.FromSeconds(30), WarmUp("SELECT a.v FROM m a JOIN n b ON DATEDIFF(second, a, b) BETWEEN -30 AND 5"));
        Assert.Equal(
            TimeSpan.FromMinutes(65),
            WarmUp("WITH h AS (SELECT COUNT(*) AS n FROM m GROUP BY TumblingWindow(hour, 1)) SELECT LAST(n) OVER (LIMIT DURATION(minute, 5)) AS l FROM h"));
    }

    [Fact]
    public void Filters_projections_and_windows_allocate_nothing_per_event()
    {
        const string query = """
            SELECT id, v + 1 AS w INTO a FROM m WHERE v > 5 AND id = 'nobody'
            SELECT id, COUNT(*) AS n, AVG(v) AS mean, MAX(v) AS high INTO b FROM m TIMESTAMP BY ts GROUP BY id, TumblingWindow(hour, 1)
            """;
        var execution = Sql.Compile(query).Query!.Start(new CaseRun());
        var payload = """{"id":"meter-1","v":7.25,"ts":"1970-01-01T00:00:01Z"}"""u8.ToArray();
        for (var index = 0; index < 1000; index++)
            execution.Push(0, 2_000_000 + index, payload);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var index = 0; index < 3000; index++)
            execution.Push(0, 3_000_000 + index, payload);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Two_clocks_over_one_input_do_not_disturb_each_other()
    {
        // The third event releases the second for the first query; the second query still sees it at its own arrival.
        var options = new CompileOptions { Inputs = ["m"], OutOfOrder = TimeSpan.FromSeconds(2) };
        var (run, counters) = Sql.RunCounted(
            "SELECT n, System.Timestamp() AS t INTO a FROM m TIMESTAMP BY ts SELECT n, n / zero AS z, System.Timestamp() AS t INTO b FROM m",
            options,
            """08:00:00 {"n":1,"zero":1,"ts":"2026-03-02T08:00:00Z"}""",
            """08:00:01 {"n":2,"zero":1,"ts":"2026-03-02T08:00:01Z"}""",
            """08:00:09 {"n":3,"zero":1,"ts":"2026-03-02T08:00:09Z"}""",
            """08:00:10 {"n":4,"zero":0,"ts":"2026-03-02T08:00:10Z"}""");

        Assert.Equal(
            ["""{"n":1,"z":1,"t":"2026-03-02T08:00:00.0000000Z"}""", """{"n":2,"z":2,"t":"2026-03-02T08:00:01.0000000Z"}""", """{"n":3,"z":3,"t":"2026-03-02T08:00:09.0000000Z"}"""],
            run.Rows["b"]);
        Assert.Equal(4, run.Rows["a"].Count);
        Assert.Equal(1, counters.Bad);
    }

    [Fact]
    public void A_device_with_a_clock_of_its_own_does_not_wait_for_the_others()
    {
        var run = new CaseRun();
        var execution = Sql.Compile("SELECT id, v - LAG(v) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS used FROM m TIMESTAMP BY ts OVER id").Query!.Start(run);
        foreach (var text in new[]
        {
            """08:00:10 {"id":"ahead","v":1,"ts":"2026-03-02T08:00:14Z"}""",
            """08:00:11 {"id":"behind","v":5,"ts":"2026-03-02T08:00:08Z"}""",
            """08:00:12 {"id":"behind","v":7,"ts":"2026-03-02T08:00:09Z"}""",
        })
        {
            var (_, ticks, payload) = Sql.Parse(text);
            execution.PushAt(0, ticks, payload);
        }

        Assert.Equal(["""{"id":"ahead","used":null}""", """{"id":"behind","used":null}""", """{"id":"behind","used":2}"""], run.Rows["output"]);
    }
}
