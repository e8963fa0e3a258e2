using System.Diagnostics;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Recorded;
using Millrace.StreamSql;

namespace Millrace.QueryBench;

/// <summary>Queries over the Parquet history, as the log has forgotten it, beside DuckDB over the same files.</summary>
internal static class OverHistory
{
    private const int Devices = 2_400;
    private const long Begin = 1_772_438_400_000_000;   // 2026-03-02T08:00:00Z

    private static readonly (string Name, string Script, Func<string, string> Peer)[] Cases =
    [
        ("low credit",
            """SELECT id AS Meter, time AS ReadAt, [left] AS Remaining, status AS Status INTO low FROM telemetry WHERE [left] < 5""",
            files => $"""CREATE OR REPLACE TEMP TABLE t AS SELECT device, time, "left", status FROM {files} WHERE "left" < 5"""),
        ("tumbling minute, count/avg/max",
            """SELECT id, COUNT(*) AS n, AVG([left]) AS mean, MAX(used) AS high INTO o FROM telemetry GROUP BY id, TumblingWindow(minute, 1)""",
            files => $"""CREATE OR REPLACE TEMP TABLE t AS SELECT device, time_bucket(INTERVAL 1 minute, received_at) AS w, count(*), avg("left"), max(used) FROM {files} GROUP BY 1, 2"""),
    ];

    public static async Task RunAsync(int readings, int rounds, DuckDb? duck)
    {
        var folder = Directory.CreateTempSubdirectory("millrace-history-bench-").FullName;
        var log = new ForgottenLog();
        await WriteAsync(folder, log, readings);
        var files = Directory.GetFiles(folder, "*.parquet", SearchOption.AllDirectories);
        Console.WriteLine($"{readings:N0} readings of {Devices:N0} devices in {files.Length} files, {files.Sum(f => new FileInfo(f).Length) / (double)readings:0.00} bytes each");
        Console.WriteLine($"{"",-32} {"Millrace",12} {"DuckDB",12} {"ratio",6} {"rows",12}");
        foreach (var (name, script, peer) in Cases)
        {
            var (ours, theirs, rows) = (new List<double>(), new List<double>(), 0L);
            for (var round = 0; round < rounds + 1; round++)
            {
                (var seconds, rows) = Run(folder, log, script, readings);
                var other = duck?.Run(peer($"read_parquet('{folder}/tenant=*/date=*/hour=*/r*.parquet', union_by_name = true)")) ?? 0;
                if (round == 0)
                    continue;   // It warms caches and compilers of both.
                ours.Add(seconds);
                theirs.Add(other);
            }

            ours.Sort();
            theirs.Sort();
            var (mine, its) = (ours[rounds / 2], theirs[rounds / 2]);
            Console.WriteLine($"{name,-32} {readings / mine,10:N0}/s {(duck is null ? "" : $"{readings / its:N0}/s"),12} {(duck is null ? "" : $"{its / mine:0.00}"),6} {rows,12:N0}");
        }

        var alone = Enumerable.Range(0, rounds + 1).Select(_ => Replay(folder, readings)).Skip(1).Order().ToList();
        Console.WriteLine($"{"of it reading in order alone",-32} {readings / alone[rounds / 2],10:N0}/s");
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Processor seconds of giving two fields of all readings in order of arrival.</summary>
    private static double Replay(string folder, int readings)
    {
        using var self = Process.GetCurrentProcess();
        var before = self.TotalProcessorTime;
        var count = new ArchiveReader(folder).Replay(new ReplayRange { Fields = new WantedFields([["id"], ["left"], ["used"]], InPieces: true) }).Count();
        self.Refresh();
        return count == readings ? (self.TotalProcessorTime - before).TotalSeconds : throw new InvalidOperationException($"{count} of {readings} readings came");
    }

    private static (double Seconds, long Rows) Run(string folder, ForgottenLog log, string script, int readings)
    {
        var definition = new JobDefinition("bench", script, null, [], StartKind.Beginning, 0, TimeSpan.FromSeconds(5), TimeSpan.Zero, OrderPolicy.Adjust, 1024, []);
        var sink = new CountingSink();
        var run = new RecordedRun(definition, definition.Compile(null).Query!, sink, tenant: 0);
        using var self = Process.GetCurrentProcess();
        var before = self.TotalProcessorTime;
        run.Run(new RecordedInHistory(log, new ArchiveReader(folder)), RecordedRun.Beginning, long.MaxValue, _ => true, CancellationToken.None);
        self.Refresh();
        return run.Readings == readings && run.Counters.Bad == 0 ? ((self.TotalProcessorTime - before).TotalSeconds, sink.Rows) : throw new InvalidOperationException($"{run.Readings} of {readings} readings came: {run.Counters}");
    }

    /// <summary>Meters of the sample of the Parquet bench: each 30 s, by the archive as the server runs it, merged to the end.</summary>
    private static async Task WriteAsync(string folder, ForgottenLog log, int readings)
    {
        var view = new ArchiveView(folder, new ArchiveOptions(), NullLogger.Instance);
        await view.OpenAsync(log, CancellationToken.None);
        var random = new Random(3);
        var records = new byte[512];
        for (var i = 0; i < readings; i++)
        {
            var arrival = Begin + (i * 30_000_000L / Devices);
            var payload = Encoding.UTF8.GetBytes(string.Create(
                CultureInfo.InvariantCulture, $$"""{"bought":100,"left":{{random.Next(100_000) / 1000.0}},"used":{{i / Devices * 0.001}},"status":{{(i % 97 == 0 ? 2 : 0)}}}"""));
            var id = Encoding.UTF8.GetBytes($"ffff{i % Devices:x12}");
            var length = ReadingRecord.Measure(id.Length, 0, payload.Length);
            ReadingRecord.Write(records.AsSpan(0, length), 0, id, ListenerId.Udp, PayloadFormat.Json, ReadingFlags.None, arrival - random.Next(400_000), [], payload);
            await view.ApplyAsync(new LogBlock(0, i, 1, arrival, records.AsMemory(0, length)), CancellationToken.None);
        }

        log.Durable[0] = readings;
        await view.CheckpointAsync(log.Durable, CancellationToken.None);
        while (view.MergeOne())
        {
            // One day at a time, as the server does when it is idle.
        }
    }

    /// <summary>A log whose readings are all past its retention.</summary>
    private sealed class ForgottenLog : IReadingLog
    {
        public int PartitionCount => 1;

        public LogState State => LogState.Accepting;

        public string? StateDetail => null;

        public PositionVector Durable { get; } = new(1);

        public PositionVector Oldest => Durable;

        public long ArrivalLowWater => 0;

        public ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax) => throw new NotSupportedException();

        public ILogReader OpenReader(PositionVector from) => new Nothing(from);

        public PositionVector PositionAt(long receivedAt) => Durable.Copy();

        private sealed class Nothing(PositionVector position) : ILogReader
        {
            public PositionVector Position => position;

            public LogBlock? TryRead() => null;

            public LostRange? TakeLost() => null;

            public ValueTask<LogBlock> ReadAsync(CancellationToken cancel) => throw new NotSupportedException();

            public void Dispose()
            {
                // It holds nothing.
            }
        }
    }
}
