using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>Acknowledged posts, single and in batches, beside the same server with flushing off and beside raw writes.</summary>
internal static partial class HttpPosts
{
    private sealed record Posted(double PerSecond, double P99Ms, double Bytes, double Seconds);

    public static async Task RunAsync(Bench bench)
    {
        var seconds = bench.Quick ? 3 : 10;
        await MeasureAsync(bench, "Single readings posted over 64 connections", connections: 64, batch: 1, seconds);
        await MeasureAsync(bench, "NDJSON posts of 500 readings over 16 connections", connections: 16, batch: 500, seconds);
    }

    private static async Task MeasureAsync(Bench bench, string title, int connections, int batch, int seconds)
    {
        List<Posted> durable = [], unflushed = [];
        List<double> raw = [];
        for (var round = 0; round < bench.Options.Rounds; round++)
        {
            durable.Add(await PostAsync(bench, connections, batch, seconds));
            unflushed.Add(await PostAsync(bench, connections, batch, seconds, "Log:Flush=false"));
            raw.Add(RawWrite(Path.Combine(bench.Folder, "raw"), (long)durable[^1].Bytes));
            Bench.Note($"round {round + 1}: {durable[^1].PerSecond:N0}/s durable, {unflushed[^1].PerSecond:N0}/s without flushing");
        }

        var (own, peer) = (Bench.Median(durable.Select(p => p.PerSecond)), Bench.Median(unflushed.Select(p => p.PerSecond)));
        var written = Bench.Median(durable.Select(p => p.Bytes / p.Seconds / 1e6));
        bench.Table(
            $"{title}, {seconds} s",
            ["what", "readings/s", "ratio", "p99 of a post, ms", "log MB/s"],
            [
                ["server, flushing off (peer)", Bench.N(peer), "1.00", Bench.N(Bench.Median(unflushed.Select(p => p.P99Ms)), "0.0"), ""],
                ["server, every post durable before its answer", Bench.N(own), Bench.N(own / peer, "0.00"), Bench.N(Bench.Median(durable.Select(p => p.P99Ms)), "0.0"), Bench.N(written, "0.0")],
                ["raw sequential write and fdatasync of the same bytes, 1 MiB each", "", "", "", Bench.N(Bench.Median(raw) / 1e6, "0.0")],
            ]);
    }

    private static async Task<Posted> PostAsync(Bench bench, int connections, int batch, int seconds, params string[] settings)
    {
        var data = bench.NewData();
        await using var server = await Bench.StartServerAtAsync(data, settings);
        await WrkAsync(server, connections, batch, 2);
        var before = await Bench.StoredAsync(server, "http");
        var bytesBefore = LogBytes(data);
        var clock = Stopwatch.StartNew();
        var report = await WrkAsync(server, connections, batch, seconds);
        var took = clock.Elapsed.TotalSeconds;
        if (report.Contains("Non-2xx", StringComparison.Ordinal))
            throw new InvalidDataException($"posts were refused:\n{report}");
        var stored = await Bench.StoredAsync(server, "http") - before;
        var perSecond = double.Parse(RequestsWord().Match(report).Groups[1].Value, CultureInfo.InvariantCulture) * batch;
        var acknowledged = double.Parse(TotalWord().Match(report).Groups[1].Value, CultureInfo.InvariantCulture) * batch;
        if (stored < acknowledged)
            throw new InvalidDataException($"{acknowledged:N0} readings were acknowledged and {stored:N0} stored");
        return new Posted(perSecond, Milliseconds(P99Word().Match(report).Groups[1].Value), LogBytes(data) - bytesBefore, took);
    }

    private static Task<string> WrkAsync(ServerProcess server, int connections, int batch, int seconds) => Bench.RunWithAsync(
        new() { ["BATCH"] = $"{batch}", ["DEVICES"] = "100000" },
        "wrk", "-t", "1", "-c", $"{connections}", "-d", $"{seconds}s", "--latency", "-s", Bench.PeerSource("posts.lua"), $"http://{server["http"]}");

    private static long LogBytes(string data) =>
        new DirectoryInfo(Path.Combine(data, "log")).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);

    /// <returns>Bytes per second.</returns>
    private static double RawWrite(string path, long bytes)
    {
        var block = new byte[1 << 20];
        new Random(1).NextBytes(block);
        var count = Math.Clamp(bytes / block.Length, 8, 1024);
        var start = Stopwatch.GetTimestamp();
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            for (var i = 0; i < count; i++)
            {
                RandomAccess.Write(file, block, i * (long)block.Length);
                RandomAccess.FlushToDisk(file);
            }
        }

        var perSecond = count * block.Length / Stopwatch.GetElapsedTime(start).TotalSeconds;
        File.Delete(path);
        return perSecond;
    }

    internal static double Milliseconds(string text)
    {
        var unit = text.AsSpan().TrimStart("0123456789.");
        var number = double.Parse(text.AsSpan(0, text.Length - unit.Length), CultureInfo.InvariantCulture);
        return unit switch { "us" => number / 1000, "ms" => number, "s" => number * 1000, "m" => number * 60_000, _ => throw new InvalidDataException(text) };
    }

    [GeneratedRegex(@"Requests/sec:\s+([\d.]+)")]
    internal static partial Regex RequestsWord();

    [GeneratedRegex(@"(\d+) requests in")]
    private static partial Regex TotalWord();

    [GeneratedRegex(@"99%\s+(\S+)")]
    internal static partial Regex P99Word();
}
