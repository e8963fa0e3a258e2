using Millrace.QueryBench;

// dotnet run -c Release --project bench/Millrace.QueryBench -- [meters] [readings] [rounds] [part of a query's name]
//   … -- history [readings] [rounds]   the same over the Parquet files of a history
//   first processor seconds of one thread, then the clock with one and with two threads
// Beside DuckDB on one thread when its node package is installed: cd tests/Millrace.Parquet.Tests/peers && npm install --no-package-lock
var root = AppContext.BaseDirectory;
while (root is not null && !File.Exists(Path.Combine(root, "Millrace.slnx")))
    root = Path.GetDirectoryName(root);
var peers = Path.Combine(root ?? ".", "tests", "Millrace.Parquet.Tests", "peers");
using var duck = Directory.Exists(Path.Combine(peers, "node_modules")) ? new DuckDb(peers) : null;
if (duck is null)
    Console.WriteLine("DuckDB is not installed (npm install in tests/Millrace.Parquet.Tests/peers): no ratios");
if (args is ["history", ..])
{
    await OverHistory.RunAsync(args.Length > 1 ? int.Parse(args[1]) : 2_000_000, args.Length > 2 ? int.Parse(args[2]) : 3, duck);
    return;
}

var meters = args.Length > 0 ? int.Parse(args[0]) : 300_000;
var readings = args.Length > 1 ? int.Parse(args[1]) : 2_000_000;
var rounds = args.Length > 2 ? int.Parse(args[2]) : 5;
var only = args.Length > 3 ? args[3] : "";
const int devices = 100_000;

var folder = Directory.CreateTempSubdirectory("millrace-query-bench-").FullName;
var meterFile = Path.Combine(folder, "meters.jsonl");
var readingFile = Path.Combine(folder, "readings.jsonl");
Samples.WriteMeters(meterFile, meters);
Samples.WriteReadings(readingFile, readings, devices, eventsPerMinute: readings / 4);
Console.WriteLine($"meters: {meters:N0} events of {new FileInfo(meterFile).Length / meters} bytes; "
    + $"readings: {readings:N0} events of {new FileInfo(readingFile).Length / readings} bytes, {devices:N0} devices, 4 minutes");

const string archive = """
    SELECT originData.app.moteeui AS [Meter], userData.[time] AS [ReadAt], userData.[bought] AS [Credit], userData.[left] AS [Remaining],
        userData.[used] AS [Used], userData.[status] AS [Status], userData.[version] AS [Firmware]
    INTO Archive FROM MeterInput
    SELECT originData.app.moteeui AS [Meter], userData.[time] AS [ReadAt], userData.[left] AS [Remaining], userData.[status] AS [Status]
    INTO LowCredit FROM MeterInput WHERE Remaining < 5.0
    """;
var meterRows = $"""
    SELECT originData.app.moteeui AS Meter, userData.time AS ReadAt, userData.bought AS Credit, userData."left" AS Remaining,
        userData.used AS Used, userData.status AS Status, userData.version AS Firmware
    FROM read_json('{meterFile}', format='newline_delimited', columns={'{'}
        originData: 'STRUCT(app STRUCT(moteeui VARCHAR))',
        userData: 'STRUCT("time" VARCHAR, bought DOUBLE, "left" DOUBLE, used DOUBLE, status BIGINT, version VARCHAR)'{'}'})
    """;
var readingRows = $"read_json('{readingFile}', format='newline_delimited', columns={{id: 'VARCHAR', value: 'DOUBLE', ts: 'TIMESTAMP'}})";

