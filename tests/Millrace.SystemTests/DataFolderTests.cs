using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>One process per folder, clean stops, restarts, and folders that cannot be used.</summary>
public class DataFolderTests
{
    [Fact]
    public async Task A_second_process_on_the_folder_is_refused_and_told_who_holds_it()
    {
        using var folder = new TempFolder();
        await using var first = await ServerProcess.StartAsync(folder["data"]);

        var refusal = await Assert.ThrowsAsync<ServerDidNotStartException>(() => ServerProcess.StartAsync(folder["data"]));

        Assert.Equal(1, refusal.ExitCode);
        Assert.Contains($"in use by process {first.Id}", refusal.Errors);
        first.SendUdp("still:1");
        Assert.Equal(1, await first.LatestValueAsync("still"));
    }

    [Fact]
    public async Task A_stop_is_clean_within_ten_seconds_and_a_restart_has_everything()
    {
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await server.SendTcpAsync("ACK\n" + string.Concat(Enumerable.Range(0, 1000).Select(i => $"meter-{i}:{i}\n")), answers: 1000);
            await server.LatestAsync("meter-999");

            var (exitCode, took) = await server.StopAsync();

            Assert.Equal(0, exitCode);
            Assert.True(took < TimeSpan.FromSeconds(10), $"stopping took {took}");
        }

        await using var again = await ServerProcess.StartAsync(folder["data"]);
        Assert.Equal(0, await again.LatestValueAsync("meter-0"));
        Assert.Equal(999, await again.LatestValueAsync("meter-999"));
        var answers = await again.SendTcpAsync("ACK\nmeter-7:8\n", answers: 1);
        Assert.StartsWith("OK", Assert.Single(answers));
        await again.LatestAsync("meter-7", latest => latest.GetProperty("data").GetProperty("value").GetDouble() == 8);
    }

    [Fact]
    public async Task Latest_values_survive_a_kill()
    {
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            var answers = await server.SendTcpAsync("ACK\n" + string.Concat(Enumerable.Range(0, 1000).Select(i => $"meter-{i}:{i}\n")), answers: 1000);
            Assert.All(answers, answer => Assert.StartsWith("OK", answer));
            await server.KillAsync();
        }

        await using var again = await ServerProcess.StartAsync(folder["data"]);
        Assert.Equal(999, await again.LatestValueAsync("meter-999"));
        Assert.Equal(1000, (await again.MetricsAsync()).Where(m => m.Key.StartsWith("millrace_log_durable_sequence", StringComparison.Ordinal)).Sum(m => m.Value));
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_is_refused_with_the_way_out()
    {
        using var folder = new TempFolder();
        await using var disk = await SmallDisk.MountAsync(folder["disk"], "1M", readOnly: true);

        var refusal = await Assert.ThrowsAsync<ServerDidNotStartException>(() => ServerProcess.StartAsync(folder["disk/data"]));

        Assert.Equal(1, refusal.ExitCode);
        Assert.Contains("cannot write the data folder", refusal.Errors);
        Assert.Contains("--data", refusal.Errors);
    }

    [Fact]
    public async Task A_folder_of_a_newer_release_is_refused()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["data"]);
        await File.WriteAllTextAsync(folder["data/version"], "999\n");

        var refusal = await Assert.ThrowsAsync<ServerDidNotStartException>(() => ServerProcess.StartAsync(folder["data"]));

        Assert.Contains("newer release", refusal.Errors);
    }

    [Fact]
    public async Task The_dump_shows_each_reading_as_one_json_line()
    {
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await server.SendTcpAsync("ACK\nline:20.5\nline:{\"left\":4.5}\n", answers: 2);
            server.SendUdp("datagram:hello");
            await server.LatestAsync("datagram");
            Assert.Equal(3, (await ServerCalls.DumpAsync(folder["data"])).Count);
            await server.StopAsync();
        }

        var dump = await ServerCalls.DumpAsync(folder["data"]);

        var lines = dump.Where(line => line.GetProperty("id").GetString() == "line").ToList();
        Assert.Equal(["""{"value":20.5}""", """{"left":4.5}"""], lines.Select(line => line.GetProperty("payload").GetRawText().Replace(" ", "")));
        Assert.All(lines, line => Assert.Equal("tcp", line.GetProperty("listener").GetString()));
        Assert.Equal(lines[0].GetProperty("sequence").GetInt64() + 1, lines[1].GetProperty("sequence").GetInt64());
        Assert.Equal(lines[0].GetProperty("partition").GetInt32(), lines[1].GetProperty("partition").GetInt32());
        Assert.Equal("udp", dump.Single(line => line.GetProperty("id").GetString() == "datagram").GetProperty("listener").GetString());
    }
}
