using System.Text.Json.Nodes;
using Millrace.Core;
using Millrace.Jobs.Alerting;
using Millrace.Jobs.Running;
using Millrace.Outputs.Delivery;
using Millrace.Registry.Alerts;
using Millrace.Testing;

namespace Millrace.Jobs.Tests;

/// <summary>The alerts that the server raises about itself.</summary>
public sealed class ServerWatchTests : IAsyncLifetime
{
    private readonly JobBench _bench = new();
    private double _diskUse;
    private long _lag;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _bench.DisposeAsync();

    [Fact]
    public async Task A_disk_is_told_at_80_percent_once_and_cleared_below_78()
    {
        await using var watch = Watch();
        var states = new List<int>();
        foreach (var use in (double[])[0.79, 0.80, 0.95, 0.79, 0.77])
        {
            _diskUse = use;
            watch.Look();
            states.Add(Open("server.disk").Count);
        }

        Assert.Equal([0, 1, 1, 1, 0], states);
        Assert.Single(_bench.Alerts.List(new AlertQuery(0, null, null, "server.disk", null, null, 10)));
    }

    [Fact]
    public async Task A_log_that_does_not_accept_is_told_with_what_is_wrong_until_it_accepts_again()
    {
        await using var watch = Watch();

        (_bench.Log.State, _bench.Log.StateDetail) = (LogState.Failed, "the flush of segment 7 failed");
        watch.Look();
        var failed = Assert.Single(Open("server.log"));
        (_bench.Log.State, _bench.Log.StateDetail) = (LogState.Accepting, null);
        watch.Look();

        Assert.Equal("critical", failed.Severity);
        Assert.Contains("a write or flush failed: the flush of segment 7 failed", failed.Message);
        Assert.Empty(Open("server.log"));
    }

    [Fact]
    public async Task A_log_that_fails_is_told_at_once_and_not_at_the_next_look()
    {
        var failure = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        // The watch's own clock stands still: only the failure can wake it.
        await using var watch = Watch(new ManualTime(), failure.Task);
        using var leaving = new CancellationTokenSource();
        var running = watch.RunAsync(leaving.Token);

        (_bench.Log.State, _bench.Log.StateDetail) = (LogState.Failed, "gone");
        failure.SetResult();
        await JobBench.UntilAsync(() => Open("server.log").Count, n => n == 1);
        await leaving.CancelAsync();
        await running;
    }

    [Fact]
    public async Task A_view_that_is_behind_for_two_looks_is_told_and_a_burst_is_not()
    {
        await using var watch = Watch();
        var states = new List<int>();
        foreach (var lag in (long[])[2_000_000, 0, 2_000_000, 2_000_000, 10])
        {
            _lag = lag;
            watch.Look();
            states.Add(Open("server.lag").Count);
        }

        Assert.Equal([0, 0, 0, 1, 0], states);
    }

    [Fact]
    public async Task A_failing_output_and_a_failed_job_are_told_by_name()
    {
        await using var watch = Watch();
        await _bench.PutAsync("dead", """
            {"query":"SELECT n INTO hook FROM telemetry","startFrom":"beginning","outputs":{"hook":{"kind":"webhook","url":"http://127.0.0.1:1/","batchMs":0}}}
            """);
        await _bench.PutAsync("greedy", """
            {"query":"SELECT COLLECT(big) AS everything INTO rows FROM telemetry GROUP BY TumblingWindow(day, 7)","startFrom":"beginning","settings":{"memory_limit_mb":1}}
            """);
        for (var n = 0; n < 5000; n++)
            await _bench.AppendAsync("m" + n, $$"""{"n":{{n}},"big":"{{new string('x', 1000)}}"}""");
        await JobBench.UntilAsync(() => _bench.Host.Find(0, "dead")!.Status, s => s.Outputs.Count > 0 && s.Outputs[0].Delivery is { Failures: >= 5, State: OutputState.Retrying });
        await JobBench.UntilAsync(() => _bench.Host.Find(0, "greedy")!.Status, s => s.State == JobState.Failed);

        watch.Look();
        var output = Assert.Single(Open("server.output"));
        var job = Assert.Single(Open("server.job"));
        await _bench.Host.DeleteAsync(0, "dead");
        await _bench.Host.DeleteAsync(0, "greedy");
        watch.Look();

        Assert.Contains("output hook of job dead does not get through", output.Message);
        Assert.Contains("job greedy does not run: ", job.Message);
        Assert.Empty(Open("server.output").Concat(Open("server.job")));
    }

    [Fact]
    public async Task A_job_that_stands_still_though_it_is_to_run_is_told_at_the_second_look()
    {
        await using var watch = Watch();
        await _bench.PutAsync("still", """{"query":"SELECT n INTO rows FROM telemetry"}""");
        await _bench.StopAsync();

        watch.Look();
        var once = Open("server.job").Count;
        watch.Look();
        var job = Assert.Single(Open("server.job"));
        _bench.Start();

        Assert.Equal(0, once);
        Assert.Contains("job still does not run: it has stopped", job.Message);
    }

    [Fact]
    public async Task What_was_open_before_a_restart_is_cleared_after_it_and_told_no_second_time()
    {
        _diskUse = 0.9;
        await using (var before = Watch(notify: "http://127.0.0.1:1/"))
            before.Look();
        await using (var between = Watch(notify: "http://127.0.0.1:1/"))
            between.Look();
        _diskUse = 0.1;
        await using (var after = Watch(notify: "http://127.0.0.1:1/"))
            after.Look();

        Assert.Empty(Open("server.disk"));
        Assert.Single(_bench.Alerts.Waiting(AlertTo.Of(ServerWatch.JobName, "alerts", new JsonObject { ["kind"] = "webhook", ["url"] = "http://127.0.0.1:1/" }, 0).Channel, -1));
    }

    private ServerWatch Watch(TimeProvider? time = null, Task? logFailure = null, params string[] notify) => new(
        _bench.Services with { Time = time ?? TimeProvider.System }, _bench.Host,
        new ServerWatchOptions
        {
            DataFolder = _bench.Folder.Path,
            DiskUse = _ => _diskUse,
            Views = () => [("latest", _lag)],
            Notify = notify,
            LogFailure = logFailure ?? new TaskCompletionSource().Task,
        });

    private IReadOnlyList<Alert> Open(string rule) => _bench.Alerts.List(new AlertQuery(0, null, true, rule, null, null, 10));
}
