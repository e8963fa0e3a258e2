using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>What the process takes: starting, idle, and with a million devices known.</summary>
internal static class MemoryUse
{
    public static async Task RunAsync(Bench bench)
    {
        var devices = bench.Quick ? 100_000 : 1_000_000;
        List<double> ready = [], idle = [];
        for (var i = 0; i < 5; i++)
        {
            await using var server = await bench.StartServerAsync();
            ready.Add(server.TimeToReady.TotalSeconds);
            await Task.Delay(TimeSpan.FromSeconds(2));
            idle.Add(server.ResidentBytes / 1e6);
        }

        var text = await FillAsync(bench, devices, "text");
        var json = await FillAsync(bench, devices, "json");
        bench.Table(
            "Start and memory (resident set, MB = 1,000,000 bytes)",
            ["what", "figure"],
            [
                ["from starting the process to its ready line, empty folder, median of 5", $"{Bench.N(Bench.Median(ready), "0.00")} s"],
                ["idle, 2 s after the start, median of 5", $"{Bench.N(Bench.Median(idle))} MB"],
                [$"{devices:N0} devices known, text readings", $"{Bench.N(text)} MB"],
                [$"{devices:N0} devices known, 430-byte JSON readings", $"{Bench.N(json)} MB"],
            ]);
    }

    /// <returns>Resident megabytes when every device has sent twice and the views have caught up.</returns>
    private static async Task<double> FillAsync(Bench bench, int devices, string payload)
    {
        await using var server = await bench.StartServerAsync();
        var result = await Bench.SimulateAsync(
            "--protocol", "tcp", "--target", server["tcp"].ToString(), "--devices", $"{devices}", "--count", $"{2 * devices}", "--rate", "33334",
            "--payload", payload);
        if (result.ExitCode != 0)
            throw new InvalidDataException(result.Output + result.Errors);
        await Bench.SettledAsync(() => Bench.LagAsync(server), lag => lag == 0, TimeSpan.FromMinutes(2));
        await Task.Delay(TimeSpan.FromSeconds(bench.Quick ? 2 : 10));
        var resident = server.ResidentBytes / 1e6;
        Bench.Note($"{payload}: {resident:N0} MB with {devices:N0} devices");
        return resident;
    }
}
