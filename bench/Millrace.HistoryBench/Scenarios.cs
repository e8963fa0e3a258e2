using System.Diagnostics;
using Millrace.Core;
using Millrace.History.Queries;
using Millrace.History.Rollups;
using Millrace.History.Rollups.Groups;
using Millrace.ParquetBench;

namespace Millrace.HistoryBench;

/// <summary>One device's year of hourly values, out of stored quarter-hours.</summary>
internal static class Year
{
    public static async Task RunAsync(Scenario it)
    {
        var (devices, days) = (it.IsSmall ? 20 : 200, 365);
        var from = new DateTime(2025, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        await it.FillAsync(devices, from, from.AddDays(days), TimeSpan.FromMinutes(15));
        var start = Stopwatch.GetTimestamp();
        it.Rollups.Update(default, all: true);
        var made = Stopwatch.GetElapsedTime(start);
        var zone = TimeZoneInfo.FindSystemTimeZoneById("Europe/Prague");
        var buckets = LocalBuckets.Of(zone, TrendInterval.Hour, Micros.FromDateTime(from), Micros.FromDateTime(from.AddDays(days)));

        var (median, p99) = Scenario.Time(50, i =>
        {
            var trend = it.Trends.Read(0, Scenario.Id(i * 7 % devices), ["used"], buckets, TrendInterval.Hour, withRise: false, new ReadBudget(timeMax: TimeSpan.FromMinutes(1)));
            if (trend.Fields["used"].Count(point => point.Count == 4) < days * 23)
                throw new InvalidOperationException("The year is not whole.");
        });
        Console.WriteLine($"year: {devices} devices, a reading each 15 min; hourly values of one device's year: median {median:0.0} ms, p99 {p99:0.0} ms (asked: 200); quarter-hours made in {made.TotalSeconds:0.0} s");
    }
}

/// <summary>The fleet's trend of a day.</summary>
internal static class Fleet
{
    public static async Task RunAsync(Scenario it)
    {
        var devices = it.IsSmall ? 1000 : 10_000;
        var from = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        await it.FillAsync(devices, from, from.AddDays(1), TimeSpan.FromMinutes(5), archive: false, groups: true);
        foreach (var (name, interval) in new[] { ("1m", TrendInterval.Minute), ("15m", TrendInterval.QuarterHour) })
        {
            var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, interval, Micros.FromDateTime(from), Micros.FromDateTime(from.AddDays(1)));
            var (median, p99) = Scenario.Time(50, _ =>
            {
                if (it.Groups.Read(0, "flow", GroupKind.Fleet, buckets)[0].Points.Sum(point => point.Count) != devices * 288L)
                    throw new InvalidOperationException("The day is not whole.");
            });
            Console.WriteLine($"fleet: {devices} devices, a reading each 5 min; the fleet's day in {name}: median {median:0.0} ms, p99 {p99:0.0} ms (asked: 50)");
        }
    }
}

/// <summary>One device's day out of many devices', beside DuckDB over the same files.</summary>
internal static class OneDay
{
    public static async Task RunAsync(Scenario it)
    {
        var devices = it.IsSmall ? 1000 : 5000;
        var from = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        await it.FillAsync(devices, from, from.AddDays(1), TimeSpan.FromMinutes(2));
        var (start, end) = (Micros.FromDateTime(from), Micros.FromDateTime(from.AddDays(1)));
        var files = Directory.GetFiles(it.History, "*.parquet", SearchOption.AllDirectories);

        var (median, p99) = Scenario.Time(200, i =>
        {
            if (it.Reader.ReadDevice(0, Scenario.Id(i * 977 % devices), start, end).Count() != 720)
                throw new InvalidOperationException("The day is not whole.");
        });
        Console.WriteLine($"day: {devices} devices, a reading each 2 min, {files.Length} files of {files.Sum(f => new FileInfo(f).Length) / 1e6:0.0} MB; one device's day: median {median:0.0} ms, p99 {p99:0.0} ms");
        if (Peers() is not { } peers)
        {
            Console.WriteLine("day: DuckDB is not installed, left out");
            return;
        }

        using var duck = new DuckDb(peers, threads: 1);
        var times = Enumerable.Range(0, 100).Select(i => duck.Run(
            $"SELECT count(*), sum(used), max(bought), min(\"left\"), sum(flow), sum(battery), sum(status), sum(rssi), max(time), max(received_at), max(sequence) FROM read_parquet('{it.History}/**/*.parquet', union_by_name = true) WHERE device = '{Scenario.Id(i * 977 % devices)}' AND time >= TIMESTAMPTZ '2026-01-01 00:00:00+00' AND time < TIMESTAMPTZ '2026-01-02 00:00:00+00'").Ms).Order().ToList();
        Console.WriteLine($"day: DuckDB, one thread: median {times[50]:0.0} ms, p99 {times[98]:0.0} ms; ratio of p99 {p99 / times[98]:0.00} (asked: 0.1)");
    }

