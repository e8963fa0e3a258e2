using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Millrace.StreamSql.Cases;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Tests;

/// <summary>Hostile scripts and events: nothing crashes, hangs or points outside the text.</summary>
public sealed class FuzzTests
{
    private static readonly string[] Scripts =
    [
        .. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "cases"), "*.json")
            .Order(StringComparer.Ordinal).Select(f => QueryCase.Parse(File.ReadAllText(f)).Query),
    ];

    private static readonly string[] Pieces =
    [
        "SELECT", "FROM", "WHERE", "GROUP BY", "(", ")", "((", ",", ";", "'", "\"", "[", "]", "*", "/*", "--", ".", "..", "=", "<>", "AND", "OR NOT",
        "CASE", "END", "OVER (", "LIMIT DURATION(day, 7)", "TumblingWindow(minute, 1)", "COUNT(*)", "LAG(v)", "NULL", "1e999", "9999999999999999999",
        "-", "\0", "\uD800", "😀", "é", "\n", "UNION", "WITH x AS (", "INTO", "JOIN", "ON", "MATCH_RECOGNIZE (", "PATTERN (A* B+)", "CAST(", "AS bigint)",
    ];

    private static string Mutate(Random random)
    {
        var text = new StringBuilder(Scripts[random.Next(Scripts.Length)]);
        for (var change = random.Next(1, 6); change > 0; change--)
        {
            var at = random.Next(text.Length + 1);
            switch (random.Next(5))
            {
                case 0:
                    text.Insert(at, Pieces[random.Next(Pieces.Length)]);
                    break;
                case 1:
                    text.Remove(at, Math.Min(random.Next(1, 12), text.Length - at));
                    break;
                case 2:
                    var other = Scripts[random.Next(Scripts.Length)];
                    var from = random.Next(other.Length);
                    text.Insert(at, other.AsSpan(from, random.Next(other.Length - from)));
                    break;
                case 3 when at < text.Length:
                    text[at] = (char)random.Next(32, 127);
                    break;
                default:
                    text.Insert(at, " " + Pieces[random.Next(Pieces.Length)] + " ");
                    break;
            }
        }

        return text.ToString();
    }

    [Fact]
    public void Mutated_scripts_compile_or_tell_errors_inside_the_text()
    {
        var random = new Random(20260302);
        var compiled = 0;
        for (var round = 0; round < 6000; round++)
        {
            var text = Mutate(random);
            var result = StreamQuery.Compile(text, new CompileOptions { AcceptAnyInput = true, References = ["registry"] });
            Assert.Equal(result.Query is null, result.Errors.Count > 0);
            var lines = text.Split('\n');
            foreach (var error in result.Errors.Concat(result.Warnings))
            {
                Assert.InRange(error.Line, 1, lines.Length);
                Assert.InRange(error.Column, 1, lines[error.Line - 1].Length + 1);
            }

            if (result.Query is null)
                continue;
            compiled++;
            Feed(result.Query, random, 5);
        }

        Assert.True(compiled > 100, $"only {compiled} mutations compiled");
    }

    private static readonly string[] Events =
    [
        "", "{", "}", "[]", "null", "{}", "{\"id\":1}", "{\"id\":\"a\",\"v\":1,\"ts\":\"2026-03-02T08:00:00Z\"}", "{\"id\":{},\"v\":[],\"ts\":0}",
        "{\"v\":1e999,\"id\":\"\\ud800\"}", "{\"ts\":\"9999-12-31T23:59:59.9999999Z\"}", "{\"ts\":\"0001-01-01\"}", "{\"id\":null,\"id\":2,\"ID\":3}",
        "{\"v\":-9223372036854775808,\"raw\":\"\\u0000\"}", "{\"readings\":[[[[{\"id\":[]}]]]]}", "\u00ff", "{\"id\":\"\u00e9\ud83d\ude00\"}",
        "{\"userData\":{\"left\":\"x\",\"time\":{}},\"originData\":[]}",
    ];

    private static void Feed(CompiledQuery query, Random random, int count)
    {
        var execution = query.Start(new CaseRun());
        var arrival = new DateTime(2026, 3, 2, 8, 0, 0, DateTimeKind.Utc).Ticks;
        for (var index = 0; index < count; index++)
        {
            arrival += random.NextInt64(TimeSpan.TicksPerMinute);
            if (query.Inputs.Count > 0)
                execution.PushAt(random.Next(query.Inputs.Count), arrival, Encoding.UTF8.GetBytes(Events[random.Next(Events.Length)]));
        }

        using var snapshot = new MemoryStream();
        execution.Save(snapshot);
        snapshot.Position = 0;
        var restored = query.Start(new CaseRun());
        restored.Restore(snapshot);
        restored.Complete();
        Assert.Equal(execution.Counters.Events, restored.Counters.Events);
    }

    [Fact]
    public void Every_case_survives_hostile_events()
    {
        var random = new Random(7);
        foreach (var script in Scripts)
        {
            var result = StreamQuery.Compile(script, new CompileOptions { AcceptAnyInput = true, References = ["registry"] });
            if (result.Query is not null)
                Feed(result.Query, random, 200);
        }
    }

    [Fact]
    public void Long_strings_and_deep_nesting_are_events_like_any_other_up_to_the_depth_limit()
    {
        var run = new CaseRun();
        var execution = Sql.Compile("SELECT LEN(s) AS n, deep FROM m").Query!.Start(run);

        execution.Push(0, 1, Encoding.UTF8.GetBytes("{\"s\":\"" + new string('x', 1 << 20) + "\"}"));
        execution.Push(0, 2, Encoding.UTF8.GetBytes("{\"deep\":" + new string('[', 500) + new string(']', 500) + "}"));
        execution.Push(0, 3, Encoding.UTF8.GetBytes("{\"deep\":" + new string('[', 100_000) + new string(']', 100_000) + "}"));

        Assert.Equal(2, run.Rows["output"].Count);
        Assert.Equal(1, execution.Counters.Bad);
        Assert.StartsWith("{\"n\":1048576", run.Rows["output"][0], StringComparison.Ordinal);
    }

    [Fact]
    public void The_fast_reader_reads_what_the_library_reader_reads()
    {
        var random = new Random(11);
        var paths = new PathTree();
        string[][] wanted = [[], ["a"], ["A"], ["b", "c"], ["b", "C", "d"], ["b"], ["é"], ["x", "y"]];
        foreach (var path in wanted)
            paths.Add(path);
        var fast = new EventReader(paths);
        for (var round = 0; round < 20_000; round++)
        {
            var bytes = Encoding.UTF8.GetBytes(RandomJson(random));
            if (random.Next(3) == 0 && bytes.Length > 0)
                bytes[random.Next(bytes.Length)] = (byte)"{}[]\",:\\ 0a\u0001\u00ff"[random.Next(13)];
            AssertReadAlike(fast, paths, bytes);
        }
    }

    [Fact]
    public void Events_that_look_like_earlier_ones_are_read_as_carefully()
    {
        var random = new Random(12);
        var paths = new PathTree();
        string[][] wanted = [[], ["a"], ["b", "c"], ["b"], ["list"], ["no", "such"], ["é"], ["A"]];
        foreach (var path in wanted)
            paths.Add(path);
        string[] layouts =
        [
            "{\"a\":#,\"b\":{\"c\":#,\"d\":[#,#]},\"list\":[#,{\"x\":#}]}",
            "{ \"a\" : # , \"other name that is longer than a vector of bytes\" : # ,\r\n \"b\" : { \"c\" : # } } ",
            "{\"é\":#,\"q\\\"\":#,\"A\":#,\"a\":#,\"a\":#}",
            "{\"list\":[],\"b\":{},\"z\":#}",
            "{}",
        ];
        string[] scalars =
        [
            "0", "-0", "7", "-12", "123.45", "-0.001", "1e5", "00", "01", "-", "1.", ".5", "12345678901234567890123456789012345", "0.1234567890123456789012345678901234",
            "true", "false", "null", "nul", "truee", "\"\"", "\"text\"", "\"esc \\n\"", "\"bad \\x\"", "\"open", "\"é\"", "\"" + new string('y', 70) + "\"", "\"\u0001\"", "[]", "{}",
        ];
        foreach (var layoutsInUse in new[] { 1, 2, layouts.Length })
        {
            var fast = new EventReader(paths);
            for (var round = 0; round < 10_000; round++)
            {
                var layout = layouts[random.Next(layoutsInUse)];
                var odd = random.Next(4) == 0;
                var text = string.Concat(layout.Select(c => c != '#' ? c.ToString() : odd ? scalars[random.Next(scalars.Length)] : (random.Next(100_000) / 100.0).ToString(CultureInfo.InvariantCulture)));
                var bytes = Encoding.UTF8.GetBytes(text);
                if (random.Next(10) == 0)
                    bytes[random.Next(bytes.Length)] = (byte)"{}[]\",:\\ 0a\u0001\u00ff"[random.Next(13)];
                AssertReadAlike(fast, paths, random.Next(20) == 0 ? bytes.AsSpan(0, random.Next(bytes.Length)).ToArray() : bytes);
            }
        }
    }

    private static void AssertReadAlike(EventReader fast, PathTree paths, byte[] bytes)
    {
        var slots = new Value[paths.SlotCount];
        var others = new Value[paths.SlotCount];
        var found = fast.TryRead(bytes, slots);
        var padded = new byte[bytes.Length + EventReader.Padding];
        bytes.CopyTo(padded, 0);
        var expected = PortableEventReader.TryRead(padded, bytes.Length, paths, others);

        Assert.True(found == expected, $"{found} for {Encoding.UTF8.GetString(bytes)}");
        if (!expected)
            return;
        for (var slot = 0; slot < slots.Length; slot++)
        {
            Assert.True(others[slot].Kind == slots[slot].Kind, $"slot {slot} of {Encoding.UTF8.GetString(bytes)}");
            if (slots[slot].IsSlice)
                Assert.Equal(others[slot].Span.ToArray(), slots[slot].Span.ToArray());
            else
                Assert.Equal(others[slot].Bits, slots[slot].Bits);
        }
    }

    private static string RandomJson(Random random)
    {
        var text = new StringBuilder();
        Object(0);
        return text.ToString();

        void Object(int depth)
        {
            text.Append('{');
            for (var field = random.Next(5); field > 0; field--)
            {
                Blank();
                text.Append('"').Append(((string[])["a", "A", "b", "c", "C", "d", "é", "x", "y", "\\u0062", "other", "q\\\"", "\\\\"])[random.Next(13)]).Append('"');
                Blank();
                text.Append(':');
                Blank();
                Value(depth);
                Blank();
                if (field > 1)
                    text.Append(',');
            }

            text.Append('}');
        }

        void Value(int depth)
        {
            switch (random.Next(depth > 4 ? 7 : 10))
            {
                case 0: text.Append(random.Next(-1000, 1000)); break;
                case 1: text.Append("-1.5e3"); break;
                case 2: text.Append("true"); break;
                case 3: text.Append("null"); break;
                case 4: text.Append('"').Append("text{}[]:,").Append('"'); break;
                case 5: text.Append("\"esc\\\"\\\\\\n\\u00e9").Append(new string('\\', 2 * random.Next(40))).Append('"'); break;
                case 6: text.Append('"').Append(new string('é', random.Next(70))).Append('"'); break;
                case 7:
                    text.Append('[');
                    for (var item = random.Next(4); item > 0; item--)
                    {
                        Value(depth + 1);
                        if (item > 1)
                            text.Append(',');
                    }

                    text.Append(']');
                    break;
                default: Object(depth + 1); break;
            }
        }

        void Blank()
        {
            if (random.Next(6) == 0)
                text.Append(((string[])[" ", "\n", "\t", "\r\n  "])[random.Next(4)]);
        }
    }

    [Fact]
    public void Keys_are_equal_and_ordered_as_their_values_are()
    {
        var values = Gen.OneOf(
            ArbMap.Default.GeneratorFor<long>().Select(Value.Of),
            ArbMap.Default.GeneratorFor<NormalFloat>().Select(f => Value.Of(f.Get)),
            ArbMap.Default.GeneratorFor<int>().Select(i => Value.Of((double)i)),
            ArbMap.Default.GeneratorFor<int>().Select(i => Value.Of((long)i)),
            ArbMap.Default.GeneratorFor<NonNull<string>>().Select(s => Value.Of(s.Get)),
            ArbMap.Default.GeneratorFor<bool>().Select(Value.Of),
            ArbMap.Default.GeneratorFor<DateTime>().Select(d => Value.OfTicks(d.Ticks)));
        Prop.ForAll(values.Two().ToArbitrary(), pair =>
        {
            var (a, b) = (Key(pair.Item1), Key(pair.Item2));
            var offset = 0;
            var back = KeyWriter.Read(a, ref offset);
            var bothNumbers = Comparison.IsNumeric(pair.Item1.Kind) && Comparison.IsNumeric(pair.Item2.Kind)
                && pair.Item1.Kind != Kind.Bit && pair.Item2.Kind != Kind.Bit;
            var sameKind = pair.Item1.Kind == pair.Item2.Kind || bothNumbers;
            return offset == a.Length && Comparison.Rank(back, pair.Item1) == 0
                && (!sameKind || Math.Sign(a.AsSpan().SequenceCompareTo(b)) == Math.Sign(Comparison.Rank(pair.Item1, pair.Item2)));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));

        static byte[] Key(Value value)
        {
            var writer = new KeyWriter();
            writer.Add(value);
            return writer.Key.ToArray();
        }
    }

    [Fact]
    public void Random_queries_give_the_same_rows_in_the_same_order_for_any_number_of_partitions()
    {
        var random = new Random(3);
        string[] aggregates = ["COUNT(*)", "SUM(v)", "AVG(v)", "MIN(v)", "MAX(s)", "COUNT(DISTINCT s)", "STDEV(v)", "COLLECT(v)", "TopOne(v) OVER (ORDER BY s DESC)"];
        string[] windows = ["TumblingWindow(second, 7)", "HoppingWindow(second, 9, 4)", "SlidingWindow(second, 5)", "SessionWindow(second, 3, 20)", "SessionWindow(second, 3, 20) OVER (PARTITION BY s)", "System.Timestamp()", "Windows(Tumbling(second, 5), Sliding(second, 2))"];
        string[] keys = ["k", "s", "k, s", "UPPER(s)", "k % 2"];
        for (var round = 0; round < 150; round++)
        {
            var key = keys[random.Next(keys.Length)];
            var query = $"SELECT {key.Split(',')[0]} AS g, {aggregates[random.Next(aggregates.Length)]} AS x, {aggregates[random.Next(aggregates.Length)]} AS y FROM m TIMESTAMP BY ts{(random.Next(3) == 0 ? " OVER k" : "")} WHERE v > -8 GROUP BY {key}, {windows[random.Next(windows.Length)]}";
            if (random.Next(3) == 0)
                query = $"WITH a AS (SELECT *, LAG(v) OVER (PARTITION BY k LIMIT DURATION(second, 9)) AS p FROM m TIMESTAMP BY ts) SELECT k, p, {aggregates[random.Next(6)]} AS x FROM a GROUP BY k, p, {windows[random.Next(3)]}";
            var events = Enumerable.Range(0, 120).Select(_ => (
                Arrival: random.Next(100),
                Text: $$"""{"k":{{random.Next(9)}},"s":"{{(char)('a' + random.Next(5))}}","v":{{random.Next(-10, 10)}},"ts":"2026-03-02T08:{{random.Next(3):00}}:{{random.Next(60):00}}Z"}"""))
                .OrderBy(e => e.Arrival).ToList();
            string? reference = null;
            foreach (var partitions in new[] { 1, 2, 7, 32 })
            {
                var run = new CaseRun();
                var compiled = StreamQuery.Compile(query, new CompileOptions { Inputs = ["m"], Partitions = partitions, LateArrival = TimeSpan.FromSeconds(40), OutOfOrder = TimeSpan.FromSeconds(10) });
                Assert.True(compiled.Errors.Count == 0, $"{query}: {string.Join(" ", compiled.Errors)}");
                var execution = compiled.Query!.Start(run);
                foreach (var (arrival, text) in events)
                    execution.PushAt(0, new DateTime(2026, 3, 2, 8, 0, 0, DateTimeKind.Utc).AddSeconds(60 + arrival).Ticks, Encoding.UTF8.GetBytes(text));
                execution.Complete();
                var all = string.Join('\n', run.Rows.GetValueOrDefault("output", [])) + execution.Counters;
                Assert.Equal(reference ??= all, all);
                Assert.Equal("", run.Complaint);
            }
        }
    }
}
