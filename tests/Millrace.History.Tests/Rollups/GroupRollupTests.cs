using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Rollups;
using Millrace.History.Rollups.Groups;
using Millrace.History.Tests.Archive;
using Millrace.Testing;

namespace Millrace.History.Tests.Rollups;

public sealed class GroupRollupTests
{
    private const long Day = 86_400_000_000;

    private static readonly string[] Zones = ["UTC", "Europe/Prague", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"];

    [Fact]
    public void Stored_trends_always_equal_recomputation_from_the_readings_whatever_crashes_between() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed => RunAsync(seed).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(20));

    [Fact]
    public async Task Ten_thousand_field_names_are_bounded_and_the_known_ones_go_on()
    {
        using var folder = new TempFolder();
        var log = new TestLog(1);
        using var view = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance);
        await view.OpenAsync(log, default);
        for (var i = 0; i < 10; i++)
            await view.ApplyAsync(log.Append(0, ("a", 0, "{" + string.Join(',', Enumerable.Range(i * 1000, 1000).Select(n => $"\"f{n}\":{n}")) + "}", 0)), default);
        await view.ApplyAsync(log.Append(0, ("a", 0, """{"f0":8,"f9999":1}""", 0)), default);
        await view.CheckpointAsync(log.Durable, default);

        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Day, log.Readings[0].Time, log.Readings[0].Time + 1);
        Assert.Equal(8, view.Read(0, "f0", GroupKind.Fleet, buckets)[0].Points[0].Sum);
        Assert.Equal(999, view.Read(0, "f999", GroupKind.Fleet, buckets)[0].Points[0].Sum);
        Assert.Empty(view.Read(0, "f9999", GroupKind.Fleet, buckets));
    }

    [Fact]
    public async Task A_clock_that_is_years_behind_counts_in_no_trend()
    {
        using var folder = new TempFolder();
        var log = new TestLog(1);
        using var view = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance);
        await view.OpenAsync(log, default);
        await view.ApplyAsync(log.Append(0, ("a", -401 * Day, """{"v":1}""", 0), ("a", -399 * Day, """{"v":2}""", 0), ("a", 3 * 365 * Day, """{"v":3}""", 0)), default);

        var all = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Day, log.Readings[0].ReceivedAt - 500 * Day, log.Readings[0].ReceivedAt + 1);
        Assert.Equal([2.0, 3.0], view.Read(0, "v", GroupKind.Fleet, all)[0].Points.Where(p => p.Count > 0).Select(p => p.Sum));
        Assert.Equal(1, view.Skewed);
    }

    [Fact]
    public async Task A_moment_of_the_trends_opens_elsewhere_with_the_same_numbers_or_is_seen_to_be_gone()
    {
        using var folder = new TempFolder();
        using var copy = new TempFolder();
        var log = new TestLog(1);
        using var view = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance);
        await view.OpenAsync(log, default);
        for (var i = 0; i < 8; i++)
        {
            await view.ApplyAsync(log.Append(0, ($"d{i}", 0, """{"v":1}""", 0)), default);
            await view.CheckpointAsync(log.Durable, default);
        }

        var early = GroupSnapshot.Take(folder.Path);
        await view.IdleAsync(default);
        var moment = GroupSnapshot.Take(folder.Path);
        Assert.Contains(early.Files, file => !File.Exists(file.Path));
        foreach (var (name, path) in moment.Files)
            File.Copy(path, copy[name]);
        foreach (var (name, content) in moment.Texts)
            await File.WriteAllBytesAsync(copy[name], content);

        using var again = new GroupRollupView(copy.Path, new NoDevices(), NullLogger.Instance);
        Assert.Equal(log.Durable, await again.OpenAsync(log, default));
        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Day, log.Readings[0].Time, log.Readings[0].Time + 1);
        var trend = Assert.Single(again.Read(0, "v", GroupKind.Fleet, buckets));
        Assert.Equal((8, 8), (trend.Points[0].Count, trend.Reported));
    }

    [Theory]
    [InlineData("*.cells", 10)]
    [InlineData("*.cells", null)]
    [InlineData("*.bits", 3)]
    [InlineData("*.bits", null)]
    [InlineData("devices.bin", 5)]
    [InlineData("devices.bin", null)]
    public async Task A_missing_or_torn_file_of_trends_is_less_than_the_whole_and_nothing_stands_still(string which, int? length)
    {
        using var folder = new TempFolder();
        var log = new TestLog(1);
        using (var view = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance))
        {
            await view.OpenAsync(log, default);
            for (var i = 0; i < 3; i++)
            {
                await view.ApplyAsync(log.Append(0, ($"d{i}", 0, """{"v":1}""", 0)), default);
                await view.CheckpointAsync(log.Durable, default);
            }
        }

        var file = Directory.GetFiles(folder.Path, which).Order().First();
        if (length is { } cut)
            await File.WriteAllBytesAsync(file, (await File.ReadAllBytesAsync(file))[..cut]);
        else
            File.Delete(file);

        using var again = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance);
        Assert.Equal(log.Durable, await again.OpenAsync(log, default));
        for (var i = 0; i < 9; i++)
        {
            await again.ApplyAsync(log.Append(0, ("a", 0, """{"v":1}""", 0)), default);
            await again.CheckpointAsync(log.Durable, default);
            await again.IdleAsync(default);
        }

        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Day, log.Readings[0].Time, log.Readings[0].Time + 1);
        Assert.Equal(which == "*.cells" ? 11 : 12, again.Read(0, "v", GroupKind.Fleet, buckets)[0].Points[0].Count);
    }

    [Fact]
    public async Task A_file_of_minutes_that_is_damaged_inside_is_left_out_when_it_is_merged()
    {
        using var folder = new TempFolder();
        var log = new TestLog(1);
        using var view = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance);
        await view.OpenAsync(log, default);
        for (var i = 0; i < 8; i++)
        {
            await view.ApplyAsync(log.Append(0, ("a", 0, """{"v":1}""", 0)), default);
            await view.CheckpointAsync(log.Durable, default);
        }

        var file = Directory.GetFiles(folder.Path, "c*.cells").Order().First();
        var bytes = await File.ReadAllBytesAsync(file);
        bytes[40] ^= 0x40;
        await File.WriteAllBytesAsync(file, bytes);
        await view.IdleAsync(default);

        Assert.False(File.Exists(file));
        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Day, log.Readings[0].Time, log.Readings[0].Time + 1);
        Assert.Equal(7, view.Read(0, "v", GroupKind.Fleet, buckets)[0].Points[0].Count);
    }

    [Fact]
    public async Task Minutes_go_at_the_age_of_their_tenant_and_the_days_of_others_stay()
    {
        using var folder = new TempFolder();
        var log = new TestLog(1);
        var time = new ManualTime();
        time.Set(Micros.ToDateTime(log.ArrivalLowWater));
        using var view = new GroupRollupView(
            folder.Path, new NoDevices(), NullLogger.Instance, time, tenant => tenant switch { 0 => TimeSpan.FromDays(3), 1 => TimeSpan.FromDays(9), _ => null });
        await view.OpenAsync(log, default);
        for (var i = 0; i < 8; i++)
        {
            await view.ApplyAsync(log.Append(0, [.. new ushort[] { 0, 1, 2 }.Select(tenant => ("a", 0L, """{"v":1}""", tenant))]), default);
            await view.CheckpointAsync(log.Durable, default);
        }

        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Day, log.Readings[0].Time, log.Readings[0].Time + 1);
        var found = new List<string>();
        foreach (var days in new[] { 0, 5, 1, 9 })
        {
            time.Advance(TimeSpan.FromDays(days));
            await view.IdleAsync(default);
            found.Add(string.Join(' ', new ushort[] { 0, 1, 2 }.Select(tenant => view.Read(tenant, "v", GroupKind.Fleet, buckets).Sum(trend => trend.Points[0].Count))));
        }

        Assert.Equal(["8 8 8", "0 8 8", "0 8 8", "0 0 8"], found);
    }

    private static async Task RunAsync(int seed)
    {
        var random = new Random(seed);
        using var folder = new TempFolder();
        var log = new TestLog(3);
        var view = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance);
        var position = await view.OpenAsync(log, default);
        for (var step = 0; step < 30; step++)
        {
            log.Append(random.Next(3), [.. Enumerable.Range(0, random.Next(1, 8)).Select(_ => (
                $"d{random.Next(4)}", -random.NextInt64(random.Next(3) == 0 ? 2 * Day : 3_600_000_000), Payload(random), (ushort)(random.Next(5) == 0 ? 1 : 0)))]);
            GroupStore.BeforeStep.Value = random.Next(4) == 0 ? CrashAfter(random.Next(1, 6)) : null;
            try
            {
                foreach (var block in log.Blocks.Where(block => block.NextSequence > position[block.Partition]))
                    await view.ApplyAsync(block, default);
                if (random.Next(2) == 0)
                    await view.CheckpointAsync(log.Durable, default);
                await view.IdleAsync(default);
            }
            catch (Crash)
            {
                GroupStore.BeforeStep.Value = null;
                view.Dispose();
                view = new GroupRollupView(folder.Path, new NoDevices(), NullLogger.Instance);
                position = await view.OpenAsync(log, default);
                foreach (var block in log.Blocks.Where(block => block.NextSequence > position[block.Partition]))
                    await view.ApplyAsync(block, default);
            }

            // A block may come again, whole or in part: it counts once.
            if (random.Next(3) == 0)
                await view.ApplyAsync(log.Blocks[random.Next(log.Blocks.Count)], default);
        }

        GroupStore.BeforeStep.Value = null;
        var zone = TimeZoneInfo.FindSystemTimeZoneById(Zones[random.Next(Zones.Length)]);
        var now = log.Readings[^1].ReceivedAt;
        foreach (var interval in Enum.GetValues<TrendInterval>())
        {
            var buckets = LocalBuckets.Of(zone, interval, now - (interval == TrendInterval.Minute ? Day / 12 : 3 * Day), now + 1);
            foreach (var tenant in new ushort[] { 0, 1 })
            {
                var trend = view.Read(tenant, "v", GroupKind.Fleet, buckets).SingleOrDefault();
                var raw = log.Readings.Where(r => r.Tenant == tenant && r.Json.Contains("\"v\":", StringComparison.Ordinal)).ToList();
                Assert.Equal(buckets.Select(bucket => FromRaw(bucket, raw)), trend?.Points.Select(Shown) ?? buckets.Select(bucket => FromRaw(bucket, [])));
                if (trend is not null)
                {
                    Assert.Equal(
                        log.Readings.Where(r => r.Tenant == tenant && r.Time >= LocalBuckets.Floor(buckets[0].Start, LocalBuckets.QuarterHour) && r.Time < buckets[^1].End)
                            .Select(r => r.Device).Distinct().Count(),
                        trend.Reported);
                }
            }
        }

        view.Dispose();
    }

    private static string Payload(Random random) => random.Next(6) switch
    {
        0 => """{"text":"only"}""",
        1 => """{"w":"a number elsewhere"}""",
        _ => $"{{\"v\":{random.Next(-1000, 1000) / 10.0},\"deep\":{{\"x\":{random.Next(9)}}}}}",
    };

    private static (long, double, double, double, double, double) Shown(TrendPoint p) => (p.Count, p.Sum, p.Min, p.Max, p.First, p.Last);

    private static (long, double, double, double, double, double) FromRaw(
        LocalBucket bucket, List<(string Device, long Time, long ReceivedAt, int Partition, long Sequence, ushort Tenant, string Json)> raw)
    {
        var inside = raw.Where(r => r.Time >= bucket.Start && r.Time < bucket.End).OrderBy(r => r.Time).ThenBy(r => r.Partition).ThenBy(r => r.Sequence)
            .Select(r => System.Text.Json.JsonDocument.Parse(r.Json).RootElement.GetProperty("v").GetDouble()).ToList();
        if (inside.Count == 0)
            return (0, 0, double.NaN, double.NaN, double.NaN, double.NaN);
        var sum = default(ExactSum);
        inside.ForEach(value => sum.Add(value));
        return (inside.Count, sum.Value, inside.Min(), inside.Max(), inside[0], inside[^1]);
    }

    private static Action CrashAfter(int steps) => () =>
    {
        if (--steps == 0)
            throw new Crash();
    };

    private sealed class Crash : Exception;
}
