using System.Globalization;
using System.Text;

namespace Millrace.StreamSql.Tests;

/// <summary>Once the buffers have their size, rows cost no memory.</summary>
public sealed class AllocationTests
{
    [Theory]
    [InlineData("SELECT id, v, a.b AS b FROM m WHERE v > 500 AND a.b < 50")]
    [InlineData("SELECT id, v * 2 AS twice, System.Timestamp() AS t FROM m TIMESTAMP BY ts")]
    [InlineData("SELECT id, COUNT(*) AS n, AVG(v) AS mean, MAX(v) AS high FROM m TIMESTAMP BY ts GROUP BY id, TumblingWindow(second, 10)")]
    [InlineData("SELECT id, COUNT(*) AS n, SUM(v) AS total FROM m TIMESTAMP BY ts GROUP BY id, HoppingWindow(second, 10, 2)")]
    [InlineData("SELECT id, COUNT(*) AS n FROM m TIMESTAMP BY ts GROUP BY id, SlidingWindow(second, 10)")]
    [InlineData("SELECT id, v - LAG(v) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS used FROM m TIMESTAMP BY ts")]
    public void Rows_allocate_nothing(string query)
    {
        var sink = new Sink();
        var execution = Sql.Compile(query).Query!.Start(sink);
        var events = Events(40_000);
        Push(0, 20_000);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Push(20_000, events.Count);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.True(sink.Bytes > 0);
        Assert.Equal(0, execution.Counters.Bad);
        Assert.True(allocated == 0, $"{allocated} bytes for {events.Count - 20_000} events");

        void Push(int from, int to)
        {
            for (var index = from; index < to; index++)
                execution.PushAt(0, events[index].Ticks, events[index].Payload);
        }
    }

    private static List<(long Ticks, byte[] Payload)> Events(int count)
    {
        var random = new Random(1);
        var result = new List<(long, byte[])>();
        var time = new DateTime(2026, 3, 2, 8, 0, 0, DateTimeKind.Utc);
        for (var index = 0; index < count; index++)
        {
            time = time.AddMilliseconds(10);
            result.Add((time.Ticks, Encoding.UTF8.GetBytes(string.Create(
                CultureInfo.InvariantCulture,
                $$"""{"id":"meter-{{index % 50:d6}}","a":{"b":{{random.Next(100)}},"c":"x{{index}}"},"v":{{random.Next(100_000) / 100.0}},"ts":"{{time:yyyy-MM-ddTHH:mm:ss.fffZ}}"}"""))));
        }

        return result;
    }

    private sealed class Sink : IQuerySink
    {
        public long Bytes { get; private set; }

        public void OnRow(OutputRow row) => Bytes += row.Json.Length;

        public void OnDeadLetter(in DeadLetter letter) => Assert.Fail(letter.Reason);
    }
}
