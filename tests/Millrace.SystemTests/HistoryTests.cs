using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>The history the built program leaves behind: killed, stopped, out of room, and asked to forget.</summary>
public class HistoryTests
{
    private static readonly string[] Hurried = ["--set", "History:FlushSeconds=1"];

    [Fact]
    public async Task Killed_again_and_again_while_files_are_written_and_merged_the_history_has_every_reading_once()
    {
        using var folder = new TempFolder();
        for (var round = 0; round < 4; round++)
        {
            await using var server = await ServerProcess.StartAsync(folder["data"], Hurried);
            var load = ServerProcess.RunAsync(
                "simulate", "--protocol", "tcp", "--target", server["tcp"].ToString(), "--devices", "500", "--rate", "20000", "--duration", "5s",
                "--device-prefix", $"round-{round}-", "--connections", "2", "--acknowledged", folder[$"acknowledged-{round}"]);
            // Killed after so many commits, in the middle of the next or of the merge that they caused.
            await Eventually.UntilAsync(() => Task.FromResult(FilesIn(folder["data/history"])), files => files > 2 + round, "files in the history");
            await server.KillAsync();
            await load;
        }

        await using (var last = await ServerProcess.StartAsync(folder["data"], Hurried))
            Assert.Equal(0, (await last.StopAsync()).ExitCode);
        await HasTheWholeLogAsync(folder["data"]);
    }

    [Fact]
    public async Task A_graceful_stop_leaves_nothing_only_in_the_log()
    {
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            var load = await ServerProcess.RunAsync(
                "simulate", "--protocol", "tcp", "--target", server["tcp"].ToString(), "--devices", "1000", "--rate", "0", "--count", "60000",
                "--payload", "json", "--acknowledged", folder["acknowledged"]);
            Assert.Equal(0, load.ExitCode);
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        Assert.Equal(60_000, await HasTheWholeLogAsync(folder["data"]));
    }

    [Fact]
    public async Task A_full_disk_under_the_history_loses_nothing_and_it_goes_on_when_there_is_room()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["data"]);
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
            await server.StopAsync();
        await using (var disk = await SmallDisk.MountAsync(folder["data/history"], "96K"))
        {
            await using var server = await ServerProcess.StartAsync(folder["data"], Hurried);
            var load = await ServerProcess.RunAsync(
                "simulate", "--protocol", "tcp", "--target", server["tcp"].ToString(), "--devices", "2000", "--rate", "0", "--count", "40000",
                "--payload", "json", "--acknowledged", folder["acknowledged"]);
            Assert.Equal(0, load.ExitCode);
            await Eventually.UntilAsync(() => server.MetricAsync("millrace_view_lag_readings{view=\"archive\"}"), lag => lag > 0, "the archive to lag visibly");
            await server.StopAsync();
        }

        await using (var server = await ServerProcess.StartAsync(folder["data"], Hurried))
        {
            await Eventually.UntilAsync(() => server.MetricAsync("millrace_view_lag_readings{view=\"archive\"}"), lag => lag == 0, "the archive to catch up");
            await server.StopAsync();
        }

        Assert.Equal(40_000, await HasTheWholeLogAsync(folder["data"]));
    }

    [Fact]
    public async Task An_erased_device_is_gone_from_the_history_and_the_command_shows_that_none_are_left()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        await server.SendTcpAsync("ACK\nmeter-1:1\nmeter-1:2\nmeter-2:3\n", answers: 3);
        await server.LatestValueAsync("meter-2");
        await Eventually.UntilAsync(() => server.MetricAsync("millrace_view_lag_readings{view=\"archive\"}"), lag => lag == 0, "the archive to have read the log");

        var erased = await ServerProcess.RunAsync("devices", "erase", "meter-1", "--server", $"http://{server["http"]}");
        var again = await ServerProcess.RunAsync("devices", "erase", "meter-1", "--server", $"http://{server["http"]}");
        await server.StopAsync();

        Assert.Contains("meter-1 erased: 2 readings", erased.Output, StringComparison.Ordinal);
        Assert.Contains(" 0 left", erased.Output, StringComparison.Ordinal);
        Assert.Equal((0, 1), (erased.ExitCode, again.ExitCode));
        Assert.Equal(["meter-2"], Replay(folder["data"]).Select(reading => reading.Device));
    }

    private static int FilesIn(string history) =>
        Directory.Exists(history) ? Directory.GetFiles(history, "*.parquet", SearchOption.AllDirectories).Length : 0;

    private static List<ArchivedReading> Replay(string data) =>
        [.. new ArchiveReader(Path.Combine(data, "history"), Assert.Fail).Replay(new ReplayRange()).Select(reading => reading.Keep())];

    /// <summary>Compares places in the log with places in the history, each once and in order; returns how many.</summary>
    private static async Task<int> HasTheWholeLogAsync(string data)
    {
        var dump = await ServerProcess.RunAsync("log", "dump", "--data", data);
        Assert.Equal(0, dump.ExitCode);
        var inLog = dump.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => System.Text.Json.JsonElement.Parse(line))
            .Select(line => (line.GetProperty("partition").GetInt32(), line.GetProperty("sequence").GetInt64(), line.GetProperty("id").GetString()!))
            .Order().ToList();
        var inHistory = Replay(data).Select(reading => (reading.Partition, reading.Sequence, reading.Device)).Order().ToList();
        Assert.Equal(inLog.Count, inHistory.Count);
        Assert.Equal(inLog, inHistory);
        Assert.Empty(Directory.GetFiles(Path.Combine(data, "history"), "*.tmp", SearchOption.AllDirectories));
        return inLog.Count;
    }
}
