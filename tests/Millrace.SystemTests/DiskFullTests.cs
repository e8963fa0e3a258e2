using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>A disk that fills up while readings come.</summary>
public class DiskFullTests
{
    [Fact]
    public async Task A_full_disk_stops_acknowledgements_and_loses_nothing_that_was_acknowledged()
    {
        using var folder = new TempFolder();
        await using var disk = await SmallDisk.MountAsync(folder["disk"], "20M");
        string[] settings = ["--set", "Log:ReserveBytes=2097152", "--set", "Log:SegmentBytes=2097152", "--set", "Log:Retention:Bytes=1073741824"];
        await using (var server = await ServerProcess.StartAsync(folder["disk/data"], settings))
        {
            var fill = await ServerProcess.RunAsync(
                "simulate", "--protocol", "http", "--target", server["http"].ToString(), "--devices", "100", "--payload", "json", "--batch", "200",
                "--rate", "0", "--duration", "10s", "--connections", "2", "--acknowledged", folder["acknowledged"]);

            Assert.Equal(1, fill.ExitCode);
            Assert.False(server.HasExited, server.Errors);
            using var refused = await server.PostAsync("/api/v1/telemetry", """{"id":"late","value":1}""");
            Assert.True((int)refused.StatusCode is 503 or 507 or 429, $"a full log answered {refused.StatusCode}");
            using var ready = await server.Http.GetAsync("/readyz");
            Assert.False(ready.IsSuccessStatusCode, "a server that takes nothing says it is ready");
            using var reading = await server.Http.GetAsync("/api/v1/devices?limit=1");
            Assert.True(reading.IsSuccessStatusCode, "reading must go on when the disk is full");
            await server.StopAsync();
        }

        await CrashTests.CheckBalanceAsync(folder["acknowledged"], folder["disk/data"]);
    }
}
