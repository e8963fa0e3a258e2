using System.Buffers;
using System.Diagnostics;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Processing.Latest;
using Millrace.Registry;

// What a million devices cost: memory, updates, reads, saving, restoring, and the registry beside it.
//   dotnet run --project bench/Millrace.LatestBench -c Release -- [devices] [payload bytes]

const int partitions = 8;
const int perBlock = 4000;
var devices = args.Length > 0 ? int.Parse(args[0]) : 1_000_000;
var payloadBytes = args.Length > 1 ? int.Parse(args[1]) : 5;
var folder = Directory.CreateTempSubdirectory("millrace-bench-").FullName;
try
{
    Console.WriteLine($"{devices:N0} devices, payloads of {payloadBytes} bytes, {partitions} partitions, {Environment.ProcessorCount} cores");
    var payload = Encoding.ASCII.GetBytes(payloadBytes <= 8 ? "21.45678"[..payloadBytes] : "{\"v\":\"" + new string('x', payloadBytes - 8) + "\"}");
    var ids = Enumerable.Range(0, devices).Select(i => Encoding.ASCII.GetBytes($"AB{i:0000000}")).ToArray();
    new Random(1).Shuffle(ids);
    var (first, second) = (MakeBlocks(ids, payload, 0), MakeBlocks(ids, payload, 1));
    ids = null!;
    Collect();
    var idle = ResidentMegabytes();

    using var table = new DeviceTable(partitions, devices * 2L);
    var view = new LatestValueView(table, Path.Combine(folder, "latest"), TimeProvider.System, NullLogger<LatestValueView>.Instance);
    view.Restore(CancellationToken.None);
    await MeasureAsync("first readings", devices, async () => { foreach (var b in first) await view.ApplyAsync(b, default); });
    for (var i = 0; i < 3; i++)
        await MeasureAsync("updates in random order", devices, async () => { foreach (var b in i % 2 == 0 ? second : first) await view.ApplyAsync(b, default); });
    Console.WriteLine($"  native memory of the table {table.Bytes / 1e6:N0} MB = {(double)table.Bytes / devices:N0} bytes a device; process grew by {ResidentMegabytes() - idle:N0} MB");

    var random = new Random(2);
    var output = new ArrayBufferWriter<byte>(1024);
    await MeasureAsync("reads of random devices", devices, () =>
    {
        Span<byte> id = stackalloc byte[9];
        for (var i = 0; i < devices; i++)
        {
            Encoding.ASCII.GetBytes($"AB{random.Next(devices):0000000}", id);
            output.ResetWrittenCount();
            if (!table.TryRead(0, id, output, out _))
                throw new InvalidOperationException("a device is missing");
        }

        return ValueTask.CompletedTask;
    });
    await MeasureAsync("walk for the silent", devices, () => { table.Silent(0, long.MaxValue, null, 100); return ValueTask.CompletedTask; });
    await MeasureAsync("save", devices, () => view.CheckpointAsync(view.Position.Copy(), default));
    Console.WriteLine($"  snapshot {Directory.GetFiles(Path.Combine(folder, "latest")).Sum(f => new FileInfo(f).Length) / 1e6:N0} MB");
    for (var i = 0; i < 3; i++)
    {
        using var restored = new DeviceTable(partitions, devices * 2L);
        var again = new LatestValueView(restored, Path.Combine(folder, "latest"), TimeProvider.System, NullLogger<LatestValueView>.Instance);
        await MeasureAsync("restore", devices, () => { again.Restore(default); return ValueTask.CompletedTask; });
        if (restored.Count != devices)
            throw new InvalidOperationException($"restored {restored.Count}");
    }

    using var database = SqliteDatabase.Open(Path.Combine(folder, "registry.db"));
    var registry = new SqliteRegistry(database, TimeProvider.System);
    await MeasureAsync("enrol in batches of 4096", devices, () =>
    {
        foreach (var chunk in Enumerable.Range(0, devices).Chunk(4096))
            registry.Enrol([.. chunk.Select(i => ((ushort)0, $"AB{i * 7919L % devices:0000000}", 1L))], new PositionVector(partitions));
        return ValueTask.CompletedTask;
    });
    using (var followed = new DeviceTable(partitions, devices * 2L))
        await MeasureAsync("table from the registry's ids", devices, () => { followed.Follow(registry); return ValueTask.CompletedTask; });
    foreach (var search in (string[])["AB0000", "99999", "no such device"])
        await MeasureAsync($"search '{search}', all pages", 1, () => { Search(registry, search); return ValueTask.CompletedTask; });
}
finally
{
    Directory.Delete(folder, recursive: true);
}

static void Search(SqliteRegistry registry, string text)
{
    var (requests, found, longest) = (0, 0, TimeSpan.Zero);
    string? after = null;
    do
    {
        var started = Stopwatch.GetTimestamp();
        var page = registry.List(new DeviceQuery(0, text, null, null, after, 100));
        longest = Stopwatch.GetElapsedTime(started) is var took && took > longest ? took : longest;
        (requests, found, after) = (requests + 1, found + page.Devices.Count, page.Next);
    }
    while (after is not null && found < 100);

    Console.WriteLine($"  '{text}': {found} found in {requests} requests, longest {longest.TotalMilliseconds:N0} ms");
}

static List<LogBlock> MakeBlocks(byte[][] ids, byte[] payload, int round)
{
    var blocks = new List<LogBlock>();
    var next = new long[partitions];
    var receivedAt = 1_700_000_000_000_000L + round * 1_000_000_000L;
    foreach (var chunk in ids.Chunk(perBlock * partitions))
    {
        var batch = new ReadingBatch(partitions);
        foreach (var id in chunk)
            batch.Add(0, id, ListenerId.Udp, PayloadFormat.Text, ReadingFlags.None, Micros.None, [], payload);
        for (var p = 0; p < partitions; p++)
        {
            var count = batch.CountOf(p);
            blocks.Add(new LogBlock(p, round * 10_000_000L + next[p], count, receivedAt, batch.RecordsOf(p).ToArray()));
            next[p] += count;
            receivedAt += count;
        }
    }

    return blocks;
}

static async Task MeasureAsync(string what, int operations, Func<ValueTask> work)
{
    var started = Stopwatch.GetTimestamp();
    await work();
    var took = Stopwatch.GetElapsedTime(started);
    Console.WriteLine($"{what,-32} {took.TotalMilliseconds,9:N0} ms {took.TotalNanoseconds / operations,9:N0} ns each");
}

static void Collect()
{
    GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
    GC.WaitForPendingFinalizers();
}

static double ResidentMegabytes()
{
    Collect();
    using var process = Process.GetCurrentProcess();
    return process.WorkingSet64 / 1e6;
}
