using System.Text.Json;
using Millrace.Commands.Transfer;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary><c>millrace export</c> and <c>import</c>.</summary>
public class TransferTests
{
    [Fact]
    public async Task What_was_exported_in_any_format_is_imported_as_it_was()
    {
        const int readings = 300;
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            var lines = Enumerable.Range(0, readings).Select(i =>
                $$$"""{"id":"m{{{i % 5}}}","time":"2026-01-15T12:{{{i / 60 % 60:D2}}}:{{{i % 60:D2}}}.250000Z","value":{{{i}}}.5,"note":"a \"quoted\", line","site":{"name":"cellar {{{i % 3}}}","open":true},"list":[1,null]}""");
            using var answer = await server.PostAsync("/api/v1/telemetry", string.Join('\n', lines), "application/x-ndjson");
            Assert.True(answer.IsSuccessStatusCode);
            foreach (var (format, name) in Formats)
                await RunAsync("export", "--data", folder["data"], "--format", format, "--output", folder[name]);
            await server.StopAsync();
        }

        var before = (await ServerCalls.DumpAsync(folder["data"])).ConvertAll(Payload).Order(StringComparer.Ordinal).ToList();
        foreach (var (format, name) in Formats)
        {
            var file = format == "parquet" ? folder[$"{name}/part-000000.parquet"] : folder[name];
            await using (var server = await ServerProcess.StartAsync(folder[$"data-{format}"]))
            {
                var import = await RunAsync("import", file, "--server", $"http://{server["http"]}");
                Assert.Equal($"{readings} readings imported, 0 bad lines", import.Output.Trim());
                var again = await RunAsync("import", file, "--server", $"http://{server["http"]}");
                Assert.Contains("was imported before", again.Output);
                await server.StopAsync();
            }

            var after = (await ServerCalls.DumpAsync(folder[$"data-{format}"])).ConvertAll(Payload).Order(StringComparer.Ordinal).ToList();
            Assert.Equal(before, after);
        }
    }

    [Fact]
    public async Task An_export_selects_by_device_and_arrival_and_goes_on_where_it_was_broken_off()
    {
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await server.SendTcpAsync("ACK\n" + string.Concat(Enumerable.Range(0, 100).Select(i => $"m{i % 4}:{i}\n")), answers: 100);
            await server.StopAsync();
        }

        var log = await ServerCalls.DumpAsync(folder["data"]);
        var arrivals = log.ConvertAll(line => line.GetProperty("receivedAt").GetString()!);
        var device = log[1].GetProperty("id").GetString()!;
        var wanted = log[1..60].Where(line => line.GetProperty("id").GetString() == device).Select(line => line.GetProperty("payload").GetProperty("value").GetRawText());
        await RunAsync("export", "--data", folder["data"], "--output", folder["all.jsonl"]);
        await RunAsync("export", "--data", folder["data"], "--output", folder["some.csv"], "--format", "csv", "--fields", "value", "--device", device, "--from", arrivals[1], "--to", arrivals[60]);
        var some = await File.ReadAllLinesAsync(folder["some.csv"]);
        Assert.Equal("id,time,receivedAt,sequence,partition,value", some[0]);
        Assert.NotEmpty(wanted);
        Assert.Equal(wanted, some[1..].Select(line => line.Split(',')[^1]));

        // As a life before left it: forty lines that count, and a line that was cut off.
        var all = await File.ReadAllLinesAsync(folder["all.jsonl"]);
        var kept = string.Concat(all[..40].Select(line => line + "\n"));
        await File.WriteAllTextAsync(folder["again.jsonl"], kept + all[40][..10]);
        var next = JsonElement.Parse(all[40]).GetProperty("receivedAt").GetDateTime();
        var wish = JsonSerializer.Serialize(new ExportWish("jsonl", long.MinValue, long.MaxValue, [], []));
        var state = new ExportState(wish, long.MaxValue, (next.Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond, kept.Length, 40);
        await File.WriteAllTextAsync(folder["again.jsonl.export"], JsonSerializer.Serialize(state));
        var other = await ServerProcess.RunAsync("export", "--data", folder["data"], "--output", folder["again.jsonl"], "--device", "m1");
        var again = await RunAsync("export", "--data", folder["data"], "--output", folder["again.jsonl"]);
        var over = await ServerProcess.RunAsync("export", "--data", folder["data"], "--output", folder["again.jsonl"]);

        Assert.Equal(1, other.ExitCode);
        Assert.Contains("other options", other.Errors);
        Assert.Equal(all, await File.ReadAllLinesAsync(folder["again.jsonl"]));
        Assert.Contains("going on after 40 readings", again.Errors);
        Assert.Equal(1, over.ExitCode);
        Assert.Contains("exists already", over.Errors);
        Assert.False(File.Exists(folder["again.jsonl.export"]));
    }

    [Fact]
    public async Task Bad_lines_of_an_old_file_are_told_by_number_and_counted_and_the_good_ones_imported()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(
            folder["old.csv"],
            "meter,when,used,site\n007,2019-03-31 12:00:00,1.5,north\n,2019-03-31 12:00:30,2.5,north\n007,yesterday,3.5,north\n007,2019-03-31 12:01:00,4.5\n"
            + $"{new string('9', 200)},2019-03-31 12:01:00,5.5,north\n007,1554033690,6.5,\"north,\ncellar\"\n");
        await using var server = await ServerProcess.StartAsync(folder["data"]);

        var import = await ServerProcess.RunAsync("import", folder["old.csv"], "--id", "meter", "--time", "when", "--server", $"http://{server["http"]}");
        var stored = await ServerCalls.DumpAsync(folder["data"]);

        Assert.Equal(1, import.ExitCode);
        Assert.Equal("2 readings imported, 4 bad lines", import.Output.Trim());
        foreach (var line in (int[])[3, 4, 5, 6])
            Assert.Contains($"old.csv:{line}: ", import.Errors);
        Assert.Equal(
            ["""{"id":"007","time":"2019-03-31T12:00:00.000000Z","used":1.5,"site":"north"}""", """{"id":"007","time":1554033690,"used":6.5,"site":"north,\ncellar"}"""],
            stored.Select(line => line.GetProperty("payload").GetRawText()));
        Assert.Equal(["2019-03-31T12:00:00.000000Z", "2019-03-31T12:01:30.000000Z"], stored.Select(line => line.GetProperty("time").GetString()));
    }

    [Fact]
    public async Task A_killed_import_goes_on_and_sends_nothing_twice()
    {
        const int rows = 20_000;
        using var folder = new TempFolder();
        await File.WriteAllLinesAsync(folder["old.jsonl"], Enumerable.Range(0, rows).Select(i => $$"""{"id":"m{{i % 100}}","value":{{i}}}"""));
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        string[] command = ["import", folder["old.jsonl"], "--server", $"http://{server["http"]}"];
        for (var kill = 1; kill <= 3; kill++)
        {
            using var import = ServerProcess.Open(command);
            await Eventually.UntilAsync(() => Task.FromResult(Done(folder)), done => done >= kill * 3000, "rows of the import");
            import.Kill();
            await import.WaitForExitAsync();
        }

        var last = await RunAsync(command);
        Assert.Equal($"{rows} readings imported, 0 bad lines", last.Output.Trim());

        // As if it had been killed after the server stored the last batch and before that was written down.
        var finished = JsonSerializer.Deserialize<ImportState>(await File.ReadAllBytesAsync(folder["old.jsonl.import"]))!;
        var open = finished with { Done = rows - 1000, OpenTo = rows, OpenSince = 0, Stored = rows - 1000, Finished = false };
        await File.WriteAllBytesAsync(folder["old.jsonl.import"], JsonSerializer.SerializeToUtf8Bytes(open));
        var looked = await RunAsync(command);
        Assert.Equal($"{rows} readings imported, 0 bad lines", looked.Output.Trim());
        await server.StopAsync();

        var values = (await ServerCalls.DumpAsync(folder["data"])).ConvertAll(line => line.GetProperty("payload").GetProperty("value").GetInt32());
        Assert.Equal(Enumerable.Range(0, rows), values.Order());
    }

    [Theory]
    [InlineData("is not there", "import", "nowhere.csv")]
    [InlineData("no server answers", "import", "FILE", "--server", "http://127.0.0.1:1")]
    [InlineData("is not a server's data folder", "export", "--data", "nowhere", "--output", "FOLDER/out.jsonl")]
    public async Task What_is_missing_is_told_in_a_line(string says, params string[] arguments)
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["some.csv"], "id,value\nm,1\n");

        var run = await ServerProcess.RunAsync(
            [.. arguments.Select(argument => argument.Replace("FILE", folder["some.csv"], StringComparison.Ordinal).Replace("FOLDER", folder.Path, StringComparison.Ordinal))]);

        Assert.Equal(1, run.ExitCode);
        Assert.Contains(says, run.Errors);
        Assert.Single(run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    private static (string Format, string Name)[] Formats => [("jsonl", "out.jsonl"), ("csv", "out.csv"), ("parquet", "out")];

    private static async Task<CommandResult> RunAsync(params string[] arguments)
    {
        var run = await ServerProcess.RunAsync(arguments);
        Assert.True(run.ExitCode == 0, run.Output + run.Errors);
        return run;
    }

    private static long Done(TempFolder folder) => File.Exists(folder["old.jsonl.import"])
        ? JsonSerializer.Deserialize<ImportState>(File.ReadAllBytes(folder["old.jsonl.import"]))!.Done
        : 0;

    /// <summary>The payload with its members in the order of their names: Parquet keeps values, not their order.</summary>
    private static string Payload(JsonElement line) =>
        string.Join(';', line.GetProperty("payload").EnumerateObject().OrderBy(member => member.Name, StringComparer.Ordinal).Select(member => $"{member.Name}={member.Value.GetRawText()}"));
}
