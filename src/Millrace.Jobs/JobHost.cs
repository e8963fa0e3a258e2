using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Jobs.Alerting;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Running;
using Millrace.Outputs;
using Millrace.Outputs.Live;

namespace Millrace.Jobs;

/// <summary>A job as the API shows it.</summary>
public sealed record JobInfo(string Name, int Version, bool Running, JsonObject Definition, JobStatus Status, IReadOnlyList<string> Warnings);

/// <summary>The jobs of this server: their definitions on disk, their running, their status. Thread-safe.</summary>
public sealed class JobHost : IAsyncDisposable
{
    private static readonly TimeSpan PauseMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PauseMax = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan BeatEvery = TimeSpan.FromSeconds(10);

    private readonly JobServices _services;
    private readonly ILogger _log;
    private readonly Downtime _downtime;
    private readonly ConcurrentDictionary<string, Entry> _jobs = new(StringComparer.OrdinalIgnoreCase);
    private readonly CancellationTokenSource _leaving = new();

    /// <summary>A job and its running, if it runs. Changed only under its gate: a job that takes long to stop keeps nobody else waiting.</summary>
    private sealed class Entry
    {
        public SemaphoreSlim Gate { get; } = new(1, 1);
        public required JobRecord Record { get; set; }
        public JobDefinition? Definition { get; set; }
        public IReadOnlyList<string> Warnings { get; set; } = [];
        public CancellationTokenSource? Stop { get; set; }
        public Task Running { get; set; } = Task.CompletedTask;
        public IJobLife? Run { get; set; }
        public JobState? Trouble { get; set; }
        public string? LastError { get; set; }
        public long? LastErrorAt { get; set; }
        public ConcurrentDictionary<string, LiveOutput> Live { get; } = new(StringComparer.OrdinalIgnoreCase);
    }

    public JobHost(JobServices services)
    {
        ArgumentNullException.ThrowIfNull(services);
        _services = services;
        _log = services.Logs.CreateLogger("Millrace.Jobs");
        Directory.CreateDirectory(services.Folder);
        _downtime = new Downtime(Path.Combine(services.Folder, "uptime.json"), services.Time);
        var restored = JobRestore.IsMarked(services.Folder);
        foreach (var folder in Directory.EnumerateDirectories(services.Folder).Where(JobRecord.Exists))
            Load(folder, restored);
        if (restored)
            JobRestore.Done(services.Folder);
    }

    /// <summary>Starts the jobs that ran, and keeps them running until <paramref name="leaving"/> fires; then all save and stop. Never throws.</summary>
    public async Task RunAsync(CancellationToken leaving)
    {
        foreach (var entry in _jobs.Values)
        {
            await AloneAsync(entry, () =>
            {
                if (entry.Record is { Running: true, Definition: not null } && entry.Running.IsCompleted)
                    Begin(entry);
                return Task.FromResult(true);
            });
        }

        while (!leaving.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(BeatEvery, _services.Time, leaving);
                _downtime.Beat(_services.Time.Now());
            }
            catch (OperationCanceledException)
            {
                // Leaving.
            }
            catch (IOException e)
            {
                JobsLog.WatchFailed(_log, (int)BeatEvery.TotalSeconds, e);
            }
        }

