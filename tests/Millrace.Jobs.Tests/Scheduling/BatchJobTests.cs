using Millrace.Jobs.Running;
using Millrace.Testing;

namespace Millrace.Jobs.Tests.Scheduling;

/// <summary>Scheduled jobs over a log whose clock the test moves; it begins at noon.</summary>
public sealed class BatchJobTests
{
    private const string Hourly = """
        {"query":"SELECT id, COUNT(*) AS n, SUM(v) AS v INTO rows FROM telemetry GROUP BY id, TumblingWindow(hour, 1)",
         "schedule":"0 * * * *","startFrom":"beginning","outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}
        """;

    [Fact]
    public async Task Each_hour_gives_its_rows_once_over_restarts_and_downtime()
    {
        await using var bench = new JobBench(new ManualTime());
        await SendHourAsync(bench, 1);
        await bench.PutAsync("hourly", Hourly);
        await SendHourAsync(bench, 2);
        await UntilRowsAsync(bench, 1);

        await bench.RestartAsync();
        await SendHourAsync(bench, 3);
        await UntilRowsAsync(bench, 2);
        await bench.StopAsync();
        await SendHourAsync(bench, 4);
        await SendHourAsync(bench, 5);
        await SendHourAsync(bench, 6);
        bench.Start();
        await UntilRowsAsync(bench, 5);
        var status = await JobBench.UntilAsync(() => bench.Host.Find(0, "hourly")!.Status, s => s is { State: JobState.Scheduled, RowsIn: 20 });

        Assert.Equal([4L, 8, 12, 16, 20], bench.Numbers("rows.jsonl", "v"));
        Assert.All(bench.Numbers("rows.jsonl"), n => Assert.Equal(4, n));
        Assert.Equal((5L, 18), (status.RowsOut, Core.Micros.ToDateTime(status.NextRunAt!.Value).Hour));
    }

    [Fact]
    public async Task A_period_whose_end_was_not_recorded_before_a_crash_comes_again_and_leaves_no_row_twice()
    {
        await using var bench = new JobBench(new ManualTime());
        for (var hour = 1; hour <= 4; hour++)
            await SendHourAsync(bench, hour);
        await bench.PutAsync("hourly", Hourly);
        await UntilRowsAsync(bench, 3);
        await bench.StopAsync();

        // As killed before the first period's books were written: all of it is done again.
        File.Delete(bench.Folder["jobs/hourly/batch.json"]);
        bench.Start();
        await SendHourAsync(bench, 5);
        await UntilRowsAsync(bench, 4);

        Assert.Equal([4L, 8, 12, 16], bench.Numbers("rows.jsonl", "v"));
    }

    [Fact]
    public async Task A_restored_scheduled_job_goes_on_with_the_next_period_as_a_new_version()
    {
        await using var bench = new JobBench(new ManualTime());
        await SendHourAsync(bench, 1);
        await bench.PutAsync("hourly", Hourly);
        await SendHourAsync(bench, 2);
        await UntilRowsAsync(bench, 1);
        await bench.StopAsync();

        JobRestore.Mark(bench.Folder["jobs"]);
        bench.Start();
        await SendHourAsync(bench, 3);
        await SendHourAsync(bench, 4);
        await UntilRowsAsync(bench, 3);

        Assert.Equal([4L, 8, 12], bench.Numbers("rows.jsonl", "v"));
        Assert.Equal(2, bench.Host.Find(0, "hourly")!.Version);
    }

    [Fact]
    public async Task A_period_of_another_length_reaches_back_from_the_time_due()
    {
        await using var bench = new JobBench(new ManualTime());
        for (var hour = 1; hour <= 4; hour++)
            await SendHourAsync(bench, hour);
        await bench.PutAsync("hourly", Hourly.Replace("\"startFrom\"", "\"period\":\"30m\",\"startFrom\""));
        await UntilRowsAsync(bench, 3);

        // Readings come every quarter, the first one minute past the hour: two fall into the second half.
        Assert.Equal([2L, 2, 2], bench.Numbers("rows.jsonl"));
    }

