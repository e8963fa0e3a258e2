using System.Globalization;
using System.Text;
using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>Whatever a query makes of its events, the memory it takes is bounded.</summary>
public sealed class TextLimitTests
{
    private static CaseRun Run(string query, long memoryLimit, int events, Func<int, string> payload)
    {
        var run = new CaseRun();
        var compiled = StreamQuery.Compile(query, new CompileOptions { Inputs = ["m"], MemoryLimitBytes = memoryLimit });
        Assert.Empty(compiled.Errors);
        var execution = compiled.Query!.Start(run);
        for (var index = 0; index < events; index++)
            execution.Push(0, (index + 1) * 1000L, Encoding.UTF8.GetBytes(payload(index)));
        execution.Complete();
        return run;
    }

    [Theory]
    [InlineData("STRING_AGG(s, ',')")]
    [InlineData("STRING_AGG('', s)")]
    [InlineData("LEN(STRING_AGG(s, s))")]
    public void A_joined_text_of_a_window_is_no_longer_than_any_other_text(string aggregate)
    {
        var payload = "{\"s\":\"" + new string('x', 1 << 20) + "\"}";

        var run = Run($"SELECT {aggregate} AS x FROM m GROUP BY TumblingWindow(second, 1)", 0, 20, _ => payload);

        Assert.Empty(run.Rows.GetValueOrDefault("output", []));
        Assert.Contains("16 MiB", Assert.Single(run.DeadLetters), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("COLLECT(REPLICATE(s, 4000000)) AS x")]
    [InlineData("CollectTop(90, REPLICATE(s, 4000000)) OVER (ORDER BY s) AS x")]
    [InlineData("MIN(REPLICATE(s, 15000000)) AS a, MAX(s + REPLICATE(s, 15000000)) AS b, TopOne(REPLICATE(s, 15000000)) OVER (ORDER BY s) AS c, MAX(REPLICATE(s, 14000000)) AS d, MAX(REPLICATE(s, 15000000) + 'y') AS e")]
    public void A_row_of_a_window_is_bounded(string columns)
    {
        var run = Run($"SELECT {columns} FROM m GROUP BY TumblingWindow(second, 1)", 0, 20, _ => "{\"s\":\"x\"}");

        Assert.Empty(run.Rows.GetValueOrDefault("output", []));
        Assert.All(run.DeadLetters, letter => Assert.Contains("64 MiB", letter, StringComparison.Ordinal));
        Assert.NotEmpty(run.DeadLetters);
    }

    [Theory]
    [InlineData("SELECT COLLECT(REPLICATE(s, 10000000)) AS x FROM m GROUP BY TumblingWindow(hour, 1)")]
    [InlineData("SELECT LEN(STRING_AGG('', REPLICATE(s, 10000000))) AS x FROM m GROUP BY TumblingWindow(hour, 1)")]
    [InlineData("SELECT LEN(LAG(REPLICATE(s, 10000000), 900) OVER (LIMIT DURATION(hour, 1))) AS x FROM m")]
    [InlineData("WITH a AS (SELECT REPLICATE(s, 10000000) AS s FROM m) SELECT a.s FROM a JOIN a b ON DATEDIFF(hour, a, b) BETWEEN 0 AND 1 AND a.s <> b.s")]
    [InlineData("SELECT COUNT(*) AS n FROM m GROUP BY REPLICATE(s, 10000000) + CAST(n AS nvarchar(max)), TumblingWindow(hour, 1)")]
    public void State_that_few_events_make_huge_is_noticed_before_it_is_far_beyond_its_limit(string query)
    {
        // Twenty events of 10 MB each: with a look every 4,096 events it would be too late.
        Assert.Throws<QueryMemoryException>(() => Run(query, 64 << 20, 20, n => $$"""{"s":"x","n":{{n}}}"""));
    }

    [Fact]
    public void A_row_that_repeats_one_text_is_bounded_too()
    {
        var columns = string.Join(", ", Enumerable.Range(0, 20).Select(n => $"s AS s{n}"));

        var run = Run(
            $"WITH a AS (SELECT id, REPLICATE(s, 5000000) AS s FROM m) SELECT {columns} INTO many FROM a SELECT id, LEN(s) AS n INTO one FROM a",
            0,
            2,
            n => $$"""{"id":{{n}},"s":"x"}""");

        Assert.Empty(run.Rows.GetValueOrDefault("many", []));
        Assert.Equal(["""{"id":0,"n":5000000}""", """{"id":1,"n":5000000}"""], run.Rows["one"]);
        Assert.Equal(2, run.DeadLetters.Count);
    }

    private static readonly Func<Random, string, string, string>[] Growing =
    [
        (r, a, b) => $"({a} + {b})",
        (r, a, b) => $"CONCAT({a}, {b}, {a})",
        (r, a, b) => $"CONCAT_WS({b}, {a}, {a}, 'z')",
        (r, a, b) => $"REPLACE({a}, 'x', {b})",
        (r, a, b) => $"STUFF({a}, {r.Next(1, 9)}, {r.Next(3)}, {b})",
        (r, a, b) => $"TRANSLATE({a}, 'x', '😀')",
        (r, a, b) => $"REPLICATE({a}, {r.Next(1, 200)})",
        (r, a, b) => $"UPPER({a})",
        (r, a, b) => $"LOWER({a})",
        (r, a, b) => $"REVERSE({a})",
        (r, a, b) => $"SUBSTRING({a}, {r.Next(-3, 9)}, 100000000)",
        (r, a, b) => $"JSON_MODIFY(j, '$.a', {a})",
        (r, a, b) => $"(SPACE({r.Next(1, 20_000_000)}) + {a})",
        (r, a, b) => $"CAST(JSON_MODIFY(j, 'append $.b', {a}) AS nvarchar(max))",
        (r, a, b) => $"CASE WHEN {a} LIKE '%x%y%' THEN {a} ELSE {b} END",
        (r, a, b) => $"LEFT(RTRIM({a}), PATINDEX('%[y]%x%', {b}) + 100)",
    ];

    [Fact]
    public void Random_nests_of_text_functions_over_long_texts_take_a_bounded_amount_of_memory()
    {
        var random = new Random(20260303);
        var texts = new[] { new string('x', 1_000_000), string.Concat(Enumerable.Repeat("xé", 300_000)), "x", "" };
        var refused = 0;
        var made = 0;
        for (var round = 0; round < 60; round++)
        {
            var query = $"SELECT LEN({Nest(4)}) AS a, {Nest(3)} AS b FROM m";
            var run = new CaseRun();
            var compiled = StreamQuery.Compile(query, new CompileOptions { Inputs = ["m"] });
            Assert.Empty(compiled.Errors);
            var execution = compiled.Query!.Start(run);
            foreach (var text in texts)
            {
                var payload = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $$"""{"s":"{{text}}","t":"xy","j":"{\"a\":1}"}"""));
                var before = GC.GetAllocatedBytesForCurrentThread();
                execution.Push(0, 1, payload);
                var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

                // At most 64 MiB are made; the row is written as JSON and UTF-16 on top.
                Assert.True(allocated < 512L << 20, $"{allocated >> 20} MiB for {query}");
            }

            refused += run.DeadLetters.Count;
            made += run.Rows.GetValueOrDefault("output", []).Count;
        }

        Assert.True(refused > 10 && made > 50, $"{refused} refused, {made} rows");

        string Nest(int depth) => depth == 0
            ? (random.Next(3) == 0 ? "t" : "s")
            : Growing[random.Next(Growing.Length)](random, Nest(depth - 1), Nest(random.Next(depth)));
    }

    [Fact]
    public void A_search_for_a_pattern_in_a_long_text_takes_time_by_its_length()
    {
        // Tried at every place to the end it would take two hundred milliard steps, which no test would wait for.
        var text = new string('a', 600_000);
        Assert.Equal("0", Sql.Value("PATINDEX('%a%b%', s)", $$"""{"s":"{{text}}"}"""));
        Assert.Equal("0", Sql.Value("CASE WHEN s LIKE '%a%b%c' THEN 1 ELSE 0 END", $$"""{"s":"{{text}}"}"""));
    }
}
