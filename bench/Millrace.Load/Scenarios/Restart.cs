using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>How soon a killed server with a large log and a million devices takes readings again, and when its views have caught up.</summary>
internal static class Restart
{
    private const int Devices = 1_000_000;

    public static async Task RunAsync(Bench bench)
    {
        var data = bench.NewData();
        var target = (long)(bench.Options.Gigabytes * 1e9);
        await FillAsync(bench, data, target);

        var cold = new List<string[]>();
        for (var round = 0; round < bench.Options.Rounds; round++)
        {
            var start = Stopwatch.GetTimestamp();
            await using var server = await Bench.StartServerAtAsync(data, "Log:Retention:Bytes=1000000000000");
            await AcceptAsync(server);
            var accepting = Stopwatch.GetElapsedTime(start);
            var lag = await Bench.LagAsync(server);
            await Bench.SettledAsync(() => Bench.LagAsync(server), l => l == 0, TimeSpan.FromMinutes(10));
            cold.Add(
            [
                $"{round + 1}", Bench.N(server.TimeToReady.TotalSeconds, "0.00"), Bench.N(accepting.TotalSeconds, "0.00"), Bench.N(lag),
                Bench.N(Stopwatch.GetElapsedTime(start).TotalSeconds, "0.00"), Bench.N(server.ResidentBytes / 1e6),
            ]);
            await server.KillAsync();
        }

        bench.Table(
            $"Restart after SIGKILL with {bench.Options.Gigabytes:0.#} GB of log and {Devices:N0} devices",
            ["round", "ready, s", "first reading acknowledged, s", "readings the views lag then", "views caught up, s", "resident MB"], cold);
    }

    private static async Task FillAsync(Bench bench, string data, long target)
    {
        await using var server = await Bench.StartServerAtAsync(data, "Log:Retention:Bytes=1000000000000");
        while (LogBytes(data) < target)
        {
            var result = await Bench.SimulateAsync(
                "--protocol", "http", "--target", server["http"].ToString(), "--devices", $"{Devices}", "--payload", "json", "--batch", "500",
                "--rate", "0", "--count", $"{Math.Clamp((target - LogBytes(data)) / 500, 100_000, 2_000_000)}", "--connections", "4");
            if (result.ExitCode != 0)
                throw new InvalidDataException(result.Output + result.Errors);
            Bench.Note($"{LogBytes(data) / 1e9:0.0} GB of log");
        }

        await server.KillAsync();
    }

    private static long LogBytes(string data) =>
        new DirectoryInfo(Path.Combine(data, "log")).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);

    private static async Task AcceptAsync(ServerProcess server)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(server["tcp"]);
        await client.GetStream().WriteAsync("ACK\nmeter-000001:1\n"u8.ToArray());
        using var reader = new StreamReader(client.GetStream(), Encoding.UTF8);
        var answer = await reader.ReadLineAsync();
        if (answer?.StartsWith("OK", StringComparison.Ordinal) != true)
            throw new InvalidDataException($"the first reading after the restart was answered {answer}");
    }
}
