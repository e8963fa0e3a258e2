using System.Globalization;
using System.Text;
using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>Executions with several threads beside one with a single thread: nothing may tell them apart.</summary>
public sealed class SpreadTests
{
    private static readonly DateTime Start = new(2026, 3, 2, 8, 0, 0, DateTimeKind.Utc);

    public static TheoryData<string> CaseNames() => ConformanceTests.CaseNames();

    private static QueryCase Load(string name)
        => QueryCase.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "cases", name + ".json")));

    private static List<string> Everything(CaseRun run, QueryExecution execution)
    {
        Assert.Equal("", run.Complaint);
        return [.. run.Rows.OrderBy(r => r.Key, StringComparer.Ordinal).SelectMany(r => r.Value.Select(v => r.Key + v)), .. run.DeadLetters.Order(StringComparer.Ordinal), execution.Counters.ToString(), $"{execution.WatermarkTicks}"];
    }

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void A_case_gives_the_same_rows_and_counters_with_any_number_of_threads(string name)
    {
        var test = Load(name);
        if (test.Expected is null)
            return;
        List<string>? reference = null;
        foreach (var (threads, partitions) in new[] { (1, 1), (2, 1), (2, 32), (7, 2), (7, 7) })
        {
            var run = new CaseRun();
            using var execution = run.Start(test, StreamQuery.Compile(test.Query, test.Options with { Threads = threads, Partitions = partitions }).Query!);
            foreach (var next in test.Events)
                CaseRun.Push(execution, next);
            execution.Complete();
            Assert.Null(run.Compare(test, execution.Counters));
            var all = Everything(run, execution);
            Assert.Equal(reference ??= all, all);
        }
    }

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void A_case_goes_on_with_another_number_of_threads_after_any_event(string name)
    {
        var test = Load(name);
        if (test.Expected is null)
            return;
        int[] threads = [1, 2, 7];
        for (var stop = 0; stop <= test.Events.Count; stop++)
        {
            var run = new CaseRun();
            using var first = run.Start(test, StreamQuery.Compile(test.Query, test.Options with { Threads = threads[stop % 3] }).Query!);
            for (var index = 0; index < stop; index++)
                CaseRun.Push(first, test.Events[index]);
            using var snapshot = new MemoryStream();
            first.Save(snapshot);
            snapshot.Position = 0;
            using var second = run.Start(test, StreamQuery.Compile(test.Query, test.Options with { Threads = threads[(stop + 1 + (stop / 3 % 2)) % 3] }).Query!);
            second.Restore(snapshot);
            for (var index = stop; index < test.Events.Count; index++)
                CaseRun.Push(second, test.Events[index]);
            second.Complete();
            Assert.True(run.Compare(test, second.Counters) is not { } difference, $"stopped after {stop}: {run.Compare(test, second.Counters)}");
        }
    }

    private static readonly string[] Queries =
    [
        "SELECT k, v * 2 AS w, UPPER(s) AS u, System.Timestamp() AS t INTO a FROM m TIMESTAMP BY ts WHERE v > 0 SELECT * INTO b FROM m WHERE 10 / v > 1",
        "SELECT k, s, COUNT(*) AS n, SUM(f) AS sf, AVG(v) AS mean, MAX(s) AS hi, COLLECT(v) AS [all] FROM m TIMESTAMP BY ts GROUP BY k, s, TumblingWindow(second, 7)",
        "SELECT s, k, COUNT(*) AS n, SUM(f) AS sf, STDEV(f) AS d INTO h FROM m TIMESTAMP BY ts GROUP BY s, k, HoppingWindow(second, 9, 4) SELECT k, COUNT(*) AS n INTO c FROM m TIMESTAMP BY ts GROUP BY k, SlidingWindow(second, 5) HAVING COUNT(*) > 1",
        "SELECT k, MIN(f) AS lo, SUM(f) AS sf, COUNT(DISTINCT s) AS d FROM m TIMESTAMP BY ts GROUP BY k, SlidingWindow(second, 3)",
        "SELECT k, s, COUNT(*) AS n, SUM(f) AS sf, TopOne(v) OVER (ORDER BY f DESC) AS best FROM m TIMESTAMP BY ts GROUP BY k, s, SessionWindow(second, 3, 20) OVER (PARTITION BY k)",
        "SELECT k, v - LAG(v) OVER (PARTITION BY k LIMIT DURATION(second, 20)) AS used, ISFIRST(second, 10) OVER (PARTITION BY s, k) AS first FROM m TIMESTAMP BY ts OVER k",
        """
        WITH a AS (SELECT *, LAG(v) OVER (PARTITION BY k LIMIT DURATION(second, 9)) AS p, SUM(f) OVER (PARTITION BY k, s LIMIT DURATION(second, 5)) AS q FROM m TIMESTAMP BY ts),
             b AS (SELECT k AS key, s, SUM(p) AS p, COUNT(*) AS n, MAX(q) AS q FROM a GROUP BY k, s, TumblingWindow(second, 2))
        SELECT key, SUM(p) AS p, SUM(n) AS n, MAX(q) AS q INTO keyed FROM b WHERE n > 0 GROUP BY key, Windows(Window('w', TumblingWindow(second, 10)), Window('h', HoppingWindow(second, 6, 3)))
        SELECT COUNT(*) AS n, SUM(p) AS p INTO everything FROM b GROUP BY TumblingWindow(second, 5)
        SELECT key, n, 100 / (n - 3) AS x INTO rows FROM b
        """,
        "SELECT k, f INTO o FROM m TIMESTAMP BY ts WHERE v < 0 SELECT s AS k, f INTO o FROM m TIMESTAMP BY ts WHERE v > 5 SELECT k, SUM(f) AS f INTO o FROM m TIMESTAMP BY ts GROUP BY k, TumblingWindow(second, 3)",
        "SELECT k, v FROM m TIMESTAMP BY ts WHERE v > 7 UNION SELECT k, COUNT(*) AS v FROM m TIMESTAMP BY ts GROUP BY k, HoppingWindow(second, 8, 2)",
        "WITH a AS (SELECT k, v, f FROM m TIMESTAMP BY ts WHERE v > 0) SELECT x.k, x.f, y.v FROM a x LEFT JOIN a y ON x.k = y.k AND DATEDIFF(second, x, y) BETWEEN 1 AND 3",
        "SELECT DISTINCT k FROM m TIMESTAMP BY ts WHERE s LIKE 'a%'",
        "SELECT k, e.ArrayIndex AS i, e.ArrayValue AS x, r.zone INTO o FROM m TIMESTAMP BY ts JOIN r ON m.k = r.k CROSS APPLY GetArrayElements(m.list) AS e WHERE v <> 3",
        "SELECT first, [last] FROM m MATCH_RECOGNIZE (LIMIT DURATION(second, 5) PARTITION BY k MEASURES A.v AS first, B.v AS [last] PATTERN (A B+) DEFINE B AS B.v > A.v) AS t",
    ];

    /// <summary>Events full of ties, late and early ones, bad ones; several batches of them.</summary>
    private static List<(long Ticks, byte[] Payload)> Events(int seed, int count)
    {
        var random = new Random(seed);
        var result = new List<(long, byte[])>();
        for (var index = 0; index < count; index++)
        {
            var arrival = Start.AddMilliseconds(index * 12);
            var time = arrival.AddMilliseconds(random.Next(10) == 0 ? -random.Next(20_000) : -random.Next(3) * 1000);
            if (random.Next(500) == 0)
                time = arrival.AddMinutes(9);
            time = new DateTime(time.Ticks - (time.Ticks % TimeSpan.TicksPerSecond), DateTimeKind.Utc);
            var text = random.Next(300) switch
            {
                0 => "no JSON",
                1 => """{"k":1,"ts":"never"}""",
                _ => string.Create(CultureInfo.InvariantCulture, $$"""{"k":{{(random.Next(2) == 0 ? "" : "-")}}{{random.Next(40)}}{{(random.Next(2) == 0 ? ".0" : "")}},"s":"{{(char)('a' + random.Next(4))}}\u0041","v":{{random.Next(-10, 10)}},"f":{{random.Next(1000) / 7.0}},"list":[{{random.Next(9)}},"x"],"ts":"{{time:yyyy-MM-ddTHH:mm:ssZ}}"}"""),
            };
            result.Add((arrival.Ticks, Encoding.UTF8.GetBytes(text)));
        }

        return result;
    }

    private static CompiledQuery Compile(string query, int threads, int partitions = 1, int seed = 0)
    {
        var compiled = StreamQuery.Compile(query, new CompileOptions
        {
            Inputs = ["m"],
            References = ["r"],
            Threads = threads,
            Partitions = partitions,
            LateArrival = TimeSpan.FromSeconds(4),
            OutOfOrder = TimeSpan.FromSeconds(seed % 3),
            Policy = seed % 2 == 0 ? OrderPolicy.Adjust : OrderPolicy.Drop,
        });
        Assert.True(compiled.Errors.Count == 0, $"{query}: {string.Join(" ", compiled.Errors)}");
        return compiled.Query!;
    }

    private static void SetReference(QueryExecution execution)
        => execution.SetReference("r", Enumerable.Range(0, 9).Select(k => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes($$"""{"k":{{k * 3}},"zone":"z{{k}}"}""")));

    [Theory]
    [InlineData(0, 4500)]
    [InlineData(1, 800)]
    public void Many_events_give_the_same_rows_and_counters_with_any_number_of_threads(int seed, int count)
    {
        var events = Events(seed, count);
        foreach (var query in Queries)
        {
            List<string>? reference = null;
            foreach (var threads in new[] { 1, 2, 7 })
            {
                var run = new CaseRun();
                using var execution = Compile(query, threads, 1 + (threads / 2), seed).Start(run);
                SetReference(execution);
                foreach (var (ticks, payload) in events)
                    execution.PostAt(0, ticks, payload);
                execution.Complete();
                var all = Everything(run, execution);
                Assert.True(all.Count > 40, $"{all.Count} {query}");
                AssertSame(reference ??= all, all, $"{query} with {threads} threads");
            }
        }
    }

    private static void AssertSame(List<string> expected, List<string> found, string what)
    {
        for (var index = 0; index < Math.Min(expected.Count, found.Count); index++)
            Assert.True(expected[index] == found[index], $"{what}, row {index}: {found[index]} instead of {expected[index]}");
        Assert.True(expected.Count == found.Count, $"{what}: {found.Count} instead of {expected.Count}");
    }

    [Fact]
    public void Many_events_give_the_same_rows_when_stopped_and_continued_with_other_numbers_of_threads()
    {
        var events = Events(5, 2600);
        var random = new Random(6);
        foreach (var query in Queries)
        {
            var run = new CaseRun();
            var whole = Compile(query, 1).Start(run);
            SetReference(whole);
            foreach (var (ticks, payload) in events)
                whole.PostAt(0, ticks, payload);
            whole.Complete();
            var reference = Everything(run, whole);

            run = new CaseRun();
            var execution = Compile(query, 2).Start(run);
            SetReference(execution);
            for (var index = 0; index < events.Count; index++)
            {
                execution.PostAt(0, events[index].Ticks, events[index].Payload);
                if (random.Next(400) == 0)
                    execution.AdvanceArrivalAt(0, events[index].Ticks);
                if (random.Next(400) != 0)
                    continue;
                using var snapshot = new MemoryStream();
                execution.Save(snapshot);
                execution.Dispose();
                snapshot.Position = 0;
                execution = Compile(query, 1 + random.Next(4), 1 + random.Next(3)).Start(run);
                SetReference(execution);
                execution.Restore(snapshot);
            }

            execution.Complete();
            AssertSame(reference, Everything(run, execution), query);
            execution.Dispose();
        }
    }

    [Fact]
    public void The_memory_limit_holds_for_the_shards_together()
    {
        var options = new CompileOptions { Inputs = ["m"], MemoryLimitBytes = 1 << 20, Threads = 2 };
        using var execution = Sql.Compile("SELECT id, COLLECT() AS all_ FROM m GROUP BY id, TumblingWindow(day, 1)", options).Query!.Start(new CaseRun());

        Assert.Throws<QueryMemoryException>(() =>
        {
            for (var index = 0; index < 200_000; index++)
                execution.Post(0, index, Encoding.UTF8.GetBytes($$"""{"id":{{index % 100}},"text":"some text that is kept"}"""));
        });
        Assert.Throws<QueryMemoryException>(() => execution.Push(0, 1_000_000, "{}"u8));
    }

    [Fact]
    public void A_function_of_the_host_that_throws_in_another_thread_makes_bad_events_with_their_payloads_and_devices()
    {
        var functions = new FunctionRegistry().Add("odd", 1, a => a[0].AsBigint() % 5 == 0 ? throw new InvalidOperationException("five") : a[0]);
        var sink = new Letters();
        using var execution = StreamQuery.Compile("SELECT udf.odd(v) AS x FROM m", new CompileOptions { Inputs = ["m"], Functions = functions, Threads = 3 }).Query!.Start(sink);

        for (var index = 0; index < 5000; index++)
            execution.Post(0, index, Encoding.UTF8.GetBytes($$"""{"v":{{index}}}"""), new EventProperties($"d{index}"));
        execution.Flush();

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => $$"""d{{i * 5}} {{i * 5}} {"v":{{i * 5}}}"""), sink.Seen);
        Assert.Equal(1000, execution.Counters.Bad);
        Assert.Equal(4000, execution.Counters.Rows);
    }

    private sealed class Letters : IQuerySink
    {
        public List<string> Seen { get; } = [];

        public void OnRow(OutputRow row)
        {
        }

        public void OnDeadLetter(in DeadLetter letter) => Seen.Add($"{letter.DeviceId} {letter.ArrivalMicroseconds} {Encoding.UTF8.GetString(letter.Payload.Span)}");
    }

    [Fact]
    public void A_sink_that_throws_is_heard_by_the_caller_and_ends_the_execution()
    {
        using var execution = Compile("SELECT v FROM m", 2).Start(new Refusing());
        for (var index = 0; index < 500; index++)
            execution.Post(0, index, """{"v":1}"""u8);

        Assert.Equal("full", Assert.Throws<IOException>(execution.Flush).Message);
        Assert.Contains("full", Assert.Throws<InvalidOperationException>(() => execution.Push(0, 1000, "{}"u8)).Message, StringComparison.Ordinal);
    }

    private sealed class Refusing : IQuerySink
    {
        public void OnRow(OutputRow row) => throw new IOException("full");

        public void OnDeadLetter(in DeadLetter letter) => throw new IOException("full");
    }

    [Fact]
    public void Typed_columns_are_those_of_a_single_thread()
    {
        var kinds = new List<string>[2];
        for (var threads = 1; threads <= 2; threads++)
        {
            var sink = new Columns();
            using var execution = Compile("SELECT k, v, s, f, System.Timestamp() AS t, * FROM m TIMESTAMP BY ts", threads).Start(sink);
            foreach (var (ticks, payload) in Events(3, 1000))
                execution.PostAt(0, ticks, payload);
            execution.Complete();
            kinds[threads - 1] = sink.Seen;
        }

        Assert.Equal(kinds[0], kinds[1]);
    }

    private sealed class Columns : IQuerySink
    {
        public List<string> Seen { get; } = [];

        public void OnRow(OutputRow row)
        {
            for (var index = 0; index < row.ColumnCount; index++)
                Seen.Add($"{row.ColumnName(index)} {row.Column(index)}");
        }

        public void OnDeadLetter(in DeadLetter letter) => Seen.Add(letter.Reason);
    }
}
