using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>The commands that speak to a running server.</summary>
public class CommandTests
{
    [Fact]
    public async Task Devices_are_added_listed_imported_removed_and_given_tokens()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        var url = $"http://{server["http"]}";
        await File.WriteAllTextAsync(folder["devices.csv"], "id,name,type,tags,floor\nm1,Meter one,gas,north;cellar,1\nm2,Meter two,gas,north,2\n");

        var added = await ServerProcess.RunAsync("devices", "add", "m0", "--name", "Meter zero", "--tag", "south", "--server", url);
        var imported = await ServerProcess.RunAsync("devices", "import", folder["devices.csv"], "--server", url);
        var listed = await ServerProcess.RunAsync("devices", "list", "--tag", "north", "--server", url);
        var token = await ServerProcess.RunAsync("devices", "token", "m1", "--server", url);
        var removed = await ServerProcess.RunAsync("devices", "remove", "m2", "--server", url);
        var left = await ServerProcess.RunAsync("devices", "list", "--server", url);
        var unknown = await ServerProcess.RunAsync("devices", "remove", "nobody", "--server", url);

        Assert.All([added, imported, listed, token, removed, left], result => Assert.True(result.ExitCode == 0, result.Errors));
        Assert.Contains("Meter zero", added.Output);
        Assert.Contains("2 added, 0 changed, 0 rejected", imported.Output);
        Assert.Contains("2 devices", listed.Output);
        Assert.True(token.Output.Trim().Length >= 22, "a token has 128 random bits or more");
        Assert.Contains("2 devices", left.Output);
        Assert.DoesNotContain("m2", left.Output);
        Assert.Equal(1, unknown.ExitCode);
        Assert.Contains("nobody", unknown.Errors);
    }

    [Fact]
    public async Task Status_shows_what_the_server_stores()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        await server.SendTcpAsync("ACK\nm:1\nm:2\nm:3\n", answers: 3);

        var status = await ServerProcess.RunAsync("status", "--server", $"http://{server["http"]}");

        Assert.True(status.ExitCode == 0, status.Errors);
        Assert.Matches("(?m)^tcp +3 +3 +0 +0 +0 +3", status.Output);
    }

    [Fact]
    public async Task The_doctor_fails_while_a_server_holds_the_folder_and_passes_after_it()
    {
        using var folder = new TempFolder();
        string[] ports = ServerProcess.AnyPorts;
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            var busy = await ServerProcess.RunAsync(["doctor", "--data", folder["data"], .. ports]);
            Assert.Equal(1, busy.ExitCode);
            Assert.Contains("in use by process", busy.Output);
            await server.StopAsync();
        }

        var free = await ServerProcess.RunAsync(["doctor", "--data", folder["data"], .. ports]);
        Assert.True(free.ExitCode == 0, free.Output + free.Errors);
    }

    [Theory]
    [InlineData(2, "'nonsense'", "nonsense")]
    [InlineData(2, "see millrace export --help", "export", "--output", "x", "--format", "xml")]
    [InlineData(2, "--set nonsense is not Section:Key=Value", "serve", "--set", "nonsense")]
    [InlineData(2, "is not an http or https address", "status", "--server", "foo://x")]
    [InlineData(2, "is not HOST:PORT", "simulate", "--target", "nowhere")]
    [InlineData(1, "no server answers", "status", "--server", "127.0.0.1:1")]
    [InlineData(1, "no server answers", "alerts", "list", "--server", "127.0.0.1:1")]
    [InlineData(1, "is not there", "devices", "import", "nowhere.csv")]
    [InlineData(1, "there is no such settings file", "serve", "--config", "nowhere.json")]
    [InlineData(1, "is not a server's data folder", "log", "dump", "--data", "nowhere")]
    [InlineData(1, "is not a server's data folder", "backup", "--data", "nowhere", "--output", "x")]
    [InlineData(1, "is not there", "restore", "--input", "nowhere", "--data", "x")]
    public async Task A_mistake_is_told_in_one_line_that_says_how_to_mend_it(int exitCode, string says, params string[] arguments)
    {
        var run = await ServerProcess.RunAsync(arguments);

        Assert.Equal(exitCode, run.ExitCode);
        Assert.StartsWith("millrace: ", run.Errors);
        Assert.Contains(says, run.Errors);
        Assert.Single(run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task Without_the_token_the_commands_say_where_it_is()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"], "--set", "Security:Mode=token");
        await File.WriteAllTextAsync(folder["some.csv"], "id,value\nm,1\n");
        var url = $"http://{server["http"]}";

        foreach (var arguments in (string[][])[["status"], ["devices", "list"], ["alerts", "list"], ["import", folder["some.csv"]]])
        {
            var run = await ServerProcess.RunAsync([.. arguments, "--server", url]);
            Assert.Equal(1, run.ExitCode);
            Assert.Contains("MILLRACE_TOKEN", run.Errors);
            Assert.Single(run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
    }
}
