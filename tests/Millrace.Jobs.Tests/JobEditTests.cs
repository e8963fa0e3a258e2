using Millrace.Jobs.Running;
using Millrace.Testing;

namespace Millrace.Jobs.Tests;

/// <summary>What an edit may not cost, whatever the old version was doing.</summary>
public sealed class JobEditTests
{
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
}
