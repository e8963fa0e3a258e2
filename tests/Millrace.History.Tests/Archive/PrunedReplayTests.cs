using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Recorded;
using Millrace.StreamSql;

namespace Millrace.History.Tests.Archive;

/// <summary>Queries over the history that read few of its columns.</summary>
public sealed class PrunedReplayTests
{
    private static readonly string[] Scripts =
    [
        "SELECT id, a, b, time INTO o FROM t",
        "SELECT c.x AS cx, c.d.y AS y, a INTO o FROM t WHERE b > 2",
        "SELECT id, Ts, [A], c.[X] AS x INTO o FROM t",
        "SELECT c, b INTO o FROM t",
        "SELECT c.d AS d, [timestamp] INTO o FROM t",
        "SELECT time.x AS tx, ts.y AS ty, none INTO o FROM t",
        "SELECT * INTO o FROM t WHERE a IS NOT NULL",
        "SELECT id, COUNT(*) AS n, MAX(b) AS high, AVG(c.x) AS mean INTO o FROM t GROUP BY id, TumblingWindow(second, 1)",
        "SELECT PartitionId, EventEnqueuedUtcTime AS at, IoTHub.ConnectionDeviceId AS device, a INTO o FROM t WHERE b = 3 OR a = 'x'",
        "SELECT a, LAG(b) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS before INTO o FROM t TIMESTAMP BY EventEnqueuedUtcTime WHERE b IS NOT NULL",
        "SELECT CAST(b AS bigint) / a AS failing INTO o FROM t",
        "SELECT SQRT(c.x - 3) AS mostlyFailing, c.X INTO o FROM t",
    ];

    [Fact]
    public async Task Reading_only_what_a_query_names_changes_no_row_and_no_dead_letter()
    {
        for (var seed = 1; seed <= 5; seed++)
        {
            using var past = await RecordedPast.MakeAsync(seed, (random, _) => Tricky(random));
            foreach (var script in Scripts)
            {
                var pruned = Run(past.History, script);
                Assert.Equal(Run(new Unpruned(past.History), script), pruned);
                Assert.NotEmpty(pruned);
            }
        }
    }

    [Fact]
    public async Task The_log_and_the_pruned_history_give_the_same_rows()
    {
        using var past = await RecordedPast.MakeAsync(7, (random, i) => string.Create(
            CultureInfo.InvariantCulture,
            $$$"""{"a":{{{random.Next(100) / 8.0}}},"b":{{{random.Next(5)}}},"c":{"x":{{{i}}},"d":{"y":"t{{{i % 3}}}"}},"filler":"{{{i}}}","more":{"n":{{{i}}}}}"""));
        foreach (var script in Scripts)
            Assert.Equal(Run(past.Log, script), Run(past.History, script));
    }

    [Fact]
    public async Task A_replay_in_pieces_reads_no_column_that_nobody_wants()
    {
        using var past = await RecordedPast.MakeAsync(3, (_, i) => $$$"""{"a":{{{i}}},"b":"x","c":{"x":{{{i}}}.5,"d":true}}""");
        var wanted = new WantedFields([["a"], ["C", "d"], ["nothing"]], InPieces: true);

        foreach (var reading in past.Reader.Replay(new ReplayRange { Fields = wanted }))
        {
            Assert.True(reading.IsInPieces);
            var pieces = reading.Pieces;
            Assert.True(pieces.MoveNext());
            Assert.Equal((0, PieceKind.Integer), (pieces.Path, pieces.Kind));
            Assert.True(pieces.MoveNext());
            Assert.Equal((1, PieceKind.True), (pieces.Path, pieces.Kind));
            Assert.False(pieces.MoveNext());
        }

        var json = past.Reader.Replay(new ReplayRange { Fields = wanted with { InPieces = false } }).Select(reading => Encoding.UTF8.GetString(reading.Json.Span)).First();
        Assert.Equal("""{"a":0,"c":{"d":true}}""", json);
    }

    /// <summary>Rows and dead letters, with whole payloads as JSON values.</summary>
    private static List<string> Run(IRecordedReadings readings, string script)
    {
        var definition = new JobDefinition("past", script, null, [], StartKind.Beginning, 0, TimeSpan.Zero, TimeSpan.Zero, OrderPolicy.Adjust, 256, []);
        var compiled = definition.Compile(null);
        Assert.Empty(compiled.Errors);
        var sink = new Kept();
        new RecordedRun(definition, compiled.Query!, sink, 0).Run(readings, RecordedRun.Beginning, long.MaxValue, _ => true, TestContext.Current.CancellationToken);
        return sink.Lines;
    }

