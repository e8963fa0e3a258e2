using System.Text;
using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>Snapshots as bytes: what old ones are good for, and what damaged ones do.</summary>
public sealed class SnapshotTests
{
    private const string Query = """
        WITH s AS (SELECT *, LAG(v, 2) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS p, AVG(v) OVER (LIMIT DURATION(minute, 1)) AS a,
                ISFIRST(minute, 5) OVER (PARTITION BY id) AS f FROM m TIMESTAMP BY ts OVER id)
        SELECT id, COUNT(*) AS n, SUM(p) AS sp, MAX(id) AS hi, COUNT(DISTINCT v) AS d, TopOne(v) OVER (ORDER BY v DESC) AS best INTO tumbling
            FROM s GROUP BY id, TumblingWindow(minute, 1)
        SELECT COLLECT(v) AS [all], VAR(v) AS va INTO hopping FROM s GROUP BY HoppingWindow(second, 30, 10)
        SELECT id, MIN(v) AS lo INTO sliding FROM s GROUP BY id, SlidingWindow(second, 20)
        SELECT id, COUNT(*) AS n INTO session FROM s GROUP BY id, SessionWindow(second, 10, 60) OVER (PARTITION BY id)
        SELECT a.id, b.v INTO joined FROM s a LEFT JOIN s b ON a.id = b.id AND DATEDIFF(second, a, b) BETWEEN 1 AND 15
        SELECT first, [last] INTO matched FROM m MATCH_RECOGNIZE (LIMIT DURATION(minute, 1) PARTITION BY id
            MEASURES A.v AS first, B.v AS [last] PATTERN (A B+) DEFINE B AS B.v > A.v) AS t
        """;

    private static readonly string GoldenFile = Path.Combine(AppContext.BaseDirectory, "Golden", "query-snapshot-1.bin");

    private static IEnumerable<(long Ticks, byte[] Payload)> Events()
    {
        var random = new Random(5);
        var start = new DateTime(2026, 3, 2, 8, 0, 0, DateTimeKind.Utc);
        for (var index = 0; index < 60; index++)
        {
            var time = start.AddSeconds(index * 4);
            yield return (time.Ticks, Encoding.UTF8.GetBytes(
                $$"""{"id":"k{{random.Next(3)}}","v":{{random.Next(100)}},"ts":"{{time.AddSeconds(-random.Next(8)):yyyy-MM-ddTHH:mm:ssZ}}"}"""));
        }
    }

    private static QueryExecution Start(CaseRun run) => Sql.Compile(Query).Query!.Start(run);

    private static byte[] SnapshotAfter(int count)
    {
        var execution = Start(new CaseRun());
        foreach (var (ticks, payload) in Events().Take(count))
            execution.PushAt(0, ticks, payload);
        using var snapshot = new MemoryStream();
        execution.Save(snapshot);
        return snapshot.ToArray();
    }

    [Fact]
    public void A_snapshot_of_the_first_version_can_be_restored_and_gives_the_rows_it_gave()
    {
        var whole = new CaseRun();
        var uninterrupted = Start(whole);
        foreach (var (ticks, payload) in Events())
            uninterrupted.PushAt(0, ticks, payload);
        uninterrupted.Complete();

        var later = new List<string>();
        var restored = Start(new CaseRun());
        restored.Restore(new MemoryStream(File.ReadAllBytes(GoldenFile)));
        var firstRows = Sql.Compile(Query).Query!.Outputs.Select((o, i) => (o, restored.NextRowNumber(i))).ToDictionary(x => x.o, x => x.Item2);
        var sink = new Collector(later);
        restored = Sql.Compile(Query).Query!.Start(sink);
        restored.Restore(new MemoryStream(File.ReadAllBytes(GoldenFile)));
        foreach (var (ticks, payload) in Events().Skip(40))
            restored.PushAt(0, ticks, payload);
        restored.Complete();

        var expected = whole.Rows.SelectMany(r => r.Value.Select((row, number) => (r.Key, number, row)))
            .Where(r => r.number >= firstRows[r.Key]).Select(r => $"{r.Key} {r.number} {r.row}");
        Assert.Equal(expected.Order(StringComparer.Ordinal), later.Order(StringComparer.Ordinal));
        Assert.Equal(uninterrupted.Counters, restored.Counters);
    }

    private sealed class Collector(List<string> rows) : IQuerySink
    {
        public void OnRow(OutputRow row) => rows.Add($"{row.Output} {row.Number} {Encoding.UTF8.GetString(row.Json)}");

        public void OnDeadLetter(in DeadLetter letter) => Assert.Fail(letter.Reason);
    }

    [Fact]
    public void Snapshots_are_written_as_the_first_version_was_with_the_events_that_wait_behind()
    {
        const int headerBytes = 20;
        var golden = File.ReadAllBytes(GoldenFile).AsSpan(headerBytes);
        var written = SnapshotAfter(40).AsSpan(headerBytes);

        Assert.True(written.StartsWith(golden));
        Assert.True(written.Length > golden.Length);
    }

    [Fact]
    public void Damaged_foreign_and_newer_snapshots_are_refused()
    {
        var good = SnapshotAfter(20);
        var random = new Random(9);
        for (var round = 0; round < 500; round++)
        {
            var bad = good.ToArray();
            if (round % 2 == 0)
                bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
            else
                Array.Resize(ref bad, random.Next(bad.Length));
            Assert.Throws<InvalidDataException>(() => Start(new CaseRun()).Restore(new MemoryStream(bad)));
        }

        var other = Sql.Compile("SELECT v FROM m").Query!.Start(new CaseRun());
        Assert.Contains("another script", Assert.Throws<InvalidDataException>(() => other.Restore(new MemoryStream(good))).Message, StringComparison.Ordinal);
        good[4] = 2;
        Assert.Contains("version 2", Assert.Throws<InvalidDataException>(() => Start(new CaseRun()).Restore(new MemoryStream(good))).Message, StringComparison.Ordinal);
    }
}
