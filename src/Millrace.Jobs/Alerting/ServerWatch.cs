using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Jobs.Running;
using Millrace.Outputs.Delivery;
using Millrace.Registry.Alerts;

namespace Millrace.Jobs.Alerting;

/// <summary>What the watch looks at besides jobs and log.</summary>
public sealed record ServerWatchOptions
{
    /// <summary>The folder whose disk is watched.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Who is told of the server's own alerts: mail or web addresses.</summary>
    public IReadOnlyList<string> Notify { get; init; } = [];

    /// <summary>How far the views are behind, by name.</summary>
    public Func<IEnumerable<(string View, long LagReadings)>> Views { get; init; } = () => [];

    /// <summary>A view or job that is this many readings behind for two looks in a row raises.</summary>
    public long LagReadingsMax { get; init; } = 1_000_000;

    /// <summary>Completes when the log has failed for good; the watch looks at once then.</summary>
    public Task LogFailure { get; init; } = new TaskCompletionSource().Task;

    /// <summary>Share of the disk in use, 0 to 1; replaced in tests.</summary>
    public Func<string, double> DiskUse { get; init; } = UseOf;

    private static double UseOf(string folder)
    {
        var drive = new DriveInfo(Path.GetFullPath(folder));
        return drive.TotalSize == 0 ? 0 : 1 - ((double)drive.AvailableFreeSpace / drive.TotalSize);
    }
}

/// <summary>
/// Raises alerts about the server itself: disk, log, jobs, outputs, lag. Raised above one level and cleared below another, so that none
/// flaps.
/// </summary>
public sealed class ServerWatch : IAsyncDisposable
{
    public const string JobName = "server";

    private const double DiskRaise = 0.80;
    private const double DiskClear = 0.78;
    private const int FailuresRaise = 5;
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    private static readonly Task Never = new TaskCompletionSource().Task;

    private readonly JobServices _services;
    private readonly JobHost _jobs;
    private readonly ServerWatchOptions _options;
    private readonly ILogger _log;
    private readonly List<AlertChannel> _channels = [];
    private readonly HashSet<(string Rule, string Key)> _open = [];
    private readonly HashSet<(string Rule, string Key)> _seen = [];
    private readonly HashSet<string> _lagging = [];
    private readonly HashSet<string> _standing = [];

    public ServerWatch(JobServices services, JobHost jobs, ServerWatchOptions options)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(options);
        (_services, _jobs, _options) = (services, jobs, options);
        _log = services.Logs.CreateLogger("Millrace.Alerts");
        for (var i = 0; i < options.Notify.Count; i++)
        {
            var to = options.Notify[i];
            var spec = to.StartsWith("http", StringComparison.Ordinal)
                ? new JsonObject { ["kind"] = "webhook", ["url"] = to }
                : new JsonObject { ["kind"] = "email", ["to"] = to, ["subject"] = "{severity}: {message}" };
            var whom = AlertTo.Of(JobName, "alerts", spec, i);
            if (_channels.All(c => c.Name != whom.Channel))
                _channels.Add(AlertChannel.Open(whom, Path.Combine(services.Folder, ".server"), services, _log));
        }

