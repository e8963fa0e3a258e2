using System.Text.Json.Nodes;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Running;
using Millrace.Processing.DeadLetters;
using Millrace.Registry.Alerts;
using Millrace.Testing;

namespace Millrace.Jobs.Tests;

public sealed class JobHostTests
{
    private const string PassThrough =
        """{"query":"SELECT n INTO rows FROM telemetry WHERE n >= 0","startFrom":"beginning","outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}""";

    [Fact]
    public async Task Rows_are_written_once_over_restarts()
    {
        await using var bench = new JobBench();
        for (var i = 0; i < 50; i++)
            await bench.AppendAsync("m" + (i % 7), $$"""{"n":{{i}}}""");
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");

        for (var life = 1; life <= 3; life++)
        {
            await bench.RestartAsync();
            for (var i = 0; i < 10; i++)
                await bench.AppendAsync("m" + (i % 7), $$"""{"n":{{40 + (life * 10) + i}}}""");
            await bench.CaughtUpAsync("pass");
        }

        var status = await JobBench.UntilAsync(() => bench.Host.Find(0, "pass")!.Status, s => s.RowsOut == 80);
        Assert.Equal(Enumerable.Range(0, 80).Select(n => (long)n), bench.Numbers("rows.jsonl"));
        Assert.Equal((80L, 1), (status.RowsIn, status.Version));
    }

    [Fact]
    public async Task A_snapshot_that_cannot_be_read_costs_a_reread_and_no_row()
    {
        await using var bench = new JobBench();
        for (var i = 0; i < 20; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");
        await bench.StopAsync();

        foreach (var path in Directory.GetFiles(bench.Folder["jobs/pass"], "snapshot-*"))
            await File.WriteAllTextAsync(path, "damaged");
        await bench.AppendAsync("m1", """{"n":20}""");
        bench.Start();
        await bench.CaughtUpAsync("pass");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 21);

        Assert.Equal(Enumerable.Range(0, 21).Select(n => (long)n), bench.Numbers("rows.jsonl"));
    }

    [Fact]
    public async Task A_job_that_starts_now_is_exact_from_its_first_row_on()
    {
        await using var bench = new JobBench();
        for (var i = 0; i < 5; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("lag", """
            {"query":"SELECT n, LAG(n) OVER (PARTITION BY id LIMIT DURATION(day, 7)) AS before INTO rows FROM telemetry",
             "outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}
            """);
        await JobBench.UntilAsync(() => bench.Host.Find(0, "lag")!.Status, s => s is { State: JobState.Warming, RowsIn: 5 });
        await bench.AppendAsync("m1", """{"n":5}""");
        await JobBench.UntilAsync(() => bench.Lines("rows.jsonl").Count, n => n > 0);
        await bench.AppendAsync("m1", """{"n":6}""");
        await JobBench.UntilAsync(() => bench.Lines("rows.jsonl").Count, n => n > 1);

        Assert.Equal([(5L, 4L), (6L, 5L)], bench.Lines("rows.jsonl").Select(l => (l.GetProperty("n").GetInt64(), l.GetProperty("before").GetInt64())));
    }

    [Fact]
    public async Task An_edited_job_goes_on_where_the_old_version_was()
    {
        await using var bench = new JobBench();
        for (var i = 0; i < 10; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");

        var edited = await bench.PutAsync("pass", PassThrough.Replace("n >= 0", "n >= 0 AND n < 1000"));
        for (var i = 10; i < 20; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 20);

        Assert.Equal(2, edited.Version);
        Assert.Equal(Enumerable.Range(0, 20).Select(n => (long)n), bench.Numbers("rows.jsonl"));
    }

    [Fact]
    public async Task A_stopped_job_misses_nothing_when_it_starts_again()
    {
        await using var bench = new JobBench();
        await bench.AppendAsync("m1", """{"n":0}""");
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");

        Assert.True(await bench.Host.StopAsync(0, "pass"));
        await bench.AppendAsync("m1", """{"n":1}""");
        await bench.RestartAsync();
        var stopped = bench.Host.Find(0, "pass")!;
        Assert.True(await bench.Host.StartAsync(0, "pass"));
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 2);

        Assert.Equal((false, JobState.Stopped), (stopped.Running, stopped.Status.State));
        Assert.Equal([0L, 1L], bench.Numbers("rows.jsonl"));
        Assert.False(await bench.Host.StartAsync(0, "nobody"));
    }

    [Fact]
    public async Task A_deleted_name_used_again_gives_rows_of_a_later_version()
    {
        await using var bench = new JobBench();
        await bench.AppendAsync("m1", """{"n":0}""");
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");

        Assert.True(await bench.Host.DeleteAsync(0, "pass"));
        var gone = bench.Host.Find(0, "pass");
        var again = await bench.PutAsync("pass", PassThrough);
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 2);

        Assert.Null(gone);
        Assert.Equal(2, again.Version);
        Assert.Equal([0L, 0L], bench.Numbers("rows.jsonl"));
    }

