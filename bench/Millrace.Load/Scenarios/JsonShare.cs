namespace Millrace.Load.Scenarios;

/// <summary>What a million meters at one packet per thirty seconds cost: 33,334 readings a second of 430-byte JSON over UDP.</summary>
internal static class JsonShare
{
    public const int Rate = 33_334;

    public static async Task RunAsync(Bench bench)
    {
        var seconds = bench.Quick ? 5 : 30;
        bench.Table(
            $"430-byte JSON over UDP, {Rate:N0} readings/s of 1,000,000 devices for {seconds} s",
            ["what", "share of one core", "lost"],
            [
                await MeasureAsync(bench, seconds, "server: stored durably, latest values kept"),
                await MeasureAsync(bench, seconds, "the same, and minutes of the fleet for trends", "History:Trends=true"),
                await MeasureAsync(bench, seconds, "the same, and archived as Parquet", "History:Trends=true", "History:Archive=true"),
            ]);
    }

    private static async Task<string[]> MeasureAsync(Bench bench, int seconds, string what, params string[] settings)
    {
        List<double> shares = [], lost = [];
        for (var round = 0; round < bench.Options.Rounds; round++)
        {
            await using var server = await bench.StartServerAsync(settings);
            // The first seconds enrol the devices and let the compiler finish; they are not what an hour looks like.
            await SendAsync(server["udp"].ToString(), bench.Quick ? 5 : 31);
            await Bench.SettledAsync(() => Bench.LagAsync(server), lag => lag == 0, TimeSpan.FromMinutes(1));
            var (before, stored) = (server.ProcessorTime, await Bench.StoredAsync(server, "udp"));
            var start = System.Diagnostics.Stopwatch.StartNew();
            var sent = await SendAsync(server["udp"].ToString(), seconds);
            shares.Add((server.ProcessorTime - before).TotalSeconds / start.Elapsed.TotalSeconds);
            lost.Add(sent - await Bench.SettledAsync(async () => await Bench.StoredAsync(server, "udp") - stored, s => s == sent));
            Bench.Note($"{what}, round {round + 1}: {shares[^1]:0.000} of a core, {lost[^1]:N0} lost");
        }

        return [what, Bench.N(Bench.Median(shares), "0.000"), Bench.N(lost.Sum())];
    }

    private static async Task<double> SendAsync(string target, int seconds)
    {
        var result = await Bench.SimulateAsync(
            "--protocol", "udp", "--target", target, "--devices", "1000000", "--rate", $"{Rate}", "--duration", $"{seconds}s", "--payload", "json");
        return Bench.After(result.Output, "sent");
    }
}
