using System.Net;
using System.Net.Sockets;
using Millrace.Commands.Simulate;
using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>
/// A fleet of 100,000 devices over TCP with acknowledgement at 33,334 readings a second, the server killed three times;
/// afterwards every acknowledged reading must be in the log's dump at its position, unchanged.
/// </summary>
internal static class CrashRun
{
    private const int Kills = 3;

    public static async Task RunAsync(Bench bench)
    {
        var data = bench.NewData();
        var acknowledged = Path.Combine(bench.Folder, "acknowledged");
        var setting = $"Listeners:Tcp:Endpoint=127.0.0.1:{FreePort()}";
        var server = await Bench.StartServerAtAsync(data, setting);
        CommandResult result;
        var restarts = new List<double>();
        try
        {
            var load = Bench.SimulateAsync(
                "--protocol", "tcp", "--target", server["tcp"].ToString(), "--devices", "100000", "--rate", "33334",
                "--duration", $"{bench.Options.CrashTime.TotalSeconds:0}s", "--connections", "32", "--acknowledged", acknowledged);
            for (var kill = 1; kill <= Kills; kill++)
            {
                await Task.WhenAny(load, Task.Delay(bench.Options.CrashTime / (Kills + 1)));
                await server.KillAsync();
                await server.DisposeAsync();
                server = await Bench.StartServerAtAsync(data, setting);
                restarts.Add(server.TimeToReady.TotalSeconds);
                Bench.Note($"killed and started again in {server.TimeToReady.TotalSeconds:0.00} s");
            }

            result = await load;
            await server.StopAsync();
        }
        finally
        {
            await server.DisposeAsync();
        }

        await using var told = File.OpenRead(acknowledged);
        using var dump = ServerProcess.Open("log", "dump", "--data", data);
        var balance = await AcknowledgedBalance.CompareAsync(told, dump.StandardOutput.BaseStream, CancellationToken.None);
        await dump.WaitForExitAsync();
        bench.Table(
            $"33,334 readings/s of 100,000 devices over TCP for {bench.Options.CrashTime.TotalSeconds:0} s, killed {Kills} times",
            ["what", "readings"],
            [
                ["sent", Bench.N(Bench.After(result.Output, "sent"))],
                ["acknowledged", Bench.N(balance.Acknowledged)],
                ["sent again after a kill", Bench.N(Bench.After(result.Output.Replace("sent again", "sent-again", StringComparison.Ordinal), "sent-again"))],
                ["in the log", Bench.N(balance.Stored)],
                ["acknowledged and found at their position, unchanged", Bench.N(balance.Found)],
                ["acknowledged and missing", Bench.N(balance.Missing)],
                ["faults (positions twice, gaps, other content)", Bench.N(balance.Faults)],
            ]);
        bench.Say(string.Join('\n', result.Output.Split('\n').Where(line => line.StartsWith("latency", StringComparison.Ordinal))));
        bench.Say($"restarts after a kill took {string.Join(", ", restarts.Select(s => Bench.N(s, "0.00")))} s to the ready line");
        if (!balance.IsGood || dump.ExitCode != 0)
            throw new InvalidDataException($"acknowledged readings are missing or wrong: {balance}");
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