var cases = new List<(string Name, string Script, string Input, string File, int Events, string[] Peer)>
{
    ("archive and low credit", archive, "MeterInput", meterFile, meters,
    [
        $"CREATE OR REPLACE TEMP TABLE archive AS {meterRows}",
        "CREATE OR REPLACE TEMP TABLE low AS SELECT Meter, ReadAt, Remaining, Status FROM archive WHERE Remaining < 5.0",
    ]),
    ("tumbling minute, count/avg/max", "SELECT id, COUNT(*) AS n, AVG(value) AS mean, MAX(value) AS high INTO o FROM r TIMESTAMP BY ts GROUP BY id, TumblingWindow(minute, 1)",
        "r", readingFile, readings,
        [$"CREATE OR REPLACE TEMP TABLE t AS SELECT id, time_bucket(INTERVAL 1 minute, ts) AS w, count(*), avg(value), max(value) FROM {readingRows} GROUP BY 1, 2"]),
    ("hopping 4 minutes by 1", "SELECT id, COUNT(*) AS n, AVG(value) AS mean INTO o FROM r TIMESTAMP BY ts GROUP BY id, HoppingWindow(minute, 4, 1)",
        "r", readingFile, readings,
        [$"CREATE OR REPLACE TEMP TABLE t AS SELECT id, time_bucket(INTERVAL 1 minute, ts) + h.h * INTERVAL 1 minute AS w, count(*), avg(value) FROM {readingRows}, range(4) h(h) GROUP BY 1, 2"]),
    ("sliding minute, count >= 12", "SELECT id, COUNT(*) AS n INTO o FROM r TIMESTAMP BY ts GROUP BY id, SlidingWindow(minute, 1) HAVING COUNT(*) >= 12",
        "r", readingFile, readings,
        [$"CREATE OR REPLACE TEMP TABLE t AS SELECT * FROM (SELECT id, count(*) OVER (PARTITION BY id ORDER BY ts RANGE BETWEEN INTERVAL 1 minute PRECEDING AND CURRENT ROW) AS n FROM {readingRows}) WHERE n >= 12"]),
    ("LAG per device", "SELECT id, value - LAG(value) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS used INTO o FROM r TIMESTAMP BY ts",
        "r", readingFile, readings,
        [$"CREATE OR REPLACE TEMP TABLE t AS SELECT id, value - lag(value) OVER (PARTITION BY id ORDER BY ts) AS used FROM {readingRows}"]),
};

Console.WriteLine($"{"",-32} {"Millrace",12} {"DuckDB",12} {"ratio",6} {"rows",12} {"state B/key",12} {"alloc B/event",14}");
foreach (var (name, script, input, file, events, peer) in cases.Where(c => c.Name.Contains(only, StringComparison.OrdinalIgnoreCase)))
{
    var ours = new List<double>();
    var theirs = new List<double>();
    Measured last = null!;
    for (var round = 0; round < rounds + 1; round++)
    {
        // The first round warms caches and compilers of both and does not count.
        last = Engine.Run(script, input, file, events);
        var other = duck is null ? 0 : peer.Sum(duck.Run);
        if (round == 0)
            continue;
        ours.Add(last.Seconds);
        theirs.Add(other);
    }

    var mine = Median(ours);
    var peerSeconds = Median(theirs);
    Console.WriteLine($"{name,-32} {events / mine,10:N0}/s {(duck is null ? "" : $"{events / peerSeconds:N0}/s"),12} "
        + $"{(duck is null ? "" : $"{peerSeconds / mine:0.00}"),6} {last.Rows,12:N0} {last.StateBytes / (double)devices,12:0} {last.AllocatedBytes / (double)events,14:0.0}");
}

// By the clock, the faster of the rounds, by turns: two threads are for those who wait.
const int manyThreads = 2;
Console.WriteLine($"{"by the clock",-32} {"one thread",12} {$"{manyThreads} threads",12} {"times",6} {"processors",12}");
foreach (var (name, script, input, file, events, _) in cases.Where(c => c.Name.Contains(only, StringComparison.OrdinalIgnoreCase)))
{
    var one = new List<Measured>();
    var many = new List<Measured>();
    for (var round = 0; round < rounds; round++)
    {
        one.Add(Engine.Run(script, input, file, events));
        many.Add(Engine.Run(script, input, file, events, manyThreads));
        if (one[^1].Rows != many[^1].Rows)
            throw new InvalidOperationException($"{many[^1].Rows} rows instead of {one[^1].Rows}");
    }

    var (alone, together) = (one.MinBy(m => m.Elapsed)!, many.MinBy(m => m.Elapsed)!);
    Console.WriteLine($"{name,-32} {events / alone.Elapsed,10:N0}/s {events / together.Elapsed,10:N0}/s {alone.Elapsed / together.Elapsed,6:0.00} "
        + $"{together.Seconds / alone.Seconds,11:0.00}x");
}

Directory.Delete(folder, recursive: true);

static double Median(List<double> values)
{
    values.Sort();
    return values[values.Count / 2];
}