        // What was open when the server stopped is looked at again, and cleared if it is over.
        foreach (var alert in services.Alerts.List(new AlertQuery(0, null, true, null, null, null, 1000)).Where(a => a.Job == JobName))
            _open.Add((alert.Rule, alert.Key));
    }

    /// <summary>Looks every ten seconds until <paramref name="leaving"/> fires. Never throws.</summary>
    public async Task RunAsync(CancellationToken leaving)
    {
        var pumps = _channels.Select(c => Task.Run(() => c.RunAsync(leaving), CancellationToken.None)).ToList();
        // It fails once; after that the period alone counts.
        var wakes = _options.LogFailure;
        while (!leaving.IsCancellationRequested)
        {
            try
            {
                Look();
                if (await Task.WhenAny(Task.Delay(Period, _services.Time, leaving), wakes) == wakes)
                    wakes = Never;
                leaving.ThrowIfCancellationRequested();
            }
            catch (OperationCanceledException) when (leaving.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e)
            {
                JobsLog.WatchFailed(_log, (int)Period.TotalSeconds, e);
                await Task.WhenAny(Task.Delay(Period, _services.Time, leaving));
            }
        }

        await Task.WhenAll(pumps);
        await DisposeAsync();
    }

    /// <summary>One look at everything.</summary>
    public void Look()
    {
        _seen.Clear();
        var disk = _options.DiskUse(_options.DataFolder);
        Judge(
            "server.disk", "", disk >= (_open.Contains(("server.disk", Key(""))) ? DiskClear : DiskRaise), "critical",
            $"the disk of {_options.DataFolder} is {disk:P0} full; at its reserve the log stops accepting: free space or shorten Log:Retention");
        var state = _services.Log.State;
        Judge(
            "server.log", "", state != LogState.Accepting, "critical",
            state == LogState.Full ? $"the log does not accept readings, the disk is full: {_services.Log.StateDetail}" : $"the log does not accept readings, a write or flush failed: {_services.Log.StateDetail}");
        foreach (var (view, lag) in _options.Views())
            JudgeLag($"view {view}", lag);
        foreach (var job in _jobs.All())
            LookAt(job);
        // A job, output or view that is gone has no trouble any more.
        foreach (var (rule, key) in _open.Where(o => !_seen.Contains(o)).ToList())
            Close(rule, key);
        foreach (var channel in _channels)
            channel.Forward();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var channel in _channels)
            await channel.DisposeAsync();
        _channels.Clear();
    }

    private void LookAt(JobInfo job)
    {
        var status = job.Status;
        Judge(
            "server.job", job.Name, IsDown(job), "critical", $"job {job.Name} does not run: {status.LastError ?? "it has stopped and nobody told it to; start it again"}");
        JudgeLag($"job {job.Name}", status.LagReadings);
        foreach (var output in status.Outputs.Where(o => o.Delivery is not null))
        {
            var delivery = output.Delivery!;
            Judge(
                "server.output", $"{job.Name}/{output.Name}",
                delivery.State == OutputState.Refused || (delivery.State == OutputState.Retrying && delivery.Failures >= FailuresRaise), "warning",
                $"output {output.Name} of job {job.Name} does not get through, {delivery.PendingRows} rows wait: {delivery.LastError}");
        }
    }

    /// <summary>A job that is to run and does not. One that stands still for a moment is being edited.</summary>
    private bool IsDown(JobInfo job)
    {
        var stands = job.Running && job.Status.State == JobState.Stopped;
        var again = stands && !_standing.Add(job.Name);
        if (!stands)
            _standing.Remove(job.Name);
        return again || (job.Running && job.Status.State is JobState.Failed or JobState.Retrying);
    }

    /// <summary>Two looks in a row: a burst that is worked off is no alert.</summary>
    private void JudgeLag(string who, long lag)
    {
        var behind = lag > _options.LagReadingsMax;
        var again = behind && !_lagging.Add(who);
        if (!behind)
            _lagging.Remove(who);
        Judge("server.lag", who, again || (behind && _open.Contains(("server.lag", Key(who)))), "warning", $"{who} is {lag} readings behind the log");
    }

    private void Close(string rule, string key)
    {
        if (!_open.Contains((rule, key)))
            return;
        _services.Alerts.Clear(0, rule, key);
        _open.Remove((rule, key));
    }

    private static string Key(string subject) => subject.Length == 0 ? "[]" : System.Text.Json.JsonSerializer.Serialize(new[] { subject });

    private void Judge(string rule, string subject, bool holds, string severity, string message)
    {
        var key = Key(subject);
        _seen.Add((rule, key));
        if (!holds)
        {
            Close(rule, key);
            return;
        }

        // One row when it begins; what it says is kept as it was then, so that a growing number is not a new alert.
        if (_open.Contains((rule, key)))
            return;
        _services.Alerts.Raise(
            new AlertRule(rule, severity, null, null, AlertRule.DefaultNotifyMaxAge, true),
            new AlertRow(0, JobName, key, null, message, "{}", _services.Time.Now(), false), [.. _channels.Select(c => c.Name)]);
        // Only now: a registry that cannot be written, on a full disk say, is tried again at the next look.
        _open.Add((rule, key));
    }
}
