using System.Text;

namespace Millrace.StreamSql.Tests;

/// <summary>Runs alone: it measures the memory of the process.</summary>
[CollectionDefinition(nameof(StateSizeTests), DisableParallelization = true)]
public sealed class StateSizeTestsRunAlone;

/// <summary>Bytes of state per key, as estimated and as the collector sees them.</summary>
[Collection(nameof(StateSizeTests))]
public sealed class StateSizeTests
{
    [Theory]
    [InlineData("SELECT id, COUNT(*) AS n, AVG(v) AS mean, MAX(v) AS high FROM m GROUP BY id, TumblingWindow(hour, 1)", 140)]
    [InlineData("SELECT id, LAG(v) OVER (PARTITION BY id LIMIT DURATION(day, 7)) AS p FROM m", 128)]
    [InlineData("SELECT id, ISFIRST(hour, 1) OVER (PARTITION BY id) AS f FROM m", 90)]
    [InlineData("SELECT id, COUNT(*) AS n FROM m GROUP BY id, SessionWindow(minute, 5, 60) OVER (PARTITION BY id)", 1000)]
    [InlineData("SELECT id, COUNT(DISTINCT v) AS n FROM m GROUP BY id, TumblingWindow(hour, 1)", 1000)]
    [InlineData("SELECT id, COUNT(*) AS n FROM m GROUP BY id, SlidingWindow(hour, 1)", 600)]
    public void State_per_key_stays_small(string query, int bytesMax)
    {
        const int keys = 20_000;
        var execution = Sql.Compile(query).Query!.Start(new NullSink());
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var index = 0; index < keys; index++)
            execution.Push(0, 1_000_000 + index, Encoding.UTF8.GetBytes($$"""{"id":"meter-{{index:d6}}","v":{{index}}.5}"""));

        var held = (GC.GetTotalMemory(forceFullCollection: true) - before) / (double)keys;

        GC.KeepAlive(execution);
        Assert.InRange(execution.EstimateMemory() / (double)keys, 20, bytesMax);
        Assert.True(held < 2 * bytesMax, $"{held} bytes a key");
    }

    [Fact]
    public void A_hopping_window_keeps_the_panes_that_take_no_more_rows_small()
    {
        const int keys = 20_000;
        const long minute = 60_000_000;
        var execution = Sql.Compile("SELECT id, COUNT(*) AS n, AVG(v) AS mean FROM m GROUP BY id, HoppingWindow(minute, 4, 1)").Query!.Start(new NullSink());
        for (var index = 0; index < 6 * keys; index++)
            execution.Post(0, (index / keys * minute) + 1 + (index % keys), Encoding.UTF8.GetBytes($$"""{"id":"meter-{{index % keys:d6}}","v":{{index}}.5}"""));

        execution.Flush();

        Assert.InRange(execution.EstimateMemory() / (double)keys, 20, 128);
    }

    private sealed class NullSink : IQuerySink
    {
        public void OnRow(OutputRow row)
        {
        }

        public void OnDeadLetter(in DeadLetter letter)
        {
        }
    }
}
