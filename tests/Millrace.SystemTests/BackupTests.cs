using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary><c>millrace backup</c> and <c>restore</c>, as somebody uses them whose machine burns down.</summary>
public class BackupTests
{
    private const string Job = """
        {"query":"SELECT id, value INTO rows FROM telemetry; SELECT id, value INTO high FROM telemetry WHERE value = 7",
         "startFrom":"beginning",
         "outputs":{"rows":{"kind":"files","path":"rows.jsonl"},"high":{"kind":"alert","rule":"high","key":["id"],"message":"high"}}}
        """;

    [Fact]
    public async Task A_backup_of_a_running_server_restores_with_everything_acknowledged_before_it_began()
    {
        const int acknowledged = 2000;
        using var folder = new TempFolder();
        string token;
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            var device = await ServerProcess.RunAsync("devices", "add", "m0", "--name", "Meter zero", "--server", $"http://{server["http"]}");
            Assert.True(device.ExitCode == 0, device.Errors);
            token = (await ServerProcess.RunAsync("devices", "token", "m0", "--server", $"http://{server["http"]}")).Output.Trim();
            using var put = await server.Http.PutAsync("/api/v1/jobs/copy", new StringContent(Job, Encoding.UTF8, "application/json"));
            Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
            await SendAsync(server, 0, acknowledged / 2);
            await server.StopAsync();
        }

        CommandResult backup;
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await SendAsync(server, acknowledged / 2, acknowledged / 2);
            await Eventually.UntilAsync(() => server.Http.GetStringAsync("/api/v1/alerts?rule=high"), text => text.Contains("\"high\"", StringComparison.Ordinal), "the alert");
            using var enough = new CancellationTokenSource();
            var traffic = KeepSendingAsync(server, acknowledged, enough.Token);
            backup = await ServerProcess.RunAsync("backup", "--data", folder["data"], "--output", folder["backup"]);
            await enough.CancelAsync();
            await traffic;
            await server.KillAsync();
        }

        Assert.True(backup.ExitCode == 0, backup.Errors);
        Directory.Delete(folder["data"], recursive: true);
        var restored = await ServerProcess.RunAsync("restore", "--input", folder["backup"], "--data", folder["again"]);
        Assert.True(restored.ExitCode == 0, restored.Errors);

        var log = await ServerCalls.DumpAsync(folder["again"]);
        var values = log.Select(line => line.GetProperty("payload").GetProperty("value").GetInt32()).ToHashSet();
        Assert.Superset(Enumerable.Range(0, acknowledged).ToHashSet(), values);
        Assert.Equal(log.Count, values.Count);
        await using (var server = await ServerProcess.StartAsync(folder["again"]))
        {
            Assert.Equal("Meter zero", (await GetAsync(server, "/api/v1/devices/m0")).GetProperty("name").GetString());
            Assert.Single((await GetAsync(server, "/api/v1/alerts?rule=high")).GetProperty("alerts").EnumerateArray());
            await Eventually.UntilAsync(
                () => RowsAsync(folder), rows => rows.Count == log.Count, "one row of the job for each reading");
            using var mine = await PostAsync(server, "m0", token);
            using var others = await PostAsync(server, "m1", token);
            Assert.True(mine.IsSuccessStatusCode);
            Assert.False(others.IsSuccessStatusCode);
            await server.StopAsync();
        }

        var archived = new ArchiveReader(folder["again/history"]).Replay(new ReplayRange()).Select(reading => (reading.Partition, reading.Sequence)).ToList();
        Assert.Equal(log.Count + 1, archived.Count);
        Assert.Equal(archived.Count, archived.Distinct().Count());
        Assert.Equal(values.Order(), (await RowsAsync(folder)).Where(value => value >= 0).Order());
    }

    [Fact]
    public async Task A_damaged_or_unfinished_backup_and_a_folder_in_use_are_refused_and_nothing_is_left_behind()
    {
        using var folder = new TempFolder();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await SendAsync(server, 0, 10);
            await server.StopAsync();
        }

        var made = await ServerProcess.RunAsync("backup", "--data", folder["data"], "--output", folder["backup"]);
        var twice = await ServerProcess.RunAsync("backup", "--data", folder["data"], "--output", folder["backup"]);
        var over = await ServerProcess.RunAsync("restore", "--input", folder["backup"], "--data", folder["data"]);
        var inside = await ServerProcess.RunAsync("backup", "--data", folder["data"], "--output", folder["data/backup"]);
        var segment = Directory.GetFiles(folder["backup/log"], "*.segment")[0];
        var bytes = await File.ReadAllBytesAsync(segment);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(segment, bytes);
        var flipped = await ServerProcess.RunAsync("restore", "--input", folder["backup"], "--data", folder["again"]);
        await File.WriteAllBytesAsync(segment, bytes[..^1]);
        var shortened = await ServerProcess.RunAsync("restore", "--input", folder["backup"], "--data", folder["again"]);
        File.Delete(segment);
        var missing = await ServerProcess.RunAsync("restore", "--input", folder["backup"], "--data", folder["again"]);
        File.Delete(folder["backup/backup.json"]);
        var unfinished = await ServerProcess.RunAsync("restore", "--input", folder["backup"], "--data", folder["again"]);

        Assert.True(made.ExitCode == 0, made.Errors);
        AssertRefused(twice, "exists already");
        AssertRefused(over, "holds data already");
        AssertRefused(inside, "lies in the data folder itself");
        AssertRefused(flipped, "has another SHA-256");
        AssertRefused(shortened, "bytes where backup.json says");
        AssertRefused(missing, "is missing");
        AssertRefused(unfinished, "no finished backup");
        Assert.Equal(["backup", "data"], Directory.GetDirectories(folder.Path).Select(Path.GetFileName).Order());
    }

    private static void AssertRefused(CommandResult result, string says)
    {
        Assert.Equal(1, result.ExitCode);
        Assert.Contains(says, result.Errors);
        Assert.Single(result.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    private static async Task SendAsync(ServerProcess server, int first, int count)
    {
        var answers = await server.SendTcpAsync("ACK\n" + string.Concat(Enumerable.Range(first, count).Select(i => $"m{i % 50}:{i}\n")), answers: count);
        Assert.All(answers, answer => Assert.StartsWith("OK ", answer));
    }

    private static async Task KeepSendingAsync(ServerProcess server, int first, CancellationToken enough)
    {
        for (var next = first; !enough.IsCancellationRequested; next += 100)
            await SendAsync(server, next, 100);
    }

    private static async Task<JsonElement> GetAsync(ServerProcess server, string path) => JsonElement.Parse(await server.Http.GetStringAsync(path));

    private static async Task<HttpResponseMessage> PostAsync(ServerProcess server, string device, string token)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/devices/{device}/telemetry") { Content = new StringContent("""{"value":-1}""", Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return await server.Http.SendAsync(request);
    }

    /// <summary>The values the job has written, from all its files.</summary>
    private static async Task<List<int>> RowsAsync(TempFolder folder)
    {
        var rows = new List<int>();
        foreach (var path in Directory.EnumerateFiles(folder["again/files"], "rows*"))
        {
            await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(file);
            while (await reader.ReadLineAsync() is { } line)
            {
                if (line.EndsWith('}'))
                    rows.Add(JsonElement.Parse(line).GetProperty("value").GetInt32());
            }
        }

        return rows;
    }
}
