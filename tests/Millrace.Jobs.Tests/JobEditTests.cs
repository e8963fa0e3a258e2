using Millrace.Jobs.Running;
using Millrace.Testing;

namespace Millrace.Jobs.Tests;

/// <summary>What an edit may not cost, whatever the old version was doing.</summary>
public sealed class JobEditTests
{
    private const string PassThrough =
        """{"query":"SELECT n INTO rows FROM telemetry WHERE n >= 0","startFrom":"beginning","outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}""";

    [Fact]
    public async Task A_job_edited_while_it_warms_up_begins_where_it_was_to_begin()
    {
        await using var bench = new JobBench(new ManualTime());
        var query = """
            {"query":"SELECT n, LAG(n) OVER (PARTITION BY id LIMIT DURATION(day, 7)) AS before INTO rows FROM telemetry WHERE n < 1000",
             "startFrom":"LATER","outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}
            """.Replace("LATER", bench.Clock.GetUtcNow().AddHours(1).ToString("O"));
        for (var i = 0; i < 5; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("lag", query);
        await JobBench.UntilAsync(() => bench.Host.Find(0, "lag")!.Status, s => s is { State: JobState.Warming, RowsIn: 5 });

        await bench.PutAsync("lag", query.Replace("1000", "1001"));
        await JobBench.UntilAsync(() => bench.Host.Find(0, "lag")!.Status, s => s is { State: JobState.Warming, RowsIn: 5 });
        await bench.PutAsync("lag", query.Replace("1000", "1002"));
        await bench.AppendAsync("m1", """{"n":5}""");
        await JobBench.UntilAsync(() => bench.Host.Find(0, "lag")!.Status, s => s.RowsIn == 6);
        bench.Clock.Advance(TimeSpan.FromHours(1));
        await bench.AppendAsync("m1", """{"n":6}""");
        await JobBench.UntilAsync(() => bench.Lines("rows.jsonl").Count, n => n > 0);

        Assert.Equal([(6L, 5L)], bench.Lines("rows.jsonl").Select(l => (l.GetProperty("n").GetInt64(), l.GetProperty("before").GetInt64())));
    }

    [Fact]
    public async Task Mending_the_address_of_a_full_output_repeats_no_row()
    {
        await using var bench = new JobBench();
        await bench.StopAsync();
        bench.OutboxBytesMax = 50;
        bench.Start();
        const string Query = """
            {"query":"SELECT n INTO rows FROM telemetry WHERE n < 1000","startFrom":"beginning",
             "outputs":{"rows":{"kind":"webhook","url":"http://127.0.0.1:1/","batchMs":0}}}
            """;
        for (var i = 0; i < 20; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("full", Query);
        await JobBench.UntilAsync(() => bench.Host.Find(0, "full")!.Status, s => s is { State: JobState.Waiting });
        await bench.PutAsync("full", Query.Replace("1000", "1001"));
        await JobBench.UntilAsync(() => bench.Host.Find(0, "full")!.Status, s => s is { State: JobState.Waiting });

        await using var receiver = await WebhookReceiver.StartAsync();
        await bench.PutAsync("full", Query.Replace("1000", "1002").Replace("http://127.0.0.1:1/", receiver.Url.ToString()));
        await bench.AppendAsync("m1", """{"n":20}""");
        await JobBench.UntilAsync(() => receiver.Numbers(), n => n.Contains(20));

        Assert.Equal(Enumerable.Range(0, 21).Select(n => (long)n), receiver.Numbers());
    }

    [Fact]
    public async Task A_changed_target_is_given_no_row_that_the_old_one_took()
    {
        await using var bench = new JobBench();
        await using var receiver = await WebhookReceiver.StartAsync();
        for (var i = 0; i < 5; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("pass", """
            {"query":"SELECT n INTO rows FROM telemetry","startFrom":"beginning","outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}
            """);
        await bench.CaughtUpAsync("pass");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 5);

        await bench.PutAsync("pass", """
            {"query":"SELECT n INTO rows FROM telemetry","startFrom":"beginning","outputs":{"rows":{"kind":"webhook","url":"URL","batchMs":0}}}
            """.Replace("URL", receiver.Url.ToString()));
        await bench.AppendAsync("m1", """{"n":5}""");
        await JobBench.UntilAsync(() => receiver.Numbers(), n => n.Contains(5));

        Assert.Equal([5L], receiver.Numbers());
    }

    [Fact]
    public async Task Another_spelling_of_its_name_edits_a_job_and_changes_none()
    {
        await using var bench = new JobBench();
        await bench.AppendAsync("m1", """{"n":0}""");
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");

        var edited = await bench.PutAsync("PASS", PassThrough.Replace("n >= 0", "n >= 0 AND n < 1000").Replace("{\"query\"", "{\"name\":\"PASS\",\"query\""));
        await bench.AppendAsync("m1", """{"n":1}""");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 2);
        await bench.RestartAsync();
        await bench.AppendAsync("m1", """{"n":2}""");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 3);

        Assert.Equal(("pass", 2), (edited.Name, edited.Version));
        Assert.Equal([0L, 1, 2], bench.Numbers("rows.jsonl"));
        Assert.Equal("pass", bench.Host.Find(0, "Pass")!.Name);
    }

