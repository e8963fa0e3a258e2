using Millrace.Core;
using Millrace.Log.Segments;
using Millrace.Log.Tests.Simulation;
using Millrace.Testing;

namespace Millrace.Log.Tests;

public sealed class RetentionTests
{
    private static readonly LogOptions Options = TestLog.Small("/sim/log") with { RetentionAge = TimeSpan.FromDays(1) };

    private readonly SimulatedDisk _disk = new(13);

    [Fact]
    public async Task Readings_older_than_the_retention_age_go_and_an_overtaken_reader_is_told()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        await log.FillAsync(2000);
        using var slow = log.Log.OpenReader(log.Log.Oldest);
        log.Time.Advance(TimeSpan.FromDays(2));
        await KeepHouseAsync(log);

        Assert.True(Enumerable.Range(0, 4).All(p => log.Log.Oldest[p] > 0));
        var read = TestLog.Drain(slow);
        var lost = 0L;
        while (slow.TakeLost() is { } range)
            lost += range.To - range.From;
        Assert.True(lost > 1000);
        Assert.Equal(2001, read.Count + lost);
    }

    [Fact]
    public async Task A_running_view_holds_what_it_has_not_read()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        await log.FillAsync(2000);
        var at = log.Log.Oldest;
        using (log.Log.HoldFrom(() => at))
        {
            log.Time.Advance(TimeSpan.FromDays(2));
            await KeepHouseAsync(log);
            Assert.Equal(2001, log.ReadAll().Count);
        }

        await KeepHouseAsync(log);
        Assert.True(log.ReadAll().Count < 2000);
    }

    [Fact]
    public async Task A_segment_that_may_not_be_deleted_does_not_stop_the_log()
    {
        await using var log = await TestLog.OpenAsync(Options, _disk);
        await log.FillAsync(2000);
        _disk.RefusesDeletes = true;
        log.Time.Advance(TimeSpan.FromDays(2));
        await KeepHouseAsync(log);

        Assert.Equal(LogState.Accepting, log.Log.State);
    }

    [Fact]
    public async Task Beyond_the_size_budget_the_oldest_goes_whoever_holds_it()
    {
        await using var log = await TestLog.OpenAsync(Options with { RetentionBytes = 200_000 }, _disk);
        var at = log.Log.Oldest;
        using var hold = log.Log.HoldFrom(() => at);
        await log.FillAsync(3000);
        await KeepHouseAsync(log);

        Assert.InRange(log.Log.Bytes, 100_000, 201_000);
        Assert.Equal(log.Log.Bytes, _disk.List("/sim/log").Where(e => e.Name.EndsWith(Segment.Extension, StringComparison.Ordinal)).Sum(e => e.Length));
        var rest = log.ReadAll();
        Assert.Equal(3001, rest.Count + Enumerable.Range(0, 4).Sum(p => log.Log.Oldest[p]));
    }

    [Fact]
    public async Task The_oldest_vector_survives_a_restart()
    {
        PositionVector oldest;
        await using (var log = await TestLog.OpenAsync(Options with { RetentionBytes = 200_000 }, _disk))
        {
            await log.FillAsync(3000);
            await KeepHouseAsync(log);
            oldest = log.Log.Oldest;
        }

        await using var again = await TestLog.OpenAsync(Options with { RetentionBytes = 200_000 }, _disk);
        Assert.Equal(oldest, again.Log.Oldest);
        using var reader = again.Log.OpenReader(new PositionVector(4));
        var count = TestLog.Drain(reader).Count;
        var lost = 0L;
        while (reader.TakeLost() is { } range)
            lost += range.To - range.From;
        Assert.Equal((3001, Enumerable.Range(0, 4).Sum(p => oldest[p])), (count + lost, lost));
    }

    [Fact]
    public async Task A_segment_is_sealed_at_its_age_even_if_it_is_small()
    {
        await using var log = await TestLog.OpenAsync(Options with { SegmentAge = TimeSpan.FromHours(1) }, _disk);
        await log.FillAsync(5);
        log.Time.Advance(TimeSpan.FromHours(1));
        await KeepHouseAsync(log);

        Assert.Equal(2, _disk.Names.Count(n => n.EndsWith(Segment.Extension, StringComparison.Ordinal)));
        Assert.Equal(6, log.ReadAll().Count);
    }

    /// <summary>A tick of the clock, and a reading behind it, which the writer reaches only after its housekeeping.</summary>
    private static async Task KeepHouseAsync(TestLog log)
    {
        log.Time.Advance(TimeSpan.FromSeconds(1));
        await log.AppendAsync("housekeeper", "done");
    }
}