    [Fact]
    public async Task An_edited_schedule_goes_on_after_the_last_period_of_the_old_version()
    {
        await using var bench = new JobBench(new ManualTime());
        await SendHourAsync(bench, 1);
        await SendHourAsync(bench, 2);
        await bench.PutAsync("hourly", Hourly);
        await UntilRowsAsync(bench, 1);

        var edited = await bench.PutAsync("hourly", Hourly.Replace("SUM(v)", "SUM(v) * 100"));
        await SendHourAsync(bench, 3);
        await UntilRowsAsync(bench, 2);

        Assert.Equal(2, edited.Version);
        Assert.Equal([4L, 800], bench.Numbers("rows.jsonl", "v"));
    }

    [Fact]
    public async Task Reference_rows_are_those_of_the_time_the_period_began()
    {
        await using var bench = new JobBench(new ManualTime());
        Directory.CreateDirectory(bench.Folder["files"]);
        await File.WriteAllTextAsync(bench.Folder["files/sites.csv"], "meter,site\nm1,north\n");
        await SendHourAsync(bench, 1);
        await SendHourAsync(bench, 2);
        await bench.PutAsync("sites", """
            {"query":"SELECT s.site, COUNT(*) AS n INTO rows FROM telemetry t JOIN sites s ON t.id = s.meter GROUP BY s.site, TumblingWindow(hour, 1)",
             "inputs":{"telemetry":{"source":"telemetry"},"sites":{"source":"reference","file":"sites.csv"}},
             "schedule":"0 * * * *","startFrom":"beginning","outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}
            """);
        await UntilRowsAsync(bench, 1);
        await File.WriteAllTextAsync(bench.Folder["files/sites.csv"], "meter,site\nm1,south-east\n");
        await bench.RestartAsync();
        await SendHourAsync(bench, 3);
        await UntilRowsAsync(bench, 2);

        Assert.Equal(["north", "south-east"], bench.Lines("rows.jsonl").Select(l => l.GetProperty("site").GetString()));
    }

    [Fact]
    public async Task Between_runs_the_status_tells_how_the_outputs_are_doing_now()
    {
        var clock = new ManualTime();
        await using var bench = new JobBench(clock, jobsToo: true);
        await SendHourAsync(bench, 1);
        await SendHourAsync(bench, 2);
        await bench.PutAsync("hourly", Hourly);

        // The output waits a moment for more rows; the job looks again half a minute later, which does not come.
        var begun = clock.GetUtcNow();
        await JobBench.UntilAsync(
            () =>
            {
                if (clock.GetUtcNow() < begun.AddSeconds(10))
                    clock.Advance(TimeSpan.FromMilliseconds(20));
                return bench.Lines("rows.jsonl").Count;
            },
            n => n > 0);

        await JobBench.UntilAsync(() => bench.Host.Find(0, "hourly")!.Status.Outputs[0].Delivery!.PendingRows, rows => rows == 0);
    }

    [Theory]
    [InlineData("\"schedule\":\"every hour\"", "2 fields")]
    [InlineData("\"schedule\":\"0 * * * *\",\"tz\":\"Atlantis\"", "Atlantis")]
    [InlineData("\"schedule\":\"0 * * * *\",\"period\":\"soon\"", "a time is seconds")]
    [InlineData("\"period\":\"1h\"", "belong to a")]
    public async Task A_schedule_that_is_wrong_is_refused_with_the_reason(string members, string reason)
    {
        await using var bench = new JobBench();

        var error = await Assert.ThrowsAsync<Definitions.JobDefinitionException>(
            () => bench.PutAsync("bad", $$"""{"query":"SELECT a INTO x FROM telemetry",{{members}}}"""));

        Assert.Contains(reason, error.Message);
    }

    /// <summary>Four readings of the hour, a quarter apart, each with the value given, beginning one minute past it.</summary>
    private static async Task SendHourAsync(JobBench bench, int value)
    {
        bench.Clock.Advance(TimeSpan.FromMinutes(1));
        for (var quarter = 0; quarter < 4; quarter++)
        {
            await bench.AppendAsync("m1", $$"""{"v":{{value}}}""");
            bench.Clock.Advance(TimeSpan.FromMinutes(quarter < 3 ? 15 : 14));
        }
    }

    private static Task UntilRowsAsync(JobBench bench, int rows) =>
        JobBench.UntilAsync(() => bench.Lines("rows.jsonl").Count, n => n >= rows, n => $"{n} rows, {bench.Host.List(0)[0].Status}");
}
