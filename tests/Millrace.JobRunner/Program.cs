using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Jobs;
using Millrace.Log;
using Millrace.Log.Disk;
using Millrace.Outputs.Files;
using Millrace.Registry;
using Millrace.Registry.Alerts;

// Runs one job over a log in a folder, as the server would, and is killed by a test. Arguments: folder, job, devices, rounds, and
// whether to append, and the first meter's first time. A reading is made by its number alone, so every life goes on where the log ends. Prints one line per second of
// work, "caught-up" when the job has read everything, and exits 3 when the job read the log from before its snapshot.
var (folder, job, devices, rounds, append) = (args[0], args[1], int.Parse(args[2], CultureInfo.InvariantCulture), int.Parse(args[3], CultureInfo.InvariantCulture), args[4] == "append");
var began = DateTime.Parse(args[5], CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal);
var log = await SegmentLog.OpenAsync(new LogOptions { Folder = Path.Combine(folder, "log"), Partitions = 4 }, PhysicalDisk.Instance, TimeProvider.System, NullLogger.Instance);
using var database = SqliteDatabase.Open(Path.Combine(folder, "registry.db"));
var definition = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, job + ".json")))!;
var jobFolder = Path.Combine(folder, "jobs", job);
var guarded = new GuardedLog(log, NewestSnapshotPosition(jobFolder));
await using var host = new JobHost(new JobServices
{
    Log = guarded,
    Alerts = new AlertBook(database, TimeProvider.System),
    Folder = Path.Combine(folder, "jobs"),
    Folders = new AllowedFolders(Path.Combine(folder, "files"), []),
    Logs = NullLoggerFactory.Instance,
    SnapshotEvery = TimeSpan.FromMilliseconds(700),
});
using var leaving = new CancellationTokenSource();
var running = host.RunAsync(leaving.Token);
await host.PutAsync(0, job, definition);
Console.WriteLine("started");

if (append)
    await AppendAsync();
while (host.Find(0, job)!.Status is var status && (status.LagReadings > 0 || status.State is not Millrace.Jobs.Running.JobState.Running || status.Outputs.Any(o => o.Delivery!.PendingRows > 0)))
{
    if (guarded.ReadTooEarly is { } early)
    {
        Console.WriteLine(early);
        return 3;
    }

    if (status.LastError is { } error)
        Console.WriteLine(error);
    await Task.Delay(50); // The program runs until it is killed or done; this is how often it looks.
}

if (guarded.ReadTooEarly is { } tooEarly)
{
    Console.WriteLine(tooEarly);
    return 3;
}

Console.WriteLine($"caught-up {host.Find(0, job)!.Status.RowsOut} rows, state {host.Find(0, job)!.Status.MemoryBytes} bytes, snapshot {host.Find(0, job)!.Status.SnapshotBytes} bytes");
await leaving.CancelAsync();
await running;
await log.DisposeAsync();
return 0;

async Task AppendAsync()
{
    var ledger = new ListenerLedger(ListenerId.Http);
    var appender = log.OpenAppender(ledger, 64 << 20);
    // What each partition holds already is skipped: readings are appended in the order of their numbers.
    var held = log.Durable.Copy();
    var seen = new long[log.PartitionCount];
    var batch = new ReadingBatch(log.PartitionCount);
    for (long n = 0; n < (long)devices * rounds; n++)
    {
        var id = Encoding.UTF8.GetBytes($"m{n % devices:D6}");
        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(0, id), log.PartitionCount);
        if (seen[partition]++ < held[partition])
            continue;
        // Each round is a day later by the meters' own clocks.
        var time = began.AddDays(n / devices).AddMilliseconds(n % devices * 3_600_000 / devices);
        var payload = Encoding.UTF8.GetBytes($$"""{"time":"{{time:yyyy-MM-ddTHH:mm:ss.fffZ}}","register":{{(n / devices * 10) + (n % 7)}},"pad":"{{new string('x', 60)}}"}""");
        batch.Add(0, id, ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, Micros.None, default, payload);
        if (batch.Count == 2000)
        {
            await appender.AppendAsync(batch, CancellationToken.None);
            batch.Clear();
        }
    }

    if (batch.Count > 0)
        await appender.AppendAsync(batch, CancellationToken.None);
    Console.WriteLine("appended");
}

// Reads the position out of the snapshots' heads by their documented format, without the product's code.
static PositionVector? NewestSnapshotPosition(string folder)
{
    (long SavedAt, PositionVector Position)? newest = null;
    foreach (var path in Directory.Exists(folder) ? Directory.GetFiles(folder, "snapshot-?") : [])
    {
        var bytes = File.ReadAllBytes(path);
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(8));
        using var head = JsonDocument.Parse(bytes.AsMemory(12, length));
        var savedAt = head.RootElement.GetProperty("SavedAt").GetInt64();
        if (newest is null || savedAt > newest.Value.SavedAt)
            newest = (savedAt, PositionVector.Parse(head.RootElement.GetProperty("Position").GetString()!));
    }

    return newest?.Position;
}

/// <summary>The log, noting when somebody reads from before the snapshot.</summary>
internal sealed class GuardedLog(IReadingLog inner, PositionVector? least) : IReadingLog
{
    public string? ReadTooEarly { get; private set; }

    public int PartitionCount => inner.PartitionCount;

    public LogState State => inner.State;

    public string? StateDetail => inner.StateDetail;

    public PositionVector Durable => inner.Durable;

    public PositionVector Oldest => inner.Oldest;

    public long ArrivalLowWater => inner.ArrivalLowWater;

    public ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax) => inner.OpenAppender(ledger, pendingBytesMax);

    public ILogReader OpenReader(PositionVector from)
    {
        for (var p = 0; least is not null && p < from.Count; p++)
        {
            if (from[p] < least[p])
                ReadTooEarly = $"partition {p} was read from {from[p]}, before the snapshot's {least[p]}";
        }

        return inner.OpenReader(from);
    }

    public PositionVector PositionAt(long receivedAt) => inner.PositionAt(receivedAt);
}