    private static string? Peers()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            var peers = Path.Combine(at.FullName, "tests", "Millrace.Parquet.Tests", "peers");
            if (Directory.Exists(Path.Combine(peers, "node_modules", "@duckdb")))
                return peers;
        }

        return null;
    }
}

/// <summary>A million devices for a quarter of an hour: memory, and what questions take then.</summary>
internal static class Million
{
    public static async Task RunAsync(Scenario it)
    {
        var (devices, minutes) = (it.IsSmall ? 100_000 : 1_000_000, 15);
        var from = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        using var self = Process.GetCurrentProcess();
        var before = self.TotalProcessorTime;
        await it.FillAsync(devices, from, from.AddMinutes(minutes), TimeSpan.FromMinutes(5), groups: true);
        self.Refresh();
        var readings = devices * (minutes / 5.0);
        Console.WriteLine($"million: {devices} devices, a reading each 5 min for {minutes} min: archive, merges and groups {(self.TotalProcessorTime - before).TotalMicroseconds / readings:0.0} us of processor time a reading, at most {self.PeakWorkingSet64 / 1e6:0} MB of memory");

        var files = Directory.GetFiles(it.History, "*.parquet", SearchOption.AllDirectories);
        var (start, end) = (Micros.FromDateTime(from), Micros.FromDateTime(from.AddMinutes(minutes)));
        var (median, p99) = Scenario.Time(100, i =>
        {
            if (it.Reader.ReadDevice(0, Scenario.Id(i * 9_973 % devices), start, end).Count() != minutes / 5)
                throw new InvalidOperationException("The readings are not all there.");
        });
        Console.WriteLine($"million: one device's readings out of {files.Length} files of {files.Sum(f => new FileInfo(f).Length) / 1e6:0} MB: median {median:0.0} ms, p99 {p99:0.0} ms");

        var buckets = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Minute, start, end);
        (median, p99) = Scenario.Time(50, _ =>
        {
            if (it.Groups.Read(0, "flow", GroupKind.Fleet, buckets)[0].Points.Sum(point => point.Count) != (long)readings)
                throw new InvalidOperationException("The fleet is not whole.");
        });
        Console.WriteLine($"million: the fleet's minutes: median {median:0.0} ms, p99 {p99:0.0} ms");

        it.Rollups.Update(default, all: true);
        var hour = LocalBuckets.Of(TimeZoneInfo.Utc, TrendInterval.Hour, start, end);
        (median, p99) = Scenario.Time(100, i =>
        {
            var trend = it.Trends.Read(0, Scenario.Id(i * 9_973 % devices), ["used"], hour, TrendInterval.Hour, withRise: false, new ReadBudget(timeMax: TimeSpan.FromMinutes(1)));
            if (trend.Fields["used"].Sum(point => point.Count) != minutes / 5)
                throw new InvalidOperationException("The device's trend is not whole.");
        });
        self.Refresh();
        Console.WriteLine($"million: one device's hours from stored quarter-hours: median {median:0.0} ms, p99 {p99:0.0} ms; at most {self.PeakWorkingSet64 / 1e6:0} MB of memory once all quarter-hours were made");
    }
}

/// <summary>Processor time of the groups' roll-ups at readings of 430 bytes, and of making devices' quarter-hours.</summary>
internal static class Cost
{
    public static async Task RunAsync(Scenario it)
    {
        var (devices, every) = (it.IsSmall ? 2000 : 20_000, TimeSpan.FromSeconds(30));
        var from = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        var readings = devices * 60.0;
        var plain = await ProcessorAsync(() => it.FillAsync(devices, from, from.AddMinutes(30), every, archive: false, pad: 430));
        using var second = new Scenario(it.IsSmall);
        var groups = await ProcessorAsync(() => second.FillAsync(devices, from, from.AddMinutes(30), every, archive: false, groups: true, pad: 430));
        Report("groups' minutes and presence", groups - plain, readings);

        using var third = new Scenario(it.IsSmall);
        await third.FillAsync(devices, from, from.AddMinutes(30), every, pad: 430);
        Report("devices' quarter-hours, made once", await ProcessorAsync(() => Task.Run(() => third.Rollups.Update(default, all: true))), readings);
        var bytes = Directory.GetFiles(Path.Combine(third.Folder, "rollups"), "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
        Console.WriteLine($"cost: devices' quarter-hours: {bytes / (devices * 2.0 * 7):0.0} bytes for each of device, quarter-hour and field");
    }

    private static async Task<TimeSpan> ProcessorAsync(Func<Task> run)
    {
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        await run();
        return Process.GetCurrentProcess().TotalProcessorTime - before;
    }

    private static void Report(string what, TimeSpan used, double readings) =>
        Console.WriteLine($"cost: {what}: {used.TotalSeconds:0.00} s for {readings:0} readings, {used.TotalSeconds / readings * 33_334:0.000} of a core at 33,334/s");
}