    [Fact]
    public async Task A_state_beyond_its_limit_stops_the_job_and_nothing_else()
    {
        await using var bench = new JobBench();
        await bench.PutAsync("pass", PassThrough);
        await bench.PutAsync("greedy", """
            {"query":"SELECT id, COLLECT(big) AS all INTO rows FROM telemetry GROUP BY id, TumblingWindow(day, 7)",
             "startFrom":"beginning","settings":{"memory_limit_mb":1}}
            """);
        var big = new string('x', 2000);
        for (var i = 0; i < 9000; i++)
            await bench.AppendAsync("m" + i, $$"""{"n":{{i}},"big":"{{big}}"}""");

        var failed = await JobBench.UntilAsync(() => bench.Host.Find(0, "greedy")!.Status, s => s.State == JobState.Failed);
        await bench.CaughtUpAsync("pass");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 9000);

        Assert.Contains("limit of 1.0 MiB", failed.LastError);
    }

    [Fact]
    public async Task An_output_that_fails_lags_and_holds_up_nobody()
    {
        await using var bench = new JobBench();
        await bench.PutAsync("down", """
            {"query":"SELECT n INTO a FROM telemetry SELECT n INTO b FROM telemetry","startFrom":"beginning",
             "outputs":{"a":{"kind":"webhook","url":"http://127.0.0.1:1/","batchMs":0},"b":{"kind":"files","path":"b.jsonl"}}}
            """);
        for (var i = 0; i < 20; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");

        await JobBench.UntilAsync(() => bench.Numbers("b.jsonl").Count(), n => n == 20);
        var status = await JobBench.UntilAsync(() => bench.Host.Find(0, "down")!.Status, s => s.Outputs[0].Delivery!.LastError is not null && s.RowsOut == 40);

        Assert.Equal(20, status.Outputs[0].Delivery!.PendingRows);
        Assert.Contains("127.0.0.1:1", status.Outputs[0].Delivery!.LastError);
    }

    [Fact]
    public async Task Bad_events_are_counted_and_kept_as_dead_letters_of_the_job()
    {
        await using var bench = new JobBench();
        await bench.PutAsync("cast", """{"query":"SELECT CAST(v AS bigint) AS n INTO rows FROM telemetry","startFrom":"beginning"}""");
        await bench.AppendAsync("m1", """{"v":"12"}""");
        await bench.AppendAsync("m2", """{"v":"twelve"}""");

        var status = await JobBench.UntilAsync(() => bench.Host.Find(0, "cast")!.Status, s => s.RowsIn == 2);
        await bench.DeadLetters.DrainAsync(default);

        var letter = Assert.Single(bench.DeadLetters.List(new DeadLetterQuery(0, null, "cast", null, null, 10)));
        Assert.Equal((1L, 1L), (status.Bad, status.RowsOut));
        Assert.Equal(("m2", """{"v":"twelve"}"""), (letter.Device, System.Text.Encoding.UTF8.GetString(letter.Payload)));
        Assert.Equal("""{"n":12}""", System.Text.Encoding.UTF8.GetString(Assert.Single(bench.Host.LastRows(0, "cast", "rows", 10)!).Json.Span));
    }

    [Fact]
    public async Task Alerts_raise_once_per_meter_over_restarts_and_clear_with_hysteresis()
    {
        await using var bench = new JobBench();
        const string LowCredit = """
            {"query":"SELECT id, credit INTO low FROM telemetry WHERE credit < 5 SELECT id, credit INTO fine FROM telemetry WHERE credit > 6",
             "startFrom":"beginning",
             "outputs":{"low":{"kind":"alert","rule":"low-credit","key":["id"],"message":"{id} has {credit} left","notify":["http://127.0.0.1:1/"]},
                        "fine":{"kind":"alert-clear","rule":"low-credit","key":["id"]}}}
            """;
        await bench.PutAsync("credit", LowCredit);
        foreach (var credit in (double[])[4.5, 4.4, 5.5, 4.3])
            await bench.AppendAsync("m1", $$"""{"credit":{{credit.ToString(System.Globalization.CultureInfo.InvariantCulture)}}}""");
        await bench.AppendAsync("m2", """{"credit":1}""");
        await JobBench.UntilAsync(() => Open(bench).Count, n => n == 2);
        await bench.CaughtUpAsync("credit");
        await bench.RestartAsync();
        await bench.AppendAsync("m1", """{"credit":4.2}""");
        await bench.AppendAsync("m2", """{"credit":7}""");
        await JobBench.UntilAsync(() => Open(bench).Count, n => n == 1);

        var alert = Assert.Single(Open(bench));
        Assert.Equal(("m1", 4L, 3L, 1, "m1 has 4.2 left"), (alert.Device, alert.Rows, alert.Suppressed, alert.Notified, alert.Message));
        Assert.Equal(2, bench.Alerts.Waiting(Assert.Single(bench.Host.Find(0, "credit")!.Status.Outputs, o => o.IsNotification).Name, -1).Count);
    }

    [Fact]
    public async Task Deleting_a_job_clears_its_alerts_and_tells_nobody_of_them_any_more()
    {
        await using var bench = new JobBench();
        const string Low = """
            {"query":"SELECT id, n INTO low FROM telemetry","startFrom":"beginning",
             "outputs":{"low":{"kind":"alert","rule":"low","key":["id"],"notify":["http://127.0.0.1:1/"]}}}
            """;
        await bench.PutAsync("credit", Low);
        await bench.PutAsync("credit2", Low.Replace("\"rule\":\"low\"", "\"rule\":\"low2\""));
        await bench.AppendAsync("m1", """{"n":1}""");
        await JobBench.UntilAsync(() => Open(bench).Count, n => n == 2);

        await bench.Host.DeleteAsync(0, "credit");
        var left = Assert.Single(Open(bench));
        await using var receiver = await WebhookReceiver.StartAsync();
        await bench.AppendAsync("m2", """{"n":2}""");
        await bench.PutAsync("credit", Low.Replace("http://127.0.0.1:1/", receiver.Url.ToString()).Replace("beginning", "now"));
        await bench.AppendAsync("m3", """{"n":3}""");
        await JobBench.UntilAsync(() => receiver.All.Count, n => n > 0);

        Assert.Equal("credit2", left.Job);
        Assert.Equal(["m3"], receiver.All.SelectMany(r => r.Rows).Select(r => r.GetProperty("device").GetString()));
    }

    [Fact]
    public async Task The_name_of_the_servers_own_alerts_is_refused()
    {
        await using var bench = new JobBench();

        var error = await Assert.ThrowsAsync<JobDefinitionException>(() => bench.PutAsync("Server", PassThrough));

        Assert.Contains("its own alerts", error.Message);
    }

    [Fact]
    public async Task Reference_rows_are_joined_and_reloaded_when_the_file_changes()
    {
        await using var bench = new JobBench();
        Directory.CreateDirectory(bench.Folder["files"]);
        await File.WriteAllTextAsync(bench.Folder["files/sites.csv"], "meter,site\nm1,north\n");
        await bench.PutAsync("sites", """
            {"query":"SELECT t.n, s.site INTO rows FROM telemetry t JOIN sites s ON t.id = s.meter","startFrom":"beginning",
             "inputs":{"telemetry":{"source":"telemetry"},"sites":{"source":"reference","file":"sites.csv","refreshSeconds":0}}}
            """);
        await bench.AppendAsync("m1", """{"n":1}""");
        await JobBench.UntilAsync(() => Sites(bench).Count, n => n == 1);
        await File.WriteAllTextAsync(bench.Folder["files/sites.csv"], "meter,site\nm1,south-east\n");
        var n = 2;
        await JobBench.UntilAsync(
            () =>
            {
                bench.AppendAsync("m1", $$"""{"n":{{n++}}}""").GetAwaiter().GetResult();
                return Sites(bench);
            },
            sites => sites[^1].Contains("south-east"));

        Assert.Contains("north", Sites(bench)[0]);

        static List<string> Sites(JobBench bench) => [.. bench.Host.LastRows(0, "sites", "rows", 10_000)!.Select(r => System.Text.Encoding.UTF8.GetString(r.Json.Span))];
    }

    [Fact]
    public async Task Functions_of_the_host_can_be_called()
    {
        await using var bench = new JobBench();
        bench.Functions.Add("twice", 1, a => StreamSql.SqlValue.FromBigint(a[0].AsBigint() * 2));
        await bench.PutAsync("udf", """{"query":"SELECT udf.twice(n) AS n INTO rows FROM telemetry","startFrom":"beginning"}""");
        await bench.AppendAsync("m1", """{"n":21}""");

        var rows = await JobBench.UntilAsync(() => bench.Host.LastRows(0, "udf", "rows", 10)!, r => r.Count == 1);

        Assert.Equal("""{"n":42}""", System.Text.Encoding.UTF8.GetString(rows[0].Json.Span));
    }

    [Fact]
    public async Task A_job_reads_only_its_tenants_readings()
    {
        await using var bench = new JobBench();
        await bench.AppendAsync("m1", """{"n":1}""", tenant: 7);
        await bench.AppendAsync("m1", """{"n":2}""");
        await bench.PutAsync("pass", PassThrough);
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 1);

        Assert.Equal([2L], bench.Numbers("rows.jsonl"));
        Assert.Null(bench.Host.Find(7, "pass"));
    }

    [Fact]
    public async Task A_preview_tells_what_would_have_come_out()
    {
        await using var bench = new JobBench();
        for (var i = 0; i < 100; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        var cut = bench.Log.Blocks[40].FirstReceivedAt;

        var preview = await bench.Host.PreviewAsync(
            0, (JsonObject)JsonNode.Parse("""{"query":"SELECT n, LAG(n) OVER (LIMIT DURATION(day,1)) AS before INTO big FROM telemetry WHERE n % 2 = 0"}""")!,
            cut, long.MaxValue, 3, default);

        Assert.Equal(30, preview.Rows["big"]);
        Assert.Equal(["""{"n":40,"before":39}""", """{"n":42,"before":41}""", """{"n":44,"before":43}"""], preview.First["big"].Select(r => System.Text.Encoding.UTF8.GetString(r)));
        Assert.Empty(bench.Host.List(0));
    }

    [Theory]
    [InlineData("""{"query":"SELEC 1"}""", "1:1")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"y":{"kind":"live"}}}""", "writes no output of that name")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"x":{"kind":"fax"}}}""", "none of files")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"x":{"kind":"files","path":"../../etc/cron.d/x"}}}""", "outside the allowed folders")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"x":{"kind":"files","path":"x","format":"pdf"}}}""", "jsonl, csv, parquet")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"x":{"kind":"files","path":"x","format":"parquet","rollSeconds":0}}}""", "has to roll")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"x":{"kind":"email","to":"nobody"}}}""", "not a mail address")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"x":{"kind":"webhook","url":"ftp://x"}}}""", "not an http")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","outputs":{"x":{"kind":"sql","provider":"oracle","connection":"c","table":"t"}}}""", "oracle")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","colour":"red"}""", "colour: unknown")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","startFrom":"yesterday"}""", "yesterday")]
    [InlineData("""{"query":"SELECT a INTO x FROM telemetry","settings":{"memory_limit_mb":-1}}""", "memory_limit_mb")]
    public async Task A_definition_that_is_wrong_is_refused_with_the_reason(string json, string reason)
    {
        await using var bench = new JobBench();

        var error = await Assert.ThrowsAsync<JobDefinitionException>(() => bench.PutAsync("bad", json));

        Assert.Contains(reason, string.Join(' ', error.Errors.Select(e => $"{e.Line}:{e.Column} {e.Message}")));
        Assert.Empty(bench.Host.List(0));
    }

    [Fact]
    public void Secrets_are_hidden_and_survive_an_edit_of_what_was_shown()
    {
        var given = (JsonObject)JsonNode.Parse("""{"query":"q","outputs":{"x":{"kind":"webhook","url":"u","secret":"s3"},"y":{"kind":"alert","notify":[{"kind":"webhook","secret":"s4"}]}}}""")!;

        var shown = JobSecrets.Masked(given);
        shown["query"] = "q2";
        var back = JobSecrets.Unmask(shown, given);

        Assert.DoesNotContain("s3", shown.ToJsonString());
        Assert.Equal(given.ToJsonString().Replace("\"q\"", "\"q2\""), back.ToJsonString());
    }

    [Fact]
    public void A_secret_follows_its_target_in_a_list_and_no_other()
    {
        static JsonObject Job(string notify) => (JsonObject)JsonNode.Parse("""{"outputs":{"y":{"kind":"alert","notify":[""" + notify + "]}}}")!;
        const string A = """{"kind":"webhook","url":"http://a/","secret":"sa"}""", B = """{"kind":"webhook","url":"http://b/","secret":"sb"}""";

        var turned = JobSecrets.Unmask(JobSecrets.Masked(Job($"{B},{A}")), Job($"{A},{B}"));
        var moved = Assert.Throws<JobDefinitionException>(() => JobSecrets.Unmask(JobSecrets.Masked(Job(A.Replace("http://a/", "http://c/"))), Job($"{A},{B}")));

        Assert.Equal(Job($"{B},{A}").ToJsonString(), turned.ToJsonString());
        Assert.Contains("outputs.y.notify[0].secret: *** stands for a secret that is not known here", moved.Message);
    }

    [Fact]
    public async Task A_mask_that_stands_for_no_secret_is_refused()
    {
        await using var bench = new JobBench();
        const string Query = """{"query":"SELECT n INTO x FROM telemetry","outputs":{"x":{"kind":"webhook","url":"http://127.0.0.1:1/","secret":"s"}}}""";
        await bench.PutAsync("one", Query);

        var copied = await Assert.ThrowsAsync<JobDefinitionException>(() => bench.PutAsync("two", Query.Replace("\"s\"", "\"***\"")));
        var renamed = await Assert.ThrowsAsync<JobDefinitionException>(() => bench.PutAsync("one", Query.Replace("INTO x", "INTO z").Replace("\"x\":", "\"z\":").Replace("\"s\"", "\"***\"")));

        Assert.Contains("outputs.x.secret", copied.Message);
        Assert.Contains("outputs.z.secret", renamed.Message);
        Assert.Equal(1, bench.Host.Find(0, "one")!.Version);
    }

    [Fact]
    public void Who_only_looks_is_not_shown_the_paths_of_web_addresses()
    {
        var given = (JsonObject)JsonNode.Parse("""{"query":"https://q/x","outputs":{"x":{"kind":"webhook","url":"https://hooks.example/T0/B1"},"y":{"kind":"alert","notify":["http://h:81/p?t=1","a@b.c",{"kind":"webhook","url":"https://i/s"}]},"z":{"kind":"alert","notify":"https://j/s"}}}""")!;

        Assert.Equal(
            """{"query":"https://q/x","outputs":{"x":{"kind":"webhook","url":"https://hooks.example/***"},"y":{"kind":"alert","notify":["http://h:81/***","a@b.c",{"kind":"webhook","url":"https://i/***"}]},"z":{"kind":"alert","notify":"https://j/***"}}}""",
            JobSecrets.Masked(given, withAddresses: false).ToJsonString());
        Assert.Equal(given.ToJsonString(), JobSecrets.Masked(given).ToJsonString());
    }

    [Fact]
    public async Task A_preview_of_what_was_shown_reads_the_jobs_own_tables()
    {
        await using var bench = new JobBench();
        Directory.CreateDirectory(bench.Folder["files"]);
        using (var sites = Registry.SqliteDatabase.Open(bench.Folder["files/sites.db"]))
        {
            sites.Write((c, t) =>
            {
                using var command = c.CreateCommand();
                command.CommandText = "CREATE TABLE sites(meter TEXT, site TEXT); INSERT INTO sites VALUES('m1', 'north')";
                command.Transaction = t;
                return command.ExecuteNonQuery();
            });
        }

        await bench.AppendAsync("m1", """{"n":1}""");
        var job = await bench.PutAsync("sites", """
            {"name":"sites","query":"SELECT t.n, s.site INTO rows FROM telemetry t JOIN sites s ON t.id = s.meter","startFrom":"beginning",
             "inputs":{"telemetry":{"source":"telemetry"},"sites":{"source":"reference","provider":"sqlite","connection":"sites.db","table":"sites"}}}
            """);

        var preview = await bench.Host.PreviewAsync(0, JobSecrets.Masked(job.Definition), 0, long.MaxValue, 3, default);

        Assert.Equal(["""{"n":1,"site":"north"}"""], preview.First["rows"].Select(r => System.Text.Encoding.UTF8.GetString(r)));
    }

    private static IReadOnlyList<Alert> Open(JobBench bench) => bench.Alerts.List(new AlertQuery(0, null, true, null, null, null, 100));
}