        await DisposeAsync();
    }

    /// <summary>Stops every job at its snapshot.</summary>
    public async ValueTask DisposeAsync()
    {
        await _leaving.CancelAsync();
        await Task.WhenAll(_jobs.Values.Select(entry => AloneAsync(entry, async () =>
        {
            await HaltAsync(entry);
            return true;
        })));
        try
        {
            _downtime.Beat(_services.Time.Now());
        }
        catch (IOException e)
        {
            JobsLog.WatchFailed(_log, 0, e);
        }
    }

    public IReadOnlyList<JobInfo> List(ushort tenant) =>
        [.. _jobs.Values.Where(e => e.Record.Tenant == tenant && e.Record.Definition is not null).OrderBy(e => e.Record.Name, StringComparer.Ordinal).Select(Info)];

    /// <summary>Every job of every tenant, for metrics and the watch over the server.</summary>
    public IReadOnlyList<JobInfo> All() => [.. _jobs.Values.Where(e => e.Record.Definition is not null).Select(Info)];

    public JobInfo? Find(ushort tenant, string name) =>
        _jobs.TryGetValue(name, out var entry) && entry.Record.Tenant == tenant && entry.Record.Definition is not null ? Info(entry) : null;

    /// <summary>Checks a script as a job over telemetry would be compiled; names its outputs when nothing is wrong.</summary>
    public (IReadOnlyList<JobError> Errors, IReadOnlyList<JobError> Warnings, IReadOnlyList<string> Outputs) Check(string query)
    {
        var definition = new JobDefinition(
            "check", query, null, [], StartKind.Now, 0, TimeSpan.FromSeconds(5), TimeSpan.Zero, StreamSql.OrderPolicy.Adjust,
            JobDefinition.MemoryLimitMbDefault, []);
        var compiled = definition.Compile(_services.Functions);
        return (
            [.. compiled.Errors.Select(e => new JobError(e.Line, e.Column, e.Message))], [.. compiled.Warnings.Select(e => new JobError(e.Line, e.Column, e.Message))],
            compiled.Query?.Outputs ?? []);
    }

    /// <summary>Makes a job or a new version of one; it starts unless the definition says <c>"start": false</c>.</summary>
    /// <returns>The job, and whether it is new.</returns>
    /// <exception cref="JobDefinitionException">What is wrong.</exception>
    public Task<(JobInfo Job, bool IsNew)> PutAsync(ushort tenant, string name, JsonObject source)
    {
        ArgumentNullException.ThrowIfNull(source);
        var blank = new Entry { Record = new JobRecord(name, tenant, 0, false, null, false, 0, null, null) { Incarnations = [Incarnation.New(1)] } };
        // What cannot be a name is refused below, and is not kept until then.
        var entry = JobDefinitionReader.IsName(name) ? _jobs.GetOrAdd(name, blank) : blank;
        return AloneAsync(entry, () => PutAsync(entry, tenant, name, source));
    }

    private async Task<(JobInfo Job, bool IsNew)> PutAsync(Entry entry, ushort tenant, string name, JsonObject source)
    {
        var old = entry.Record;
        var before = old.Definition;
        if (name.Equals(ServerWatch.JobName, StringComparison.OrdinalIgnoreCase))
            throw new JobDefinitionException([new JobError(1, 1, $"name: '{name}' is the name under which the server raises its own alerts; choose another one")]);
        if (before is not null && old.Tenant != tenant)
            throw new JobDefinitionException([new JobError(1, 1, $"name: '{name}' is taken; choose another one")]);
        // Names are matched without regard to case. The first spelling stays: what was delivered is known by it.
        if (old.Version > 0)
            name = old.Name;
        source = JobSecrets.Unmask(source, before);
        var definition = JobDefinitionReader.Read(name, source, _services.Functions);
        if (new OutputFactory(_services).Check(definition) is { Count: > 0 } wrong)
            throw new JobDefinitionException(wrong);
        var start = source["start"] is not JsonValue flag || !flag.TryGetValue<bool>(out var yes) || yes;
        if (before is not null && JsonNode.DeepEquals(before, source))
        {
            if (start && (!old.Running || entry.Running.IsCompleted))
                StartStopped(entry);
            return (Info(entry), false);
        }

        await HaltAsync(entry);
        try
        {
            var emitFrom = EmitFromOf(definition, old, before);
            var record = old with
            {
                Name = name,
                Tenant = tenant,
                Version = old.Version + 1,
                Running = start,
                EmitFrom = start ? emitFrom ?? FirstStart(definition) : emitFrom,
                Begun = false,
                ChangedAt = _services.Time.Now(),
                Problem = null,
                Definition = source,
                ForkAt = null,
                Continues = null,
            };
            record.Save(FolderOf(name));
            entry.Record = record;
        }
        catch
        {
            // Nothing was changed: the old version goes on.
            if (old.Running)
                Begin(entry);
            throw;
        }

        var discarded = await new LeftOutputs(_services, _log).SettleAsync(entry.Definition, definition, old.Lineage, FolderOf(name), _leaving.Token);
        SetDefinition(entry, definition);
        entry.Warnings = [.. entry.Warnings, .. discarded];
        (entry.Trouble, entry.LastError, entry.Run) = (null, null, null);
        if (start)
            Begin(entry);
        return (Info(entry), before is null);
    }

    /// <summary>Starts a stopped job at its snapshot; false when there is no such job.</summary>
    public Task<bool> StartAsync(ushort tenant, string name) => ChangeAsync(tenant, name, entry =>
    {
        if (entry.Running.IsCompleted || entry.Stop is not { IsCancellationRequested: false })
            StartStopped(entry);
        return Task.CompletedTask;
    });

    /// <summary>Stops a job at a snapshot; its rows wait in the outboxes; false when there is no such job.</summary>
    public Task<bool> StopAsync(ushort tenant, string name) => ChangeAsync(tenant, name, async entry =>
    {
        Keep(entry, entry.Record with { Running = false });
        await HaltAsync(entry);
        entry.Trouble = null;
    });

    /// <summary>Removes a job with its state and the rows that wait; what outputs hold stays. False when there is no such job.</summary>
    public Task<bool> DeleteAsync(ushort tenant, string name) => ChangeAsync(tenant, name, async entry =>
    {
        await HaltAsync(entry);
        var folder = FolderOf(name);
        try
        {
            _services.Alerts.Forget(tenant, entry.Record.Name);
            foreach (var path in Directory.EnumerateFileSystemEntries(folder).ToList())
            {
                if (Directory.Exists(path))
                    Directory.Delete(path, recursive: true);
                else if (!JobRecord.IsFile(path))
                    File.Delete(path);
            }

            Keep(entry, entry.Record with { Running = false, Definition = null, EmitFrom = null, Begun = false, ForkAt = null, Continues = null });
        }
        catch
        {
            // Still there: what was removed of its state it makes again.
            if (entry.Record.Running)
                Begin(entry);
            throw;
        }

        entry.Definition = null;
        entry.Live.Clear();
    });

    /// <summary>The last rows of an output, oldest first; null when the job is unknown.</summary>
    public IReadOnlyList<OutputRow>? LastRows(ushort tenant, string name, string output, int count) =>
        Find(tenant, name) is null ? null : _jobs[name].Live.TryGetValue(output, out var live) ? live.Last(count) : [];

    /// <summary>Runs a definition over recorded readings and gives what it would have emitted.</summary>
    /// <exception cref="JobDefinitionException">What is wrong with it.</exception>
    public Task<JobPreview> PreviewAsync(ushort tenant, JsonObject source, long from, long to, int limit, CancellationToken cancel)
    {
        var name = source["name"] is JsonValue v && v.TryGetValue<string>(out var text) ? text : "preview";
        // What the job's page shows is what it sends: secrets are those of the job it shows.
        var stored = _jobs.TryGetValue(name, out var entry) && entry.Record.Tenant == tenant ? entry.Record.Definition : null;
        var definition = JobDefinitionReader.Read(name, JobSecrets.Unmask(source, stored), _services.Functions);
        return Task.Run(() => JobPreviewRun.RunAsync(definition, tenant, from, to, limit, _services, cancel), cancel);
    }

    private async Task<bool> ChangeAsync(ushort tenant, string name, Func<Entry, Task> change) =>
        _jobs.TryGetValue(name, out var entry) && await AloneAsync(entry, async () =>
        {
            if (entry.Record.Tenant != tenant || entry.Record.Definition is null)
                return false;
            await change(entry);
            return true;
        });

    private static async Task<T> AloneAsync<T>(Entry entry, Func<Task<T>> change)
    {
        await entry.Gate.WaitAsync(CancellationToken.None);
        try
        {
            return await change();
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    /// <summary>On disk first: what could not be written is not so.</summary>
    private void Keep(Entry entry, JobRecord record)
    {
        record.Save(FolderOf(record.Name));
        entry.Record = record;
    }

    private void Load(string folder, bool restored)
    {
        try
        {
            var record = JobRecord.Load(folder);
            if (restored || record.Incarnations.Count == 0)
            {
                if (record.Incarnations.Count == 0)
                    record = record with { Incarnations = [Incarnation.New(1)] };
                if (restored)
                    record = record.Restored(_services.Log.ArrivalLowWater);
                // Before any target hears of it.
                record.Save(folder);
            }

            var entry = new Entry { Record = record };
            if (record.Definition is not null)
            {
                try
                {
                    SetDefinition(entry, JobDefinitionReader.Read(record.Name, record.Definition, _services.Functions));
                }
                catch (JobDefinitionException e)
                {
                    // A release may refuse what an older one took: the job stays, stopped, and says why.
                    Fail(entry, e.Message);
                }
            }

            _jobs[record.Name] = entry;
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            JobsLog.DefinitionUnreadable(_log, Path.GetFileName(folder), e.Message);
        }
    }

    private void SetDefinition(Entry entry, JobDefinition definition)
    {
        entry.Definition = definition;
        entry.Warnings = [.. definition.Compile(_services.Functions).Warnings.Select(w => w.ToString()!)];
    }

    /// <summary>Where a new version begins: at the old one's place, unless it is told otherwise; null: at its first start.</summary>
    private long? EmitFromOf(JobDefinition definition, JobRecord old, JsonObject? before)
    {
        var told = definition.Source["startFrom"] is { } wish && !JsonNode.DeepEquals(wish, before?["startFrom"]);
        if (before is null || told || old.EmitFrom is null)
            return null;
        var folder = FolderOf(old.Name);
        if (new JobSnapshot(folder).Load(old.Version) is not { } snapshot)
            return BatchBooks.Load(folder, old.Version)?.DoneTo ?? old.EmitFrom;
        // One that was still warming up has emitted nothing: its place is where it would have begun.
        return snapshot.Head.IsWarmUp ? snapshot.Head.EmitFrom : Math.Max(snapshot.Head.LastArrival + 1, snapshot.Head.EmitFrom);
    }

    private long FirstStart(JobDefinition definition) => definition.StartFrom switch
    {
        StartKind.Beginning => long.MinValue,
        StartKind.Time => definition.StartTime,
        _ => Math.Max(_services.Time.Now(), _services.Log.ArrivalLowWater + 1),
    };

    private void StartStopped(Entry entry)
    {
        if (entry.Definition is null)
            return;
        Keep(entry, entry.Record with { Running = true, Problem = null, EmitFrom = entry.Record.EmitFrom ?? FirstStart(entry.Definition) });
        Begin(entry);
    }

    private void Begin(Entry entry)
    {
        if (_leaving.IsCancellationRequested || entry.Definition is null)
            return;
        entry.Stop?.Dispose();
        entry.Stop = new CancellationTokenSource();
        (entry.Trouble, entry.LastError) = (null, null);
        var stop = entry.Stop.Token;
        entry.Running = Task.Run(() => KeepRunningAsync(entry, stop), CancellationToken.None);
    }

    private static async Task HaltAsync(Entry entry)
    {
        if (entry.Stop is { } stop)
            await stop.CancelAsync();
        await entry.Running;
    }

    /// <summary>Runs a job again and again until it is told to stop or cannot go on. Never throws.</summary>
    private async Task KeepRunningAsync(Entry entry, CancellationToken stop)
    {
        var pause = PauseMin;
        var folder = FolderOf(entry.Record.Name);
        while (!stop.IsCancellationRequested)
        {
            var startedAt = _services.Time.GetTimestamp();
            try
            {
                var record = entry.Record;
                // A version that has a snapshot has given out numbers.
                if (!record.Begun && new JobSnapshot(folder).Load(record.Version) is not null)
                {
                    record = record with { Begun = true };
                    Keep(entry, record);
                }

                var run = LifeOf(entry, record, folder);
                entry.Run = run;
                entry.Trouble = null;
                await run.RunAsync(stop);
                JobsLog.Stopped(_log, record.Name);
                return;
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is StreamSql.QueryMemoryException or JobDefinitionException)
            {
                Fail(entry, e.Message);
                return;
            }
            catch (JobForkException)
            {
                Keep(entry, entry.Record.Forked());
            }
            catch (JobStateLostException e)
            {
                // New numbers for new rows: the outputs would take them for repeats otherwise.
                Note(entry, JobState.Retrying, e.Message + "; a new version begins here, rows in between are not made");
                Keep(entry, entry.Record with { Version = entry.Record.Version + 1, Begun = false, EmitFrom = _services.Time.Now(), Problem = e.Message, Continues = null });
            }
            catch (Exception e)
            {
                if (_services.Time.GetElapsedTime(startedAt) > PauseMax)
                    pause = PauseMin;
                Note(entry, JobState.Retrying, e.Message);
                JobsLog.Faulted(_log, entry.Record.Name, pause.TotalSeconds, e);
                await PauseAsync(pause, stop);
                pause = pause * 2 < PauseMax ? pause * 2 : PauseMax;
            }
        }
    }

    private IJobLife LifeOf(Entry entry, JobRecord record, string folder)
    {
        LiveOutput Live(string output) => entry.Live.GetOrAdd(output, static _ => new LiveOutput());

        var start = new JobStart(record.EmitFrom!.Value, record.Begun, record.Lineage, record.ForkAt, record.Continues);
        return entry.Definition!.Schedule is null
            ? new JobRun(entry.Definition, record.Tenant, record.Version, start, folder, _services, _downtime, Live, _log)
            : new BatchRun(entry.Definition, record.Tenant, record.Version, start, folder, _services, _downtime, Live, _log);
    }

    private async Task PauseAsync(TimeSpan pause, CancellationToken stop)
    {
        try
        {
            await Task.Delay(pause, _services.Time, stop);
        }
        catch (OperationCanceledException)
        {
            // Stopping; the loop's condition ends it.
        }
    }

    private void Fail(Entry entry, string reason)
    {
        Note(entry, JobState.Failed, reason);
        JobsLog.Failed(_log, entry.Record.Name, reason);
    }

    private void Note(Entry entry, JobState trouble, string reason) =>
        (entry.Trouble, entry.LastError, entry.LastErrorAt) = (trouble, reason, _services.Time.Now());

    private JobInfo Info(Entry entry)
    {
        var status = entry.Run?.Status
            ?? JobStatus.Stopped(entry.Record.Version) with { State = entry.Running.IsCompleted ? JobState.Stopped : JobState.Starting };
        if (entry.Trouble is { } trouble)
            status = status with { State = trouble };
        else if (entry.Running.IsCompleted)
            status = status with { State = JobState.Stopped };
        status = status with { LastError = entry.LastError ?? entry.Record.Problem, LastErrorAt = entry.LastErrorAt };
        return new JobInfo(entry.Record.Name, entry.Record.Version, entry.Record.Running, entry.Record.Definition!, status, entry.Warnings);
    }

    /// <summary>Names are matched without regard to case, and so are folders everywhere.</summary>
    private string FolderOf(string name) => Path.Combine(_services.Folder, name.ToLowerInvariant());
}
