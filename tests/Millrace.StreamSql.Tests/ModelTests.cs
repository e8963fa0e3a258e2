using System.Globalization;
using System.Text;
using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>The engine beside slow and obvious models of the language's rules, on random events full of ties.</summary>
public sealed class ModelTests
{
    private static readonly DateTime Start = new(2026, 3, 2, 8, 0, 0, DateTimeKind.Utc);

    private sealed record Event(string Id, int Value, int At, int Arrival, int Index);

    private static List<Event> RandomEvents(Random random, int count, int keys, int span)
    {
        var times = Enumerable.Range(0, count).Select(_ => random.Next(span)).Order().ToArray();
        return [.. times.Select((t, i) => new Event($"k{random.Next(keys)}", random.Next(-5, 6), t, t, i))];
    }

    private static byte[] Payload(Event e) => Encoding.UTF8.GetBytes(
        $$"""{"id":"{{e.Id}}","v":{{e.Value}},"n":{{e.Index}},"ts":"{{Iso(e.At)}}"}""");

    private static string Iso(int second) => Start.AddSeconds(second).ToString("yyyy-MM-ddTHH:mm:ss.fffffffZ", CultureInfo.InvariantCulture);

    private static int Second(long ticks) => (int)((ticks - Start.Ticks) / TimeSpan.TicksPerSecond);

    /// <summary>Runs with random marks, restarts and numbers of partitions and threads in between; none may show.</summary>
    private static (List<string> Rows, QueryCounters Counters) Run(string query, List<Event> events, Random random, CompileOptions? options = null)
    {
        options ??= new CompileOptions { Inputs = ["m"] };
        var run = new CaseRun();
        var execution = Begin(random);
        foreach (var e in events.OrderBy(e => e.Arrival).ThenBy(e => e.Index))
        {
            execution.PostAt(0, Start.AddSeconds(e.Arrival).Ticks, Payload(e));
            if (random.Next(3) == 0)
                execution.AdvanceArrivalAt(0, Start.AddSeconds(e.Arrival).Ticks);
            if (random.Next(20) != 0)
                continue;
            using var snapshot = new MemoryStream();
            execution.Save(snapshot);
            snapshot.Position = 0;
            execution = Begin(random);
            execution.Restore(snapshot);
        }

        execution.Complete();
        Assert.Equal("", run.Complaint);
        return (run.Rows.GetValueOrDefault("output", []), execution.Counters);

        QueryExecution Begin(Random source)
        {
            var compiled = StreamQuery.Compile(query, options with { Partitions = 1 + source.Next(8), Threads = 1 + source.Next(3) });
            Assert.Empty(compiled.Errors);
            return compiled.Query!.Start(run);
        }
    }

    private static void AssertSame(IEnumerable<string> expected, IEnumerable<string> found, int seed)
    {
        string[] a = [.. expected.Order(StringComparer.Ordinal)];
        string[] b = [.. found.Order(StringComparer.Ordinal)];
        Assert.True(a.SequenceEqual(b), $"seed {seed}: missing {string.Join(" ", a.Except(b).Take(3))}, too many {string.Join(" ", b.Except(a).Take(3))}");
    }

    private static IEnumerable<int> Seeds => Enumerable.Range(1, 40);

    [Fact]
    public void Tumbling_and_hopping_windows_hold_what_lies_between_their_borders()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            var events = RandomEvents(random, 60, 3, 100);
            var size = random.Next(1, 20);
            var hop = random.Next(1, 25);
            var offset = random.Next(-10, 10);
            var expected = new List<string>();
            for (var end = -200; end < 300; end++)
            {
                if (Mod((long)(end - offset) + Origin(hop), hop) != 0)
                    continue;
                foreach (var group in events.Where(e => e.At > end - size && e.At <= end).GroupBy(e => e.Id))
                    expected.Add($$"""{"id":"{{group.Key}}","n":{{group.Count()}},"s":{{group.Sum(e => e.Value)}},"hi":{{group.Max(e => e.Value)}},"e":"{{Iso(end)}}"}""");
            }

