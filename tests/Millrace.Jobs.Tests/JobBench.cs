using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Jobs.Running;
using Millrace.Outputs.Delivery;
using Millrace.Outputs.Files;
using Millrace.Processing.DeadLetters;
using Millrace.Registry;
using Millrace.Registry.Alerts;
using Millrace.Testing;

namespace Millrace.Jobs.Tests;

/// <summary>A log in memory, a registry and the jobs over them; the jobs can be stopped and started as by a new process.</summary>
internal sealed class JobBench : IAsyncDisposable
{
    private readonly SqliteDatabase _database;
    private readonly ListenerLedger _ledger = new(ListenerId.Http);
    private CancellationTokenSource _leaving = new();
    private Task _running = Task.CompletedTask;

    private readonly TimeProvider _time;

    /// <param name="clock">Stamps the readings; null: the system's.</param>
    /// <param name="jobsToo">The jobs wait by that clock as well.</param>
    public JobBench(ManualTime? clock = null, bool jobsToo = false)
    {
        _time = jobsToo && clock is not null ? clock : TimeProvider.System;
        Clock = clock ?? new ManualTime();
        Log = new MemoryLog(4, clock);
        _database = SqliteDatabase.Open(Folder["registry.db"]);
        Alerts = new AlertBook(_database, TimeProvider.System);
        DeadLetters = new DeadLetterStore(Folder["dead-letter"], TimeProvider.System, NullLogger.Instance);
        Start();
    }

    public TempFolder Folder { get; } = new();

    public ManualTime Clock { get; }

    public MemoryLog Log { get; }

    public AlertBook Alerts { get; }

    public DeadLetterStore DeadLetters { get; }

    public StreamSql.FunctionRegistry Functions { get; } = new();

    public JobHost Host { get; private set; } = null!;

    /// <summary>Bytes that may wait for a target, from the next start on.</summary>
    public long OutboxBytesMax { get; set; } = 1L << 30;

    public JobServices Services => new()
    {
        Log = Log,
        Alerts = Alerts,
        DeadLetters = DeadLetters,
        Folder = Folder["jobs"],
        Folders = new AllowedFolders(Folder["files"], []),
        Functions = Functions,
        Time = _time,
        Logs = NullLoggerFactory.Instance,
        OutboxBytesMax = OutboxBytesMax,
        SnapshotEvery = TimeSpan.FromMilliseconds(50),
        Retry = new RetryPolicy { First = TimeSpan.FromMilliseconds(5), Max = TimeSpan.FromMilliseconds(20), AfterRefusal = TimeSpan.FromMilliseconds(20) },
    };

    public void Start()
    {
        _leaving = new CancellationTokenSource();
        Host = new JobHost(Services);
        _running = Host.RunAsync(_leaving.Token);
    }

    /// <summary>Stops as the server does, and starts anew.</summary>
    public async Task RestartAsync()
    {
        await StopAsync();
        Start();
    }

    public async Task StopAsync()
    {
        await _leaving.CancelAsync();
        await _running;
        _leaving.Dispose();
    }

    public async Task<JobInfo> PutAsync(string name, string json) => (await Host.PutAsync(0, name, (JsonObject)JsonNode.Parse(json)!)).Job;

    public async Task AppendAsync(string id, string json, ushort tenant = 0)
    {
        var batch = new ReadingBatch(Log.PartitionCount);
        batch.Add(tenant, Encoding.UTF8.GetBytes(id), ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, Micros.None, default, Encoding.UTF8.GetBytes(json));
        await Log.OpenAppender(_ledger, long.MaxValue).AppendAsync(batch, CancellationToken.None);
    }

    /// <summary>Waits until the job has read everything and its rows are where they should be.</summary>
    public async Task<JobStatus> CaughtUpAsync(string name)
    {
        var status = await UntilAsync(
            () => Host.Find(0, name)!.Status,
            s => s is { State: JobState.Running, LagReadings: 0 } && s.RowsIn >= 0 && s.Outputs.All(o => o.IsNotification || o.Delivery is null or { PendingRows: 0 }),
            s => $"{s.State} {s.LagReadings} behind, {s.LastError}");
        return status;
    }

    public static async Task<T> UntilAsync<T>(Func<T> look, Func<T, bool> good, Func<T, string>? describe = null)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            var seen = look();
            if (good(seen))
                return seen;
            if (limit.IsCancellationRequested)
                throw new TimeoutException($"waited a minute; last seen: {(describe is null ? seen?.ToString() : describe(seen))}");
            await Task.Delay(10); // Between two looks at a status that only polling shows; a minute at most.
        }
    }

    public List<JsonElement> Lines(string file) =>
        File.Exists(Folder["files/" + file]) ? [.. File.ReadAllLines(Folder["files/" + file]).Select(l => JsonDocument.Parse(l).RootElement)] : [];

    public IEnumerable<long> Numbers(string file, string column = "n") => Lines(file).Select(l => l.GetProperty(column).GetInt64());

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await DeadLetters.DisposeAsync();
        _database.Dispose();
        Folder.Dispose();
    }
}
