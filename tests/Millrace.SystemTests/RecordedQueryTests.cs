using System.Text.Json;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary><c>millrace query run --data</c>: the rows of a live job, from what was recorded.</summary>
public class RecordedQueryTests
{
    private const int Readings = 60;

    private const string Script = """
        SELECT id, value, LAG(value) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS before, EventEnqueuedUtcTime AS arrived, PartitionId AS place,
            IoTHub.ConnectionDeviceId AS sender
        INTO changes FROM telemetry WHERE value % 2 = 0;
        SELECT * INTO everything FROM telemetry;
        SELECT id, COUNT(*) AS n, SUM(value) AS total, System.Timestamp() AS until INTO sums FROM telemetry GROUP BY id, TumblingWindow(second, 1);
        """;

    [Fact]
    public async Task A_query_over_the_data_folder_gives_the_rows_of_the_live_job_beside_the_server_and_without_it()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["q.sql"], Script);
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        var definition = JsonSerializer.Serialize(new
        {
            query = Script,
            startFrom = "beginning",
            settings = new { late_arrival_seconds = 0 },
        });
        using (var put = await server.Http.PutAsync("/api/v1/jobs/live", new StringContent(definition, System.Text.Encoding.UTF8, "application/json")))
            Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        await server.SendTcpAsync(
            "ACK\n" + string.Concat(Enumerable.Range(0, Readings).Select(i => i % 3 == 0 ? $"m{i % 4}:{{\"value\":{i},\"id\":\"own\"}}\n" : $"m{i % 4}:{i}\n")),
            answers: Readings);

        // Every window has been closed live once the counts add up.
        var sums = await Eventually.UntilAsync(
            () => LiveRowsAsync(server, "sums"), rows => rows.Sum(row => JsonElement.Parse(row).GetProperty("n").GetInt32()) == Readings, "all windows of the live job");
        var changes = await LiveRowsAsync(server, "changes");
        var everything = await LiveRowsAsync(server, "everything");
        var beside = await RunAsync(folder, "beside");
        await server.StopAsync();
        var after = await RunAsync(folder, "after");

        Assert.Equal(30, changes.Count);
        Assert.Equal(Readings, everything.Count);
        foreach (var output in (string[])["beside", "after"])
        {
            Assert.Equal(changes, await File.ReadAllLinesAsync(folder[$"{output}/changes.jsonl"]));
            Assert.Equal(everything, await File.ReadAllLinesAsync(folder[$"{output}/everything.jsonl"]));
            Assert.Equal(sums, await File.ReadAllLinesAsync(folder[$"{output}/sums.jsonl"]));
        }

        Assert.StartsWith($"{Readings} events, ", beside.Output);
        Assert.Equal(beside.Output, after.Output);
    }

    [Fact]
    public async Task A_range_takes_the_readings_that_arrived_in_it_and_looks_back_beyond_it()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(
            folder["q.sql"], "SELECT value, LAG(value) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS before INTO changes FROM telemetry");
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await server.SendTcpAsync("ACK\nm:1\nm:2\nm:3\nm:4\nm:5\n", answers: 5);
            await server.StopAsync();
        }

        var arrivals = (await ServerCalls.DumpAsync(folder["data"])).ConvertAll(line => line.GetProperty("receivedAt").GetString()!);
        await RunAsync(folder, "rows", "--from", arrivals[2], "--to", arrivals[4]);

        Assert.Equal(["""{"value":3,"before":2}""", """{"value":4,"before":3}"""], await File.ReadAllLinesAsync(folder["rows/changes.jsonl"]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_same_rows_come_live_from_the_log_and_from_the_history_when_the_log_has_forgotten(bool onS3)
    {
        const int posts = 30;
        const int perPost = 400;
        using var folder = new TempFolder();
        string[] config = ["--config", folder["settings.json"]];
        await File.WriteAllTextAsync(config[1], onS3 ? S3Settings() : "{}");
        await File.WriteAllTextAsync(
            folder["q.sql"],
            """
            SELECT id, value, site.name AS site, EventEnqueuedUtcTime AS arrived INTO rare FROM telemetry WHERE value % 97 = 0;
            SELECT id, COUNT(*) AS n, SUM(value) AS total, MAX(site.floor) AS floor, System.Timestamp() AS until INTO sums FROM telemetry
            GROUP BY id, TumblingWindow(second, 1);
            """);
        string[] live;
        await using (var server = await ServerProcess.StartAsync(folder["data"], [.. config, "--set", "Log:SegmentBytes=1048576"]))
        {
            var definition = JsonSerializer.Serialize(new
            {
                query = await File.ReadAllTextAsync(folder["q.sql"]),
                startFrom = "beginning",
                settings = new { late_arrival_seconds = 0 },
            });
            using (var put = await server.Http.PutAsync("/api/v1/jobs/live", new StringContent(definition, System.Text.Encoding.UTF8, "application/json")))
                Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
            for (var post = 0; post < posts; post++)
            {
                var lines = Enumerable.Range(post * perPost, perPost)
                    .Select(i => $$$"""{"id":"m{{{i % 7}}}","value":{{{i}}},"site":{"name":"cellar {{{i % 3}}}","floor":{{{i % 5}}}.5},"filler":"{{{new string('x', 200)}}}"}""");
                using var answer = await server.PostAsync("/api/v1/telemetry", string.Join('\n', lines), "application/x-ndjson");
                Assert.True(answer.IsSuccessStatusCode);
            }

            var sums = await Eventually.UntilAsync(
                () => LiveRowsAsync(server, "sums"), rows => rows.Sum(row => JsonElement.Parse(row).GetProperty("n").GetInt32()) == posts * perPost, "all windows of the live job");
            live = [.. await LiveRowsAsync(server, "rare"), .. sums];
            await server.StopAsync();
        }

        await RunAsync(folder, "log", config);
        await using (var server = await ServerProcess.StartAsync(folder["data"], [.. config, "--set", "Log:Retention:Bytes=1200000", "--set", "Log:SegmentBytes=1048576"]))
        {
            await Eventually.UntilAsync(
                async () => (await ServerProcess.RunAsync("log", "dump", "--data", folder["data"], "--partition", "0")).Output.Split('\n')[0],
                first => !first.Contains("\"sequence\":0,", StringComparison.Ordinal), "the log without its first segments");
            using var answer = await server.PostAsync("/api/v1/jobs/preview", JsonSerializer.Serialize(new
            {
                job = new { query = await File.ReadAllTextAsync(folder["q.sql"]), settings = new { late_arrival_seconds = 0 } },
            }));
            var preview = JsonElement.Parse(await answer.Content.ReadAsStringAsync());
            Assert.Equal(posts * perPost, preview.GetProperty("events").GetInt32());
            Assert.Equal(live.Length, preview.GetProperty("rows").EnumerateObject().Sum(output => output.Value.GetInt32()));
            await server.StopAsync();
        }

        var past = await RunAsync(folder, "history", config);
        var export = await ServerProcess.RunAsync(["export", "--data", folder["data"], .. config, "--output", folder["all.jsonl"]]);
        Assert.True(export.ExitCode == 0, export.Errors);
        Assert.Equal(posts * perPost, File.ReadLines(folder["all.jsonl"]).Count());
        Assert.Equal(onS3, !Directory.Exists(folder["data/history"]) || Directory.GetFiles(folder["data/history"], "*.parquet", SearchOption.AllDirectories).Length == 0);
        var backup = await ServerProcess.RunAsync(["backup", "--data", folder["data"], .. config, "--output", folder["backup"]]);
        Assert.True(backup.ExitCode == 0, backup.Errors);
        Assert.Equal(onS3, backup.Errors.Contains("is not in the backup", StringComparison.Ordinal));

        Assert.StartsWith($"{posts * perPost} events, ", past.Output);
        foreach (var output in (string[])["log", "history"])
        {
            List<string> rows = [.. await File.ReadAllLinesAsync(folder[$"{output}/rare.jsonl"]), .. await File.ReadAllLinesAsync(folder[$"{output}/sums.jsonl"])];
            Assert.Equal(live, rows);
        }
    }

    [Theory]
    [InlineData(2, "is not a time", "--data", "nowhere", "--from", "yesterday-ish")]
    [InlineData(2, "is not before", "--data", "nowhere", "--from", "2026-01-02", "--to", "2026-01-01")]
    [InlineData(2, "leave out --input", "--data", "nowhere", "--input", "a=b")]
    [InlineData(2, "give --data DIR", "--input", "a=b", "--from", "2026-01-01")]
    [InlineData(2, "nothing to read")]
    [InlineData(1, "is not a server's data folder", "--data", "nowhere")]
    public async Task Wrong_ranges_and_folders_are_told_in_a_line(int exitCode, string says, params string[] arguments)
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["q.sql"], "SELECT * INTO o FROM telemetry");

        var run = await ServerProcess.RunAsync(["query", "run", "--file", folder["q.sql"], "--output", folder["rows"], .. arguments]);

        Assert.Equal(exitCode, run.ExitCode);
        Assert.Contains(says, run.Errors);
        Assert.Single(run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    /// <summary>A history of its own on a real S3-speaking server (tests/services/s3.sh).</summary>
    private static string S3Settings()
    {
        var address = Environment.GetEnvironmentVariable("MILLRACE_TEST_S3");
        Assert.SkipWhen(string.IsNullOrEmpty(address), "MILLRACE_TEST_S3 names no S3 server (tests/services/s3.sh): commands over a history on S3 were not tried");
        Assert.SkipWhen(Environment.GetEnvironmentVariable("S3_FLAVOUR") == "s3rver", "s3rver does not list and read as S3 does: commands over a history on S3 were not tried; Python's moto does");
        return JsonSerializer.Serialize(new
        {
            History = new
            {
                S3 = new
                {
                    Endpoint = address,
                    Bucket = Environment.GetEnvironmentVariable("S3_BUCKET"),
                    Prefix = $"query-{Guid.NewGuid():N}/",
                    AccessKey = Environment.GetEnvironmentVariable("AWS_ACCESS_KEY_ID"),
                    SecretKey = Environment.GetEnvironmentVariable("AWS_SECRET_ACCESS_KEY"),
                },
            },
        });
    }

    private static async Task<CommandResult> RunAsync(TempFolder folder, string output, params string[] arguments)
    {
        var run = await ServerProcess.RunAsync(
            ["query", "run", "--file", folder["q.sql"], "--data", folder["data"], "--late", "0", "--output", folder[output], .. arguments]);
        Assert.True(run.ExitCode == 0, run.Errors);
        return run;
    }

    private static async Task<List<string>> LiveRowsAsync(ServerProcess server, string output)
    {
        var answer = JsonElement.Parse(await server.Http.GetStringAsync($"/api/v1/jobs/live/rows/{output}?limit=1000"));
        return [.. answer.GetProperty("rows").EnumerateArray().Select(row => row.GetProperty("data").GetRawText())];
    }
}
