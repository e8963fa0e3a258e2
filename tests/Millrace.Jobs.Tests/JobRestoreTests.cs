using System.Text.Json.Nodes;
using Millrace.Jobs.Running;
using Millrace.Outputs.Delivery;

namespace Millrace.Jobs.Tests;

/// <summary>Targets that know more of a job than the data folder does: after a loss, a restore, or of another server.</summary>
public sealed class JobRestoreTests
{
    private const string PassThrough =
        """{"query":"SELECT n INTO rows FROM telemetry WHERE n >= 0","startFrom":"beginning","outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}""";

    [Fact]
    public async Task A_new_data_folder_does_not_write_on_where_another_ended()
    {
        await using var bench = new JobBench();
        await AppendAsync(bench, 0, 5);
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");
        await bench.StopAsync();

        Directory.Delete(bench.Folder["jobs"], recursive: true);
        bench.Log.ForgetNewest(5);
        bench.Start();
        await AppendAsync(bench, 100, 103);
        await bench.PutAsync("pass", PassThrough);
        var status = await JobBench.UntilAsync(() => bench.Host.Find(0, "pass")!.Status, s => s.Outputs is [{ Delivery.State: OutputState.Refused }] && s.RowsOut == 3);

        Assert.Contains("another server writes them, or an earlier data folder did", status.Outputs[0].Delivery!.LastError);
        Assert.Equal(3, status.Outputs[0].Delivery!.PendingRows);
        Assert.Equal([0L, 1, 2, 3, 4], bench.Numbers("rows.jsonl"));
    }

    [Fact]
    public async Task A_restored_job_misses_no_new_row_and_repeats_none_of_before()
    {
        await using var bench = new JobBench();
        await AppendAsync(bench, 0, 5);
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");
        await bench.StopAsync();
        Copy(bench.Folder["jobs"], bench.Folder["backup"]);
        bench.Start();
        await AppendAsync(bench, 5, 15);
        await bench.CaughtUpAsync("pass");
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n == 15);
        await bench.StopAsync();

        // The backup's log ends at 9; its snapshot of the job at 4.
        Directory.Delete(bench.Folder["jobs"], recursive: true);
        Copy(bench.Folder["backup"], bench.Folder["jobs"]);
        bench.Log.ForgetNewest(5);
        JobRestore.Mark(bench.Folder["jobs"]);
        bench.Start();
        await AppendAsync(bench, 100, 103);
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 18);
        await bench.RestartAsync();
        await AppendAsync(bench, 103, 105);
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 20);

        Assert.Equal([.. Enumerable.Range(0, 15), .. Enumerable.Range(100, 5)], bench.Numbers("rows.jsonl").Select(n => (int)n));
        Assert.Equal(2, bench.Host.Find(0, "pass")!.Version);
    }

    [Fact]
    public async Task A_restored_job_goes_on_with_its_open_windows()
    {
        await using var bench = new JobBench();
        await AppendAsync(bench, 0, 4);
        await bench.PutAsync("sum", """
            {"query":"SELECT SUM(n) OVER (PARTITION BY id LIMIT DURATION(day, 7)) AS n INTO rows FROM telemetry","startFrom":"beginning",
             "outputs":{"rows":{"kind":"files","path":"rows.jsonl"}}}
            """);
        await bench.CaughtUpAsync("sum");
        await bench.StopAsync();

        JobRestore.Mark(bench.Folder["jobs"]);
        // The readings that fill the window are gone: only the state has them.
        bench.Log.ForgetBlocks(4);
        bench.Start();
        await AppendAsync(bench, 4, 5);
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 5);

        Assert.Equal([0L, 1, 3, 6, 10], bench.Numbers("rows.jsonl"));
        Assert.Equal(2, bench.Host.Find(0, "sum")!.Version);
    }

    [Fact]
    public async Task A_job_of_an_earlier_release_is_opened_and_named()
    {
        await using var bench = new JobBench();
        await AppendAsync(bench, 0, 3);
        await bench.PutAsync("pass", PassThrough);
        await bench.CaughtUpAsync("pass");
        await bench.StopAsync();
        foreach (var (path, names) in new[] { (bench.Folder["jobs/pass/job.json"], new[] { "Format", "Incarnations", "ForkAt", "Continues" }), (bench.Folder["files/.rows.jsonl.millrace"], ["Incarnation"]) })
        {
            var json = JsonNode.Parse(await File.ReadAllTextAsync(path))!.AsObject();
            Assert.All(names, name => Assert.True(json.Remove(name)));
            await File.WriteAllTextAsync(path, json.ToJsonString());
        }

        bench.Start();
        await AppendAsync(bench, 3, 5);
        await JobBench.UntilAsync(() => bench.Numbers("rows.jsonl").Count(), n => n >= 5);

        Assert.Equal([0L, 1, 2, 3, 4], bench.Numbers("rows.jsonl"));
        Assert.Contains("Incarnations", await File.ReadAllTextAsync(bench.Folder["jobs/pass/job.json"]));
    }

    private static async Task AppendAsync(JobBench bench, int from, int to)
    {
        for (var n = from; n < to; n++)
            await bench.AppendAsync("m1", $$"""{"n":{{n}}}""");
    }

    private static void Copy(string from, string to)
    {
        foreach (var path in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(from, path));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(path, copy);
        }
    }
}
