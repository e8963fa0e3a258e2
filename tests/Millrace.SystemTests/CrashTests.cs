using System.Net;
using System.Net.Sockets;
using Millrace.Commands.Simulate;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>The program killed under load, compared with what its senders were told.</summary>
public class CrashTests
{
    [Fact]
    public async Task A_device_removed_and_added_again_shows_no_old_value_after_a_kill()
    {
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await server.SendTcpAsync("ACK\nm1:1\n", answers: 1);
            Assert.Equal(1, await server.LatestValueAsync("m1"));
            using var removed = await server.Http.DeleteAsync("/api/v1/devices/m1");
            Assert.True(removed.IsSuccessStatusCode);
            using var added = await server.PostAsync("/api/v1/devices", """{"id":"m1"}""");
            Assert.True(added.IsSuccessStatusCode);
            await server.KillAsync();
        }

        await using var again = await ServerProcess.StartAsync(folder["data"]);
        await again.SendTcpAsync("ACK\nm2:2\n", answers: 1);
        await again.LatestValueAsync("m2");
        await Eventually.UntilAsync(() => again.MetricAsync("millrace_view_lag_readings{view=\"latest\"}"), lag => lag == 0, "the latest values");
        using var answer = await again.Http.GetAsync("/api/v1/devices/m1/latest");
        await again.SendTcpAsync("ACK\nm1:3\n", answers: 1);

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Equal(3, await again.LatestValueAsync("m1"));
    }

    [Fact]
    public async Task No_acknowledged_reading_is_lost_when_the_program_is_killed_again_and_again()
    {
        using var folder = new TempFolder();
        for (var round = 0; round < 5; round++)
        {
            var acknowledged = folder[$"acknowledged-{round}"];
            await using var server = await ServerProcess.StartAsync(folder["data"]);
            var load = ServerProcess.RunAsync(
                "simulate", "--protocol", "tcp", "--target", server["tcp"].ToString(), "--devices", "1000", "--rate", "0", "--duration", "1s",
                "--device-prefix", $"round-{round}-", "--connections", "4", "--acknowledged", acknowledged);
            await Eventually.UntilAsync(
                () => Task.FromResult(File.Exists(acknowledged) ? new FileInfo(acknowledged).Length : 0), bytes => bytes > 100_000, "acknowledged readings");
            await server.KillAsync();
            await load;
        }

        await using var all = File.Create(folder["acknowledged"]);
        for (var round = 0; round < 5; round++)
        {
            await using var one = File.OpenRead(folder[$"acknowledged-{round}"]);
            await one.CopyToAsync(all);
        }

        await all.DisposeAsync();
        await CheckBalanceAsync(folder["acknowledged"], folder["data"]);
    }

    [Fact]
    [Trait("Speed", "slow")]
    public async Task A_minute_of_a_hundred_thousand_devices_with_three_kills_balances_to_the_last_acknowledged_reading()
    {
        using var folder = new TempFolder();
        var port = FreePort();
        string[] settings = ["--set", $"Listeners:Tcp:Endpoint=127.0.0.1:{port}"];
        var server = await ServerProcess.StartAsync(folder["data"], settings);
        try
        {
            var load = ServerProcess.RunAsync(
                "simulate", "--protocol", "tcp", "--target", $"127.0.0.1:{port}", "--devices", "100000", "--rate", "33334", "--duration", "60s",
                "--connections", "32", "--acknowledged", folder["acknowledged"]);
            for (var kill = 0; kill < 3; kill++)
            {
                await Task.WhenAny(load, Task.Delay(TimeSpan.FromSeconds(15), CancellationToken.None));
                await server.KillAsync();
                await server.DisposeAsync();
                server = await ServerProcess.StartAsync(folder["data"], settings);
            }

            var result = await load;
            Assert.True(result.ExitCode == 0, result.Output + result.Errors);
            Assert.Contains(", unanswered 0,", result.Output);
            Assert.DoesNotContain("reconnects 0", result.Output);
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }
        finally
        {
            await server.DisposeAsync();
        }

        var balance = await CheckBalanceAsync(folder["acknowledged"], folder["data"]);
        Assert.True(balance.Acknowledged > 1_000_000, balance.ToString());
    }

    internal static async Task<AcknowledgedBalance> CheckBalanceAsync(string acknowledged, string data)
    {
        using var dump = ServerProcess.Open("log", "dump", "--data", data);
        await using var told = File.OpenRead(acknowledged);
        var balance = await AcknowledgedBalance.CompareAsync(told, dump.StandardOutput.BaseStream, CancellationToken.None);
        await dump.WaitForExitAsync();
        Assert.Equal(0, dump.ExitCode);
        Assert.True(balance.Acknowledged > 0, "nothing was acknowledged");
        Assert.True(balance.IsGood, balance.ToString());
        return balance;
    }

    /// <summary>A port that a restarted server can take again.</summary>
    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
