using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.History.Rollups;
using Millrace.History.Rollups.Devices;
using Millrace.History.Tests.Archive;
using Millrace.Testing;

namespace Millrace.History.Tests.Rollups;

public sealed class DeviceRollupTests
{
    private const long Day = 86_400_000_000;

    private static readonly string[] Zones =
    [
        "UTC", "Europe/Prague", "America/New_York", "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
        "Pacific/Apia", "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham", "America/Sao_Paulo",
    ];

    [Fact]
    public void A_devices_trend_always_equals_recomputation_from_its_readings_however_much_of_it_is_stored() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed => RunAsync(seed).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(12));

    [Fact]
    public async Task A_damaged_file_of_quarter_hours_is_passed_over_and_made_anew()
    {
        using var folder = new TempFolder();
        var (log, archive, rollups, trends) = Open(folder.Path);
        await archive.OpenAsync(log, default);
        await archive.ApplyAsync(log.Append(PartitionOf("a"), ("a", 0, """{"v":1}""", 0), ("a", 0, """{"v":3}""", 0)), default);
        await archive.CheckpointAsync(log.Durable, default);
        rollups.Update(default, all: true);
        var path = Directory.GetFiles(folder["rollups"], "*.cells", SearchOption.AllDirectories).Single();
        var whole = await File.ReadAllBytesAsync(path);

        foreach (var length in new[] { 0, 10, whole.Length / 2, whole.Length - 1 })
        {
            await File.WriteAllBytesAsync(path, whole[..length]);
            Assert.Equal(4, SumOf(trends, log));
        }

        for (var at = 0; at < whole.Length; at += 3)
        {
            var bent = whole.ToArray();
            bent[at] ^= 0x40;
            await File.WriteAllBytesAsync(path, bent);
            Assert.Equal(4, SumOf(trends, log));
        }

        await File.WriteAllBytesAsync(path, whole[..10]);
        rollups.Update(default, all: true);
        Assert.Equal(whole, await File.ReadAllBytesAsync(path));
    }

    [Fact]
    public async Task Quarter_hours_go_with_the_last_readings_of_their_day_and_are_whole_until_then()
    {
        using var folder = new TempFolder();
        var clock = new ManualTime();
        var (log, archive, rollups, trends) = Open(folder.Path, clock, new ArchiveOptions { Retention = _ => TimeSpan.FromDays(2) });
        clock.Set(Micros.ToDateTime(log.ArrivalLowWater));
        await archive.OpenAsync(log, default);
        var start = LocalBuckets.Floor(log.ArrivalLowWater, Day) - Day;
        await archive.ApplyAsync(
            log.Append(PartitionOf("a"), ("a", start - log.ArrivalLowWater, """{"v":1}""", 0), ("a", start + 5 * Day / 24 - log.ArrivalLowWater, """{"v":2}""", 0)), default);
        await archive.CheckpointAsync(log.Durable, default);
        rollups.Update(default, all: true);

        // The first hour of the day is past its age.
        clock.Set(Micros.ToDateTime(start + 2 * Day + 2 * Day / 24));
        await archive.IdleAsync(default);
        rollups.Update(default, all: true);
        Assert.Single(Directory.GetFiles(folder["history"], "*.parquet", SearchOption.AllDirectories));
        Assert.Equal(3, DaySum(trends, "a", start));

        clock.Set(Micros.ToDateTime(start + 4 * Day));
        await archive.IdleAsync(default);
        rollups.Update(default, all: true);
        Assert.Empty(Directory.GetFiles(folder["rollups"], "*.cells", SearchOption.AllDirectories));
        Assert.Equal(0, DaySum(trends, "a", start));
    }

    [Fact]
    public async Task An_erased_device_has_no_quarter_hours_although_a_merged_file_reaches_over_what_they_were_made_from()
    {
        using var folder = new TempFolder();
        var (log, archive, rollups, trends) = Open(folder.Path);
        await archive.OpenAsync(log, default);
        var start = LocalBuckets.Floor(log.ArrivalLowWater, Day);
        for (var i = 0; i < 3; i++)
        {
            foreach (var device in new[] { "gone", "kept" })
                await archive.ApplyAsync(log.Append(PartitionOf(device), (device, 0, """{"v":1}""", 0)), default);
            await archive.CheckpointAsync(log.Durable, default);
            if (i < 2)
                rollups.Update(default, all: true);
        }

        Assert.True(archive.MergeOne());
        // A day that the archive has no more.
        var path = Directory.GetFiles(folder["rollups"], "*.cells", SearchOption.AllDirectories).Single();
        File.Copy(path, Path.Combine(Path.GetDirectoryName(path)!, "date=2020-01-01.cells"));

        var erased = await new HistoryEraser(archive, rollups).EraseAsync(0, "gone", default);

        Assert.Equal((3, 3, 0), (erased.Readings, erased.Files, erased.Remaining));
        Assert.Equal(0, DaySum(trends, "gone", start));
        Assert.Equal(3, DaySum(trends, "kept", start));
        foreach (var file in Directory.GetFiles(folder["rollups"], "*", SearchOption.AllDirectories))
            Assert.DoesNotContain("gone", await File.ReadAllTextAsync(file, System.Text.Encoding.Latin1));
    }

    [Fact]
    public async Task A_day_with_a_damaged_or_missing_file_is_made_once_and_again_when_the_file_is_back()
    {
        using var folder = new TempFolder();
        var (log, archive, rollups, trends) = Open(folder.Path);
        await archive.OpenAsync(log, default);
        var start = LocalBuckets.Floor(log.ArrivalLowWater, Day);
        for (var i = 0; i < 3; i++)
        {
            await archive.ApplyAsync(log.Append(PartitionOf("a"), ("a", 0, """{"v":1}""", 0), ("a", -Day, """{"v":10}""", 0)), default);
            await archive.CheckpointAsync(log.Durable, default);
        }

        var files = Directory.GetFiles(folder["history"], "*.parquet", SearchOption.AllDirectories).Where(file => file.Contains("03-01", StringComparison.Ordinal)).Order().ToList();
        var (missing, bent) = (await File.ReadAllBytesAsync(files[0]), await File.ReadAllBytesAsync(files[1]));
        File.Delete(files[0]);
        var damaged = bent.ToArray();
        damaged.AsSpan(4, 200).Fill(0xFF);
        await File.WriteAllBytesAsync(files[1], damaged);

        rollups.Update(default, all: true);
        var cells = Directory.GetFiles(folder["rollups"], "*.cells", SearchOption.AllDirectories);
        Assert.Equal(2, cells.Length);
        foreach (var path in cells)
            File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);
        rollups.Update(default, all: true);
        Assert.All(cells, path => Assert.Equal(DateTime.UnixEpoch, File.GetLastWriteTimeUtc(path)));
        Assert.Equal(1, DaySum(trends, "a", start));
        Assert.Equal(30, DaySum(trends, "a", start - Day));

        await File.WriteAllBytesAsync(files[0], missing);
        await File.WriteAllBytesAsync(files[1], bent);
        rollups.Update(default);
        Assert.Equal(3, DaySum(trends, "a", start));
    }

    [Fact]
    public async Task Quarter_hours_that_reach_further_than_a_restored_archive_wait_for_it_and_count_nothing_twice()
    {
        using var folder = new TempFolder();
        var (log, archive, rollups, trends) = Open(folder.Path);
        await archive.OpenAsync(log, default);
        var start = LocalBuckets.Floor(log.ArrivalLowWater, Day);
        await archive.ApplyAsync(log.Append(PartitionOf("a"), ("a", 0, """{"v":1}""", 0)), default);
        await archive.CheckpointAsync(log.Durable, default);
        var before = Directory.GetFiles(folder["history"], "*", SearchOption.AllDirectories).ToDictionary(path => path, File.ReadAllBytes);
        await archive.ApplyAsync(log.Append(PartitionOf("a"), ("a", 0, """{"v":2}""", 0)), default);
        await archive.CheckpointAsync(log.Durable, default);
        rollups.Update(default, all: true);

        Directory.Delete(folder["history"], recursive: true);
        foreach (var (path, bytes) in before)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllBytesAsync(path, bytes);
        }

        var (reader, at) = (new ArchiveReader(folder["history"]), new ArchiveView(folder["history"], new ArchiveOptions(), NullLogger.Instance));
        rollups = new DeviceRollups(folder["rollups"], reader, TimeProvider.System, NullLogger.Instance);
        trends = new DeviceTrends(new DeviceReadings(log, reader), rollups);
        var position = await at.OpenAsync(log, default);
        rollups.Update(default, all: true);
        Assert.Equal(3, DaySum(trends, "a", start));
        foreach (var block in log.Blocks.Where(block => block.NextSequence > position[block.Partition]))
            await at.ApplyAsync(block, default);
        await at.CheckpointAsync(log.Durable, default);
        rollups.Update(default, all: true);
        Assert.Equal(3, DaySum(trends, "a", start));
    }

    [Fact]
    public async Task Quarter_hours_outlive_their_readings_up_to_an_age_of_their_own()
    {
        using var folder = new TempFolder();
        var time = new ManualTime();
        time.Set(Micros.ToDateTime(1_772_323_200_000_000));
        var (log, archive, _, _) = Open(folder.Path, time, new ArchiveOptions { Retention = _ => TimeSpan.FromDays(2) });
        var reader = new ArchiveReader(folder["history"]);
        var ages = new QuarterHourRetention(_ => TimeSpan.FromDays(2), tenant => tenant == 0 ? TimeSpan.FromDays(10) : null);
        var rollups = new DeviceRollups(folder["rollups"], reader, time, NullLogger.Instance, ages);
        var trends = new DeviceTrends(new DeviceReadings(log, reader), rollups);
        await archive.OpenAsync(log, default);
        var start = LocalBuckets.Floor(log.ArrivalLowWater, Day);
        foreach (var tenant in new ushort[] { 0, 1 })
            await archive.ApplyAsync(log.Append(PartitionOf("a"), ("a", 0, """{"v":1}""", tenant), ("a", 60_000_000, """{"v":2}""", tenant)), default);
        await archive.CheckpointAsync(log.Durable, default);
        rollups.Update(default, all: true);
        Assert.Equal(2, Directory.GetFiles(folder["rollups"], "*.cells", SearchOption.AllDirectories).Length);

        time.Advance(TimeSpan.FromDays(5));
        await archive.IdleAsync(default);
        Assert.Equal(0, archive.RowCount);
        rollups.Update(default);

        Assert.Equal(3, DaySum(trends, "a", start));
        Assert.Contains("tenant=0", Assert.Single(Directory.GetFiles(folder["rollups"], "*.cells", SearchOption.AllDirectories)), StringComparison.Ordinal);
        time.Advance(TimeSpan.FromDays(6));
        rollups.Update(default);
        Assert.Empty(Directory.GetFiles(folder["rollups"], "*.cells", SearchOption.AllDirectories));
    }

    private static double DaySum(DeviceTrends trends, string device, long start)
    {
        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Day, start, start + Day);
        var trend = trends.Read(0, device, ["v"], buckets, TrendInterval.Day, withRise: true, new ReadBudget(timeMax: TimeSpan.FromMinutes(1)));
        return trend.Fields.TryGetValue("v", out var points) ? points[0].Sum : 0;
    }

    private static double SumOf(DeviceTrends trends, TestLog log)
    {
        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Hour, log.Readings[0].Time, log.Readings[0].Time + 1);
        return trends.Read(0, "a", null, buckets, TrendInterval.Hour, withRise: true, new ReadBudget(timeMax: TimeSpan.FromMinutes(1))).Fields["v"][0].Sum;
    }

    private static async Task RunAsync(int seed)
    {
        var random = new Random(seed);
        using var folder = new TempFolder();
        var (log, archive, rollups, trends) = Open(folder.Path);
        await archive.OpenAsync(log, default);
        var register = 100.0;
        for (var step = 0; step < 25; step++)
        {
            var device = $"d{random.Next(2)}";
            var block = log.Append(PartitionOf(device), [.. Enumerable.Range(0, random.Next(1, 12)).Select(_ =>
            {
                register += random.Next(3) * 0.001;
                var value = random.Next(9) == 0 ? random.NextDouble() * 1e6 : register;
                // Every third reading comes late; now and then two have the same time, some have text or a number that no double holds.
                var grid = random.Next(4) == 0 ? 900_000_000 : 1;
                var late = random.Next(3) == 0 ? random.NextInt64(3 * Day) / grid * grid : 0;
                var json = random.Next(8) switch
                {
                    0 => """{"v":"none"}""",
                    1 => """{"v":9007199254740993,"w":[1]}""",
                    _ => $"{{\"v\":{value.ToString("R")},\"deep\":{{\"x\":{random.Next(5)}}}}}",
                };
                return (device, -late, json, (ushort)0);
            })]);
            await archive.ApplyAsync(block, default);
            if (random.Next(3) == 0)
                await archive.CheckpointAsync(log.Durable, default);
            if (random.Next(4) == 0)
                rollups.Update(default, all: random.Next(2) == 0);
            if (random.Next(4) == 0)
                archive.MergeOne();
        }

        var zone = TimeZoneInfo.FindSystemTimeZoneById(Zones[random.Next(Zones.Length)]);
        var now = log.Readings[^1].ReceivedAt;
        foreach (var id in new[] { "d0", "d1" })
        {
            var raw = log.Readings.Where(r => r.Device == id).SelectMany(r => Value(r.Json) is { } v ? new[] { new Sample(r.Time, r.Partition, r.Sequence, v) } : []).Order().ToList();
            foreach (var interval in Enum.GetValues<TrendInterval>())
            {
                var buckets = LocalBuckets.Of(zone, interval, now - (interval == TrendInterval.Minute ? Day / 24 : 2 * Day), now + 1);
                var trend = trends.Read(0, id, ["v"], buckets, interval, withRise: true, new ReadBudget(timeMax: TimeSpan.FromMinutes(1)));
                var expected = buckets.Select(bucket => FromRaw(bucket, raw, buckets[0].Start - DeviceTrends.LookBack)).ToList();
                Assert.Equal(expected, trend.Fields.GetValueOrDefault("v") ?? [.. buckets.Select(bucket => FromRaw(bucket, [], 0))]);
            }
        }
    }

    private static int PartitionOf(string device) => DeviceIds.PartitionOf(DeviceIds.Hash(0, System.Text.Encoding.UTF8.GetBytes(device)), 2);

    private static double? Value(string json) =>
        System.Text.Json.JsonDocument.Parse(json).RootElement.GetProperty("v") is { ValueKind: System.Text.Json.JsonValueKind.Number } v ? v.GetDouble() : null;

    private static TrendPoint FromRaw(LocalBucket bucket, List<Sample> raw, long since)
    {
        var inside = raw.Where(s => s.Time >= bucket.Start && s.Time < bucket.End).ToList();
        if (inside.Count == 0)
            return new TrendPoint(bucket, 0, 0, double.NaN, double.NaN, double.NaN, double.NaN, 0);

        var (sum, rise) = (default(ExactSum), default(ExactSum));
        foreach (var sample in inside)
        {
            sum.Add(sample.Value);
            var place = raw.IndexOf(sample);
            if (place > 0 && raw[place - 1].Time >= since && sample.Value > raw[place - 1].Value)
            {
                rise.Add(sample.Value);
                rise.Add(-raw[place - 1].Value);
            }
        }

        return new TrendPoint(bucket, inside.Count, sum.Value, inside.Min(s => s.Value), inside.Max(s => s.Value), inside[0].Value, inside[^1].Value, rise.Value);
    }

    private static (TestLog Log, ArchiveView Archive, DeviceRollups Rollups, DeviceTrends Trends) Open(
        string folder, TimeProvider? time = null, ArchiveOptions? options = null)
    {
        var log = new TestLog(2);
        var archive = new ArchiveView(new LocalHistoryStore(Path.Combine(folder, "history")), options ?? new ArchiveOptions { MergeFiles = 3 }, NullLogger.Instance, time);
        var reader = new ArchiveReader(Path.Combine(folder, "history"));
        var rollups = new DeviceRollups(Path.Combine(folder, "rollups"), reader, time ?? TimeProvider.System, NullLogger.Instance);
        return (log, archive, rollups, new DeviceTrends(new DeviceReadings(log, reader), rollups));
    }
}