            var query = $"SELECT id, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS hi, System.Timestamp() AS e FROM m TIMESTAMP BY ts GROUP BY id, HoppingWindow(second, {size}, {hop}, {offset})";
            AssertSame(expected, Run(query, events, random).Rows, seed);
        }

        // Seconds from 0001-01-01 to the start, so that multiples are counted from there.
        static long Origin(int hop) => Start.Ticks / TimeSpan.TicksPerSecond % hop;
        static long Mod(long a, long b) => ((a % b) + b) % b;
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(1, 2)]
    public void Hopping_windows_over_a_changing_fleet_give_each_group_once_in_order_of_the_keys(int size, int hop)
    {
        // Thousands of keys, of which most never come back: rows wait in the pipeline, and panes are renumbered.
        var random = new Random(7);
        var events = new List<(string Key, int Value, int At)>();
        for (var at = 1; at <= 600; at++)
        {
            for (var count = at % 120 < 60 ? 60 : 5; count > 0; count--)
                events.Add(($"k{(at / 60 * 1500) + random.Next(3000)}", random.Next(1000), at));
        }

        var expected = new List<string>();
        for (var end = hop * 60; end <= 1200; end += hop * 60)
        {
            foreach (var group in events.Where(e => e.At > end - (size * 60) && e.At <= end).GroupBy(e => e.Key).OrderBy(g => g.Key, StringComparer.Ordinal))
                expected.Add($$"""{"id":"{{group.Key}}","n":{{group.Count()}},"s":{{group.Sum(e => e.Value)}},"hi":"{{group.Max(e => $"{e.Value:d4}")}}","e":"{{Iso(end)}}"}""");
        }

        var run = new CaseRun();
        var query = $"SELECT id, COUNT(*) AS n, SUM(v) AS s, MAX(t) AS hi, System.Timestamp() AS e FROM m TIMESTAMP BY ts GROUP BY id, HoppingWindow(minute, {size}, {hop})";
        var compiled = StreamQuery.Compile(query, new CompileOptions { Inputs = ["m"] }).Query!;
        var execution = compiled.Start(run);
        for (var index = 0; index < events.Count; index++)
        {
            var (key, value, at) = events[index];
            execution.PostAt(0, Start.AddSeconds(at).Ticks, Encoding.UTF8.GetBytes($$"""{"id":"{{key}}","v":{{value}},"t":"{{value:d4}}","ts":"{{Iso(at)}}"}"""));
            if (index % 5000 != 4000)
                continue;
            using var snapshot = new MemoryStream();
            execution.Save(snapshot);
            snapshot.Position = 0;
            execution = compiled.Start(run);
            execution.Restore(snapshot);
        }

        execution.Complete();
        Assert.Equal(expected, run.Rows["output"]);
    }

    [Fact]
    public void Sliding_windows_give_a_result_at_every_entry_and_exit()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            var events = RandomEvents(random, 50, 3, 60);
            var size = random.Next(1, 20);
            var expected = new List<string>();
            foreach (var group in events.GroupBy(e => e.Id))
            {
                foreach (var instant in group.SelectMany(e => new[] { e.At, e.At + size }).Distinct())
                {
                    var inside = group.Where(e => e.At > instant - size && e.At <= instant).ToList();
                    if (inside.Count > 0)
                        expected.Add($$"""{"id":"{{group.Key}}","n":{{inside.Count}},"lo":{{inside.Min(e => e.Value)}},"all":[{{string.Join(',', inside.Select(e => e.Index))}}],"e":"{{Iso(instant)}}"}""");
                }
            }

            // Once with an aggregate that keeps its rows, once without, once without any but COUNT(*): three ways of computing.
            var query = $"SELECT id, COUNT(*) AS n, MIN(v) AS lo, COLLECT(n) AS [all], System.Timestamp() AS e FROM m TIMESTAMP BY ts GROUP BY id, SlidingWindow(second, {size})";
            AssertSame(expected, Run(query, events, random).Rows, seed);
            var counted = $"SELECT id, COUNT(*) AS n, System.Timestamp() AS e FROM m TIMESTAMP BY ts GROUP BY id, SlidingWindow(second, {size})";
            AssertSame(expected.Select(x => System.Text.RegularExpressions.Regex.Replace(x, "\"lo\":.*\"e\"", "\"e\"")), Run(counted, events, random).Rows, seed);
            var shorter = $"SELECT id, COUNT(*) AS n, MIN(v) AS lo, System.Timestamp() AS e FROM m TIMESTAMP BY ts GROUP BY id, SlidingWindow(second, {size})";
            AssertSame(expected.Select(x => System.Text.RegularExpressions.Regex.Replace(x, "\"all\":\\[[^]]*\\],", "")), Run(shorter, events, random).Rows, seed);
        }
    }

    [Fact]
    public void Sessions_end_by_silence_or_at_a_checkpoint()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            var events = RandomEvents(random, 60, 3, 200);
            var timeout = random.Next(1, 12);
            var longest = random.Next(1, 30);
            var over = random.Next(2) == 0;
            var expected = new List<string>();
            foreach (var stream in over ? events.GroupBy(e => e.Id).Select(g => g.ToList()) : [events])
            {
                var session = new List<Event>();
                foreach (var e in stream)
                {
                    if (session.Count > 0 && e.At > EndOf(session))
                        Close(session);
                    session.Add(e);
                }

                Close(session);
            }

            var query = $"SELECT id, COUNT(*) AS n, System.Timestamp() AS e FROM m TIMESTAMP BY ts GROUP BY id, SessionWindow(second, {timeout}, {longest}){(over ? " OVER (PARTITION BY id)" : "")}";
            AssertSame(expected, Run(query, events, random).Rows, seed);

            int EndOf(List<Event> session)
            {
                var origin = Start.Ticks / TimeSpan.TicksPerSecond;
                var checkpoint = Enumerable.Range(session[0].At, 1000).First(c => (c + origin) % longest == 0 && c - session[0].At > longest);
                return Math.Min(session[^1].At + timeout, checkpoint);
            }

            void Close(List<Event> session)
            {
                foreach (var group in session.GroupBy(e => e.Id))
                    expected.Add($$"""{"id":"{{group.Key}}","n":{{group.Count()}},"e":"{{Iso(EndOf(session))}}"}""");
                session.Clear();
            }
        }
    }

    [Fact]
    public void Functions_over_history_see_the_rows_of_their_key_and_condition()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            var events = RandomEvents(random, 60, 3, 80);
            var limit = random.Next(1, 30);
            var offset = random.Next(1, 4);
            var expected = new List<string>();
            for (var index = 0; index < events.Count; index++)
            {
                var e = events[index];
                var earlier = events.Take(index).Where(o => o.Id == e.Id && o.Value > 0).Reverse().ToList();
                var lag = earlier.Count >= offset && e.At - earlier[offset - 1].At < limit ? earlier[offset - 1].Index.ToString() : "-9";
                var last = e.Value > 0 ? e.Index.ToString() : earlier.Count > 0 && e.At - earlier[0].At < limit ? earlier[0].Index.ToString() : "null";
                var recent = events.Take(index + 1).Where(o => o.Id == e.Id && o.At > e.At - limit).ToList();
                var first = !events.Take(index).Any(o => o.Id == e.Id && Interval(o.At) == Interval(e.At)) ? 1 : 0;
                expected.Add($$"""{"n":{{e.Index}},"lag":{{lag}},"last":{{last}},"s":{{recent.Sum(o => o.Value)}},"c":{{recent.Count}},"f":{{first}}}""");

                long Interval(int at) => (long)Math.Ceiling((Start.Ticks / TimeSpan.TicksPerSecond + at) / (double)limit);
            }

            var query = $"""
                SELECT n, LAG(n, {offset}, -9) OVER (PARTITION BY id LIMIT DURATION(second, {limit}) WHEN v > 0) AS lag,
                    LAST(n) OVER (PARTITION BY id LIMIT DURATION(second, {limit}) WHEN v > 0) AS [last],
                    SUM(v) OVER (PARTITION BY id LIMIT DURATION(second, {limit})) AS s, COUNT(*) OVER (PARTITION BY id LIMIT DURATION(second, {limit})) AS c,
                    ISFIRST(second, {limit}) OVER (PARTITION BY id) AS f
                FROM m TIMESTAMP BY ts
                """;
            Assert.Equal(expected, Run(query, events, random).Rows);
        }
    }

    [Fact]
    public void Joins_pair_what_lies_within_the_bounds_and_left_joins_tell_what_found_nothing()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            var events = RandomEvents(random, 40, 3, 60);
            var low = random.Next(-10, 8);
            var high = low + random.Next(0, 10);
            var left = random.Next(2) == 0;
            var expected = new List<string>();
            foreach (var a in events)
            {
                var matches = events.Where(b => b.Id == a.Id && b.Value >= a.Value && b.At - a.At >= low && b.At - a.At <= high).ToList();
                foreach (var b in matches)
                    expected.Add($$"""{"a":{{a.Index}},"b":{{b.Index}},"e":"{{Iso(Math.Max(a.At, b.At))}}"}""");
                if (left && matches.Count == 0)
                    expected.Add($$"""{"a":{{a.Index}},"b":null,"e":"{{Iso(Math.Max(a.At, a.At + high))}}"}""");
            }

            var query = $"SELECT a.n AS a, b.n AS b, System.Timestamp() AS e FROM m a TIMESTAMP BY ts {(left ? "LEFT " : "")}JOIN m b TIMESTAMP BY ts ON DATEDIFF(second, a, b) BETWEEN {low} AND {high} AND a.id = b.id AND b.v >= a.v";
            AssertSame(expected, Run(query, events, random).Rows, seed);
        }
    }

    [Fact]
    public void Late_early_and_out_of_order_events_are_treated_one_by_one_as_the_rules_say()
    {
        foreach (var seed in Enumerable.Range(1, 200))
        {
            var random = new Random(seed);
            var events = new List<Event>();
            var arrival = 1000;
            for (var index = 0; index < 80; index++)
            {
                arrival += random.Next(0, 4);
                var at = arrival + (random.Next(10) == 0 ? random.Next(250, 350) : random.Next(-60, 10));
                events.Add(new Event($"k{random.Next(3)}", 1, at, arrival, index));
            }

            var late = random.Next(0, 40);
            var outOfOrder = random.Next(0, 30);
            var drop = random.Next(2) == 0;
            var over = random.Next(2) == 0;
            var (expected, counted) = Policy(events, late, outOfOrder, drop, over);
            var options = new CompileOptions
            {
                Inputs = ["m"],
                LateArrival = TimeSpan.FromSeconds(late),
                OutOfOrder = TimeSpan.FromSeconds(outOfOrder),
                Policy = drop ? OrderPolicy.Drop : OrderPolicy.Adjust,
            };

            var query = $"SELECT n, System.Timestamp() AS e FROM m TIMESTAMP BY ts{(over ? " OVER id" : "")}";
            var (rows, counters) = Run(query, events, random, options);

            Assert.Equal(expected, rows);
            Assert.Equal(counted, (counters.Late, counters.Early, counters.OutOfOrder));
        }
    }

    private static (List<string> Rows, (long, long, long) Counted) Policy(List<Event> events, int late, int outOfOrder, bool drop, bool over)
    {
        long lateCount = 0;
        long earlyCount = 0;
        long orderCount = 0;
        var highest = new Dictionary<string, int>();
        var accepted = new List<(int Time, int Index)>();
        var waiting = new List<(int Time, int Index, string Key)>();
        foreach (var e in events)
        {
            var key = over ? e.Id : "";
            if (over)
                Release(r => r.Time <= e.Arrival - late);
            var time = e.At;
            if (time > e.Arrival + 300)
            {
                earlyCount++;
                continue;
            }

            if (e.Arrival - time > late)
            {
                lateCount++;
                if (drop)
                    continue;
                time = e.Arrival - late;
            }

            if (highest.TryGetValue(key, out var top) && time < top - outOfOrder)
            {
                orderCount++;
                if (drop)
                    continue;
                time = top - outOfOrder;
            }

            highest[key] = Math.Max(time, highest.GetValueOrDefault(key, int.MinValue));
            if (!over)
            {
                accepted.Add((time, e.Index));
                continue;
            }

            // A sub-stream's rows go as soon as its own mark has passed them.
            waiting.Add((time, e.Index, key));
            Release(r => r.Key == key && r.Time <= Math.Max(highest[key] - outOfOrder, e.Arrival - late));
        }

        Release(_ => true);
        return ([.. (over ? accepted : [.. accepted.OrderBy(a => a.Time).ThenBy(a => a.Index)]).Select(a => $$"""{"n":{{a.Index}},"e":"{{Iso(a.Time)}}"}""")], (lateCount, earlyCount, orderCount));

        void Release(Func<(int Time, int Index, string Key), bool> isDue)
        {
            var due = waiting.Where(isDue).OrderBy(r => r.Time).ThenBy(r => r.Index).ToList();
            accepted.AddRange(due.Select(r => (r.Time, r.Index)));
            waiting.RemoveAll(due.Contains);
        }
    }

    [Fact]
    public void Functions_over_the_history_of_one_device_do_not_wait_for_the_others_and_forget_nothing_they_need()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            var limit = random.Next(5, 60);
            var behind = new[] { 0, random.Next(60), random.Next(60) };
            var events = new List<Event>();
            for (var (index, arrival) = (0, 1000); index < 200; index++, arrival += random.Next(3))
            {
                var key = random.Next(3);
                events.Add(new Event($"k{key}", random.Next(9), arrival - behind[key], arrival, index));
            }

            var expected = events.Select(e =>
            {
                var earlier = events.LastOrDefault(o => o.Index < e.Index && o.Id == e.Id);
                var recent = events.Where(o => o.Index <= e.Index && o.Id == e.Id && o.At > e.At - limit).ToList();
                return $$"""{"n":{{e.Index}},"p":{{(earlier is null || e.At - earlier.At >= limit ? "null" : earlier.Value)}},"s":{{recent.Sum(o => o.Value)}}}""";
            });
            var query = $"""
                SELECT n, LAG(v) OVER (PARTITION BY id LIMIT DURATION(second, {limit})) AS p, SUM(v) OVER (PARTITION BY id LIMIT DURATION(second, {limit})) AS s
                FROM m TIMESTAMP BY ts OVER id
                """;

            Assert.Equal(expected, Run(query, events, random, new CompileOptions { Inputs = ["m"], LateArrival = TimeSpan.FromSeconds(60) }).Rows);
        }
    }

    [Fact]
    public void Patterns_match_as_a_regular_expression_over_the_rows_does()
    {
        (string Pattern, string Regex)[] patterns = [("A B C", "abc"), ("A+ B", "a+b"), ("A (B|C)* A", "a[bc]*a"), ("A B? C", "ab?c"), ("(A|B) C+", "[ab]c+"), ("A B*", "ab*")];
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            var events = RandomEvents(random, 40, 1, 400).Select(e => e with { Value = random.Next(3) }).ToList();
            var (pattern, regex) = patterns[seed % patterns.Length];
            var limit = random.Next(20, 120);
            var text = string.Concat(events.Select(e => "abc"[e.Value]));
            var expected = new List<string>();
            for (var start = 0; start < events.Count; start++)
            {
                var within = events.Skip(start).TakeWhile(e => e.At - events[start].At < limit).Count();
                var match = System.Text.RegularExpressions.Regex.Match(text.Substring(start, within), "^(?:" + regex + ")");
                if (match.Success)
                    expected.Add($$"""{"first":{{start}},"last":{{start + match.Length - 1}},"e":"{{Iso(events[start + match.Length - 1].At)}}"}""");
            }

            var query = $"""
                SELECT first, [last], System.Timestamp() AS e FROM m TIMESTAMP BY ts MATCH_RECOGNIZE (
                    LIMIT DURATION(second, {limit}) PARTITION BY id
                    MEASURES n AS [last], GetArrayLength(Classifier()) AS len, n - GetArrayLength(Classifier()) + 1 AS first
                    AFTER MATCH SKIP TO NEXT ROW PATTERN ({pattern})
                    DEFINE A AS A.v = 0, B AS B.v = 1, C AS C.v = 2) AS t
                """;
            AssertSame(expected, Run(query, events, random).Rows, seed);
        }
    }
}
