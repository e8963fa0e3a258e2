using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>Mistakes in the settings are told before a socket opens, all at once.</summary>
public class ConfigurationTests
{
    [Fact]
    public async Task All_mistakes_are_told_at_once_and_nothing_is_made()
    {
        using var folder = new TempFolder();

        var refusal = await Assert.ThrowsAsync<ServerDidNotStartException>(() => ServerProcess.StartAsync(
            folder["data"], "--set", "Log:Partitions=0", "--set", "Listeners:Udp:Endpoint=nowhere", "--set", "Devices:Maximum=5",
            "--set", "Security:Mode=ajar"));

        Assert.Equal(2, refusal.ExitCode);
        foreach (var key in (string[])["Log:Partitions", "Listeners:Udp:Endpoint", "Devices:Maximum", "Security:Mode"])
            Assert.Contains(key, refusal.Errors);
        Assert.False(Directory.Exists(folder["data/log"]));
    }

    [Fact]
    public async Task Open_mode_refuses_addresses_that_others_can_reach()
    {
        using var folder = new TempFolder();

        var refusal = await Assert.ThrowsAsync<ServerDidNotStartException>(() =>
            ServerProcess.StartAsync(folder["data"], "--set", "Listeners:Tcp:Endpoint=0.0.0.0:0"));

        Assert.Contains("Security:AllowOpen", refusal.Errors);
    }

    [Fact]
    public async Task A_listener_can_be_switched_off()
    {
        using var folder = new TempFolder();

        await using var server = await ServerProcess.StartAsync(folder["data"], "--set", "Listeners:Udp:Endpoint=off");

        Assert.Throws<KeyNotFoundException>(() => server["udp"]);
        Assert.Equal(System.Net.HttpStatusCode.OK, (await server.Http.GetAsync("/healthz")).StatusCode);
    }

    [Fact]
    public async Task A_taken_port_is_named_with_the_way_out()
    {
        using var folder = new TempFolder();
        await using var first = await ServerProcess.StartAsync(folder["one"]);

        var refusal = await Assert.ThrowsAsync<ServerDidNotStartException>(() =>
            ServerProcess.StartAsync(folder["two"], "--set", $"Listeners:Tcp:Endpoint={first["tcp"]}"));

        Assert.Equal(1, refusal.ExitCode);
        Assert.Contains(first["tcp"].ToString(), refusal.Errors);
    }

    [Fact]
    public async Task Wrong_usage_is_code_2_with_a_line_on_stderr()
    {
        var result = await ServerProcess.RunAsync("simulate", "--devices", "many");

        Assert.Equal(2, result.ExitCode);
        Assert.NotEmpty(result.Errors);
        Assert.Empty(result.Output);
    }

    [Fact]
    public async Task Token_mode_refuses_writers_without_a_token_and_the_admin_token_opens()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"], "--set", "Security:Mode=token");

        using var refused = await server.PostAsync("/api/v1/telemetry", """{"id":"m","value":1}""");
        var token = (await File.ReadAllTextAsync(folder["data/admin-token"])).Trim();
        server.Http.DefaultRequestHeaders.Authorization = new("Bearer", token);
        using var accepted = await server.PostAsync("/api/v1/devices", """{"id":"m"}""");

        Assert.Equal(401, (int)refused.StatusCode);
        Assert.True(accepted.IsSuccessStatusCode, await accepted.Content.ReadAsStringAsync());
        Assert.DoesNotContain(token, server.Output + server.Errors);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["data/admin-token"]));
        server.SendUdp("m:5");
        await Eventually.UntilAsync(
            () => server.MetricAsync("""millrace_readings_rejected_total{listener="udp",reason="unauthenticated"}"""), count => count == 1, "the refused datagram");
    }
}