    [Fact]
    public async Task An_edit_that_cannot_be_written_changes_nothing_and_the_job_goes_on()
    {
        await using var bench = new JobBench();
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");
        await bench.RestartAsync();
        await bench.CaughtUpAsync("pass");

        // A folder where the new file is to be made: it cannot be written.
        var blocked = Directory.CreateDirectory(bench.Folder["jobs/pass/job.json.new"]);
        await Assert.ThrowsAnyAsync<SystemException>(() => bench.PutAsync("pass", PassThrough.Replace("n >= 0", "n >= 0 AND n < 1000")));
        await Assert.ThrowsAnyAsync<SystemException>(() => bench.Host.StopAsync(0, "pass"));
        var after = bench.Host.Find(0, "pass")!;
        await bench.AppendAsync("m1", """{"n":0}""");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 1);
        blocked.Delete();
        var edited = await bench.PutAsync("pass", PassThrough.Replace("n >= 0", "n >= 0 AND n < 1000"));
        await bench.AppendAsync("m1", """{"n":1}""");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 2);

        Assert.Equal((1, true), (after.Version, after.Running));
        Assert.Equal(2, edited.Version);
    }

    [Fact]
    public async Task A_job_that_takes_long_to_stop_keeps_no_other_waiting()
    {
        await using var bench = new JobBench();
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var go = new ManualResetEventSlim();
        bench.Functions.Add("slow", 1, a =>
        {
            reached.TrySetResult();
            go.Wait();
            return a[0];
        });
        await bench.AppendAsync("m1", """{"n":0}""");
        await bench.PutAsync("slow", """{"query":"SELECT udf.slow(n) AS n INTO rows FROM telemetry","startFrom":"beginning"}""");
        await reached.Task;

        var stopping = bench.Host.StopAsync(0, "slow");
        var edited = await Task.WhenAny(bench.PutAsync("pass", PassThrough), Task.Delay(TimeSpan.FromSeconds(30))) is Task<JobInfo>;
        var waited = !stopping.IsCompleted;
        go.Set();
        await stopping;

        Assert.True(edited, "the other job could not be made");
        Assert.True(waited);
        Assert.Equal(JobState.Stopped, bench.Host.Find(0, "slow")!.Status.State);
    }

    [Fact]
    public async Task An_output_that_is_renamed_gives_its_waiting_rows_to_where_they_were_to_go()
    {
        await using var bench = new JobBench();
        await using var receiver = await WebhookReceiver.StartAsync();
        // The rows wait for an hour's mail, so to speak: nothing has gone out when the edit comes.
        var query = """
            {"query":"SELECT n INTO rows FROM telemetry","startFrom":"beginning","outputs":{"rows":{"kind":"webhook","url":"URL","batchMs":3600000}}}
            """.Replace("URL", receiver.Url.ToString());
        for (var i = 0; i < 5; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("pass", query);
        await JobBench.UntilAsync(() => bench.Host.Find(0, "pass")!.Status, s => s.Outputs is [{ Delivery.PendingRows: 5 }]);

        var edited = await bench.PutAsync("pass", query.Replace("rows", "lines").Replace("3600000", "0"));
        await bench.AppendAsync("m1", """{"n":5}""");
        await JobBench.UntilAsync(() => receiver.Numbers(), n => n.Contains(5));

        Assert.Equal([0L, 1, 2, 3, 4, 5], receiver.Numbers());
        Assert.Empty(edited.Warnings);
        Assert.Equal(["lines"], Directory.GetDirectories(bench.Folder["jobs/pass/outputs"]).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Rows_that_a_removed_output_cannot_deliver_are_discarded_counted_and_never_come_back()
    {
        await using var bench = new JobBench();
        await using var receiver = await WebhookReceiver.StartAsync();
        const string Query = """
            {"query":"SELECT n INTO rows FROM telemetry","startFrom":"beginning","outputs":{"rows":{"kind":"webhook","url":"http://127.0.0.1:1/","batchMs":0}}}
            """;
        for (var i = 0; i < 5; i++)
            await bench.AppendAsync("m1", $$"""{"n":{{i}}}""");
        await bench.PutAsync("pass", Query);
        await JobBench.UntilAsync(() => bench.Host.Find(0, "pass")!.Status, s => s.Outputs is [{ Delivery.PendingRows: 5 }]);

        var without = await bench.PutAsync("pass", """{"query":"SELECT n INTO rows FROM telemetry","startFrom":"beginning"}""");
        await bench.PutAsync("pass", Query.Replace("http://127.0.0.1:1/", receiver.Url.ToString()));
        await bench.AppendAsync("m1", """{"n":5}""");
        await JobBench.UntilAsync(() => receiver.Numbers(), n => n.Contains(5));

        Assert.Equal(["output rows is gone: 5 rows that waited for it were discarded"], without.Warnings);
        Assert.Equal([5L], receiver.Numbers());
    }

    [Fact]
    public async Task Messages_go_to_whom_they_were_written_wherever_the_list_names_them()
    {
        await using var bench = new JobBench();
        await using var receiver = await WebhookReceiver.StartAsync();
        var alert = """
            {"query":"SELECT id, n INTO low FROM telemetry","startFrom":"beginning",
             "outputs":{"low":{"kind":"alert","rule":"low","key":["id"],"notify":[LIST]}}}
            """;
        await bench.PutAsync("credit", alert.Replace("LIST", "\"http://127.0.0.1:1/\""));
        await bench.AppendAsync("m1", """{"n":1}""");
        await JobBench.UntilAsync(() => bench.Host.Find(0, "credit")!.Status, s => s.Outputs.Any(o => o is { IsNotification: true, Delivery.PendingRows: 1 }));

        await bench.PutAsync("credit", alert.Replace("LIST", $"\"{receiver.Url}\",\"http://127.0.0.1:1/\""));
        await bench.AppendAsync("m2", """{"n":2}""");
        await JobBench.UntilAsync(() => receiver.All.Count, n => n > 0);
        var waiting = await JobBench.UntilAsync(() => bench.Host.Find(0, "credit")!.Status.Outputs, o => o.Any(o => o is { IsNotification: true, Delivery: { PendingRows: 2, LastError: not null } }));

        Assert.Equal(["m2"], receiver.All.SelectMany(r => r.Rows).Select(r => r.GetProperty("device").GetString()));
        Assert.Contains("127.0.0.1:1", waiting.Single(o => o is { IsNotification: true, Delivery.PendingRows: 2 }).Delivery!.LastError);
    }

    [Fact]
    public async Task Messages_that_an_earlier_release_left_by_their_place_in_the_list_are_taken_over()
    {
        await using var bench = new JobBench();
        await bench.PutAsync("credit", """
            {"query":"SELECT id, n INTO low FROM telemetry","startFrom":"beginning",
             "outputs":{"low":{"kind":"alert","rule":"low","key":["id"],"raiseOnGap":true,"notify":["http://127.0.0.1:1/"]}}}
            """);
        await bench.AppendAsync("m1", """{"n":1}""");
        await JobBench.UntilAsync(() => bench.Host.Find(0, "credit")!.Status, s => s.Outputs.Any(o => o is { IsNotification: true, Delivery.PendingRows: 1 }));
        var now = Assert.Single(bench.Host.Find(0, "credit")!.Status.Outputs, o => o.IsNotification).Name;
        await bench.StopAsync();
        var place = Assert.Single(Directory.GetDirectories(bench.Folder["jobs/credit/outputs/low"]));
        Directory.Move(place, bench.Folder["jobs/credit/outputs/low/notify-0"]);
        bench.Alerts.RenameChannel(now, "credit/low.0");

        bench.Start();
        await bench.AppendAsync("m2", """{"n":2}""");
        await JobBench.UntilAsync(() => bench.Host.Find(0, "credit")!.Status, s => s.Outputs.Any(o => o is { IsNotification: true, Delivery.PendingRows: 2 }));

        Assert.Equal([0L, 1], bench.Alerts.Waiting(now, -1).Select(m => m.Number));
        Assert.Empty(bench.Alerts.Waiting("credit/low.0", -1));
    }
}
