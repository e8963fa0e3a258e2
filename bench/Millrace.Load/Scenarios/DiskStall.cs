using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>
/// A disk that stands still: the data folder lies on a file system of its own (ext4 on a loop device) that is frozen for
/// a second with fsfreeze, so that every write and flush of the server blocks in the kernel as it would on a stalled disk.
/// </summary>
internal static class DiskStall
{
    private static readonly TimeSpan Stall = TimeSpan.FromSeconds(1);

    public static async Task RunAsync(Bench bench)
    {
        var (image, mount) = (Path.Combine(bench.Folder, "disk.img"), Path.Combine(bench.Folder, "disk"));
        Directory.CreateDirectory(mount);
        await Bench.RunAsync("truncate", "-s", "2G", image);
        await Bench.RunAsync("mkfs.ext4", "-q", image);
        await Bench.RunAsync("mount", "-o", "loop", image, mount);
        List<string[]> rows = [];
        try
        {
            for (var round = 0; round < bench.Options.Rounds; round++)
                rows.Add(await RoundAsync(bench, mount, round));
        }
        finally
        {
            await Bench.RunAsync("umount", mount);
        }

        bench.Table(
            $"{JsonShare.Rate:N0} readings/s of 430-byte JSON over UDP while the disk stands still for {Stall.TotalSeconds:0} s",
            ["round", "sent", "stored", "lost", "slowest flush seen by the log, s"], rows);
    }

    private static async Task<string[]> RoundAsync(Bench bench, string mount, int round)
    {
        await using var server = await Bench.StartServerAtAsync(Path.Combine(mount, $"data-{round}"));
        var sending = Bench.SimulateAsync(
            "--protocol", "udp", "--target", server["udp"].ToString(), "--devices", "100000", "--rate", $"{JsonShare.Rate}",
            "--duration", bench.Quick ? "6s" : "15s", "--payload", "json");
        await Task.Delay(TimeSpan.FromSeconds(3));
        await Bench.RunAsync("fsfreeze", "-f", mount);
        try
        {
            await Task.Delay(Stall);
        }
        finally
        {
            await Bench.RunAsync("fsfreeze", "-u", mount);
        }

        var sent = Bench.After((await sending).Output, "sent");
        var stored = await Bench.SettledAsync(() => Bench.StoredAsync(server, "udp"), s => s == sent);
        var slowest = await SlowestAppendAsync(server);
        await server.StopAsync();
        return [$"{round + 1}", Bench.N(sent), Bench.N(stored), Bench.N(sent - stored), slowest];
    }

    /// <summary>The histogram's bucket in which the slowest append lies: the proof that the disk did stall.</summary>
    private static async Task<string> SlowestAppendAsync(ServerProcess server)
    {
        var buckets = (await server.MetricsAsync())
            .Where(m => m.Key.StartsWith("millrace_log_append_seconds_bucket", StringComparison.Ordinal)).ToList();
        if (buckets.Count == 0)
            return "not shown";
        var all = buckets.Max(b => b.Value);
        var bound = buckets.Where(b => b.Value == all).Select(b => b.Key.Split('"')[1]).OrderBy(b => b == "+Inf" ? double.MaxValue : double.Parse(b)).First();
        return $"at most {bound}";
    }
}