    /// <summary>Objects with names in two spellings, other types in the same field, arrays, empty objects, and times said in several ways.</summary>
    private static string Tricky(Random random)
    {
        var members = new List<string>();
        foreach (var name in (string[])["a", "b", "c", "time", "ts", "A", "C", "Time", "extra"])
        {
            if (random.Next(name is "a" or "b" or "c" ? 5 : 3) != 0 == name is "a" or "b" or "c")
                members.Add($"\"{name}\":{Value(random, name is "c" or "C" ? 2 : 0)}");
        }

        return $"{{{string.Join(',', members)}}}";
    }

    private static string Value(Random random, int depth) => random.Next(depth > 0 ? 3 : 12) switch
    {
        0 or 1 when depth > 0 => $"{{\"{(random.Next(6) == 0 ? "X" : "x")}\":{Value(random, 0)},\"d\":{(random.Next(3) == 0 ? Value(random, depth - 1) : """{"y":1}""")}}}",
        0 => "\"x\"",
        1 => "[1,2]",
        2 => "null",
        3 => "{}",
        4 => "true",
        5 => "\"2026-03-01T00:00:00Z\"",
        6 => "1772323200",
        7 => "-0.5",
        8 => "1e20",
        _ => random.Next(6).ToString(CultureInfo.InvariantCulture),
    };

    private sealed class Kept : IQuerySink
    {
        public List<string> Lines { get; } = [];

        public void OnRow(OutputRow row) => Lines.Add($"{row.TimestampTicks} {Sorted(Encoding.UTF8.GetString(row.Json))}");

        public void OnDeadLetter(in DeadLetter letter) =>
            Lines.Add($"{letter.Query} {letter.Reason} {letter.ArrivalMicroseconds} {Sorted(Encoding.UTF8.GetString(letter.Payload.Span))}");

        /// <summary>The history keeps members in the order of their names.</summary>
        private static string Sorted(string json) => json.Length == 0 ? "" : Sorted(JsonNode.Parse(json));

        private static string Sorted(JsonNode? node) => node is JsonObject members
            ? $"{{{string.Join(',', members.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => $"{member.Key}:{Sorted(member.Value)}"))}}}"
            : node?.ToJsonString() ?? "null";
    }

    /// <summary>Reads everything, whatever is wanted.</summary>
    private sealed class Unpruned(IRecordedReadings readings) : IRecordedReadings
    {
        public IRecordedReader Open(long fromReceivedAt, long toReceivedAt, WantedFields? fields) => readings.Open(fromReceivedAt, toReceivedAt);
    }

    /// <summary>Readings in a log, and the same in the history of a log that has forgotten them.</summary>
    private sealed class RecordedPast : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("millrace-pruned-").FullName;
        private readonly TestLog _log = new(2);

        public IRecordedReadings Log => new RecordedInLog(_log);

        public ArchiveReader Reader => new(_folder, Assert.Fail, new ArchiveReaderOptions { SortBytesMax = 16 << 10, Threads = 2 });

        public IRecordedReadings History => new RecordedInHistory(new Forgotten(_log.Durable), Reader);

        public static async Task<RecordedPast> MakeAsync(int seed, Func<Random, int, string> payload)
        {
            var past = new RecordedPast();
            var random = new Random(seed);
            var view = new ArchiveView(new LocalHistoryStore(past._folder, flush: false), new ArchiveOptions { MergeFiles = 3 }, NullLogger.Instance);
            await view.OpenAsync(past._log, default);
            for (var block = 0; block < 12; block++)
            {
                var readings = Enumerable.Range(block * 20, 20).Select(i => ($"d{random.Next(4)}", -(i % 3) * 3_600_000_000L, payload(random, i), (ushort)(i % 7 == 6 ? 1 : 0)));
                await view.ApplyAsync(past._log.Append(block % 2, [.. readings]), default);
                if (block % 4 == 3)
                    await view.CheckpointAsync(past._log.Durable, default);
            }

            view.MergeOne();
            return past;
        }

        public void Dispose() => Directory.Delete(_folder, recursive: true);
    }

    private sealed class Forgotten(PositionVector end) : IRecordedLog
    {
        public int PartitionCount => end.Count;

        public PositionVector Durable => end;

        public PositionVector Oldest => end;

        public PositionVector PositionAt(long receivedAt) => end.Copy();

        public ILogReader OpenReader(PositionVector from) => new TestLog(end.Count).OpenReader(from);
    }
}
