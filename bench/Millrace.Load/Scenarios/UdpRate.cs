using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>
/// The highest rate of UDP text readings at which nothing is lost, found by bisection: short runs to find it, one long run
/// to confirm it. The peer is a bare C loop that receives and counts and keeps nothing.
/// </summary>
internal static class UdpRate
{
    private const int Devices = 1_000_000;
    private const int Steps = 5;

    private sealed record Probe(double Rate, double Sent, double Lost, double ProcessorSeconds);

    public static async Task RunAsync(Bench bench)
    {
        var (probe, confirm) = bench.Quick ? (2, 5) : (5, 30);
        var load = await bench.CompiledAsync("udp_load");
        var sink = await bench.CompiledAsync("udp_sink");
        List<Probe> peers = [], ours = [];
        for (var round = 0; round < bench.Options.Rounds; round++)
        {
            peers.Add(await SearchAsync(seconds => rate => SinkAsync(sink, load, rate, seconds), probe, confirm));
            ours.Add(await SearchAsync(seconds => rate => ServerAsync(bench, load, rate, seconds), probe, confirm));
            Bench.Note($"round {round + 1}: sink {peers[^1].Rate:N0}/s, server {ours[^1].Rate:N0}/s");
        }

        var (peer, own) = (Bench.Median(peers.Select(p => p.Rate)), Bench.Median(ours.Select(p => p.Rate)));
        bench.Table(
            $"UDP text, {Devices:N0} devices: highest rate with nothing lost for {confirm} s",
            ["what", "readings/s", "ratio", "CPU-s per million"],
            [
                ["recvmmsg sink in C, keeps nothing", Bench.N(peer), "1.00", PerMillion(peers)],
                ["server: stored durably, latest values right", Bench.N(own), Bench.N(own / peer, "0.00"), PerMillion(ours)],
            ]);
    }

    private static string PerMillion(List<Probe> probes) => Bench.N(Bench.Median(probes.Select(p => p.ProcessorSeconds / p.Sent * 1e6)), "0.00");

    private static async Task<Probe> SearchAsync(Func<int, Func<double, Task<Probe>>> run, int probeSeconds, int confirmSeconds)
    {
        var fastest = await run(probeSeconds)(0);
        if (fastest.Lost == 0 && await run(confirmSeconds)(0) is { Lost: 0 } all)
            return all;

        var (low, high) = (0.0, fastest.Rate);
        for (var step = 0; step < Steps; step++)
        {
            var middle = low == 0 ? high * 0.7 : (low + high) / 2;
            var tried = await run(probeSeconds)(middle);
            (low, high) = tried.Lost == 0 ? (tried.Rate, high) : (low, middle);
            if (low == 0 && high < fastest.Rate * 0.1)
                break;
        }

        for (var rate = low; rate > 0; rate *= 0.95)
        {
            if (await run(confirmSeconds)(rate) is { Lost: 0 } confirmed)
                return confirmed;
        }

        return fastest with { Rate = 0 };
    }

    private static async Task<Probe> SinkAsync(string sink, string load, double rate, int seconds)
    {
        using var process = Bench.Start([], sink, "0");
        var port = (int)Bench.After((await process.StandardOutput.ReadLineAsync())!, "ready");
        var (sent, achieved) = await LoadAsync(load, port, rate, seconds);
        await Task.Delay(300); // The sink empties its receive buffer before it is asked for its count.
        using var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]);
        var report = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return Noted("sink", new Probe(achieved, sent, sent - Bench.After(report, "received"), Bench.After(report, "cpu")));
    }

    private static async Task<Probe> ServerAsync(Bench bench, string load, double rate, int seconds)
    {
        await using var server = await bench.StartServerAsync();
        // Known devices are the usual case: enrolling a million of them happens once in a server's life.
        await LoadAsync(load, server["udp"].Port, 100_000, Math.Max(1, Devices / 100_000));
        await Bench.SettledAsync(() => Bench.LagAsync(server), lag => lag == 0, TimeSpan.FromMinutes(1));
        var (storedBefore, processorBefore) = (await Bench.StoredAsync(server, "udp"), server.ProcessorTime);

        var (sent, achieved) = await LoadAsync(load, server["udp"].Port, rate, seconds);
        var stored = await Bench.SettledAsync(async () => await Bench.StoredAsync(server, "udp") - storedBefore, stored => stored == sent);
        var processor = (server.ProcessorTime - processorBefore).TotalSeconds;
        await Bench.SettledAsync(() => Bench.LagAsync(server), lag => lag == 0, TimeSpan.FromMinutes(1));
        if (stored == sent)
            await CheckLatestAsync(server, (long)sent);
        return Noted("server", new Probe(achieved, sent, sent - stored, processor));
    }

    private static Probe Noted(string what, Probe probe)
    {
        Bench.Note($"{what}: {probe.Rate:N0}/s sent, {probe.Lost:N0} lost, {probe.ProcessorSeconds / probe.Sent * 1e6:0.00} CPU-s per million");
        return probe;
    }

    private static async Task<(double Sent, double Rate)> LoadAsync(string load, int port, double rate, int seconds)
    {
        var report = await Bench.RunAsync(
            load, $"{port}", rate.ToString("0", CultureInfo.InvariantCulture), $"{seconds}", $"{Devices}");
        var sent = Bench.After(report, "sent");
        return (sent, sent / Bench.After(report, "seconds"));
    }

    /// <summary>The load says by its count alone what the newest value of each device must be.</summary>
    private static async Task CheckLatestAsync(ServerProcess server, long sent)
    {
        for (var i = sent - 1; i > sent - 200 && i >= 0; i -= 7)
        {
            var id = $"m{i * 7919 % Devices:0000000}";
            var latest = JsonElement.Parse(await server.Http.GetStringAsync($"/api/v1/devices/{id}/latest"));
            var value = latest.GetProperty("data").GetProperty("value").GetInt64();
            if (value != 1_000_000 + (i / Devices))
                throw new InvalidDataException($"the latest value of {id} is {value}, not {1_000_000 + (i / Devices)}");
        }
    }
}
