using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Log;
using Millrace.Log.Disk;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>Scheduled jobs of the built program, killed while their runs are under way.</summary>
public sealed class ScheduledJobTests
{
    private const int Hours = 40;
    private const int Devices = 150;
    private const int PerHour = 4;
    private const int Kills = 3;

    [Theory]
    [Trait("Speed", "slow")]
    [InlineData("sqlite")]
    [InlineData("mysql")]
    [InlineData("postgres")]
    public async Task Killed_while_it_works_off_its_runs_a_scheduled_job_has_each_runs_rows_once(string provider)
    {
        using var folder = new TempFolder();
        await using var receiver = await WebhookReceiver.StartAsync();
        await using var table = await ResultTable.MakeAsync(provider);
        var expected = await RecordAsync(folder["data/log"]);
        var killedAt = new List<long>();
        for (var life = 0; life < Kills; life++)
        {
            await using var server = await ServerProcess.StartAsync(folder["data"]);
            if (life == 0)
                await server.PutJobAsync("hourly", Hourly(table, receiver));
            // Each life dies somewhat further on, wherever the run is then.
            var some = expected.Count * (life + 1) / (Kills + 2);
            var status = await Eventually.UntilAsync(
                () => server.JobStatusAsync("hourly"), s => s.GetProperty("rowsOut").GetInt64() / 3 >= some, "runs of the job", TimeSpan.FromMinutes(2));
            await server.KillAsync();
            killedAt.Add(status.GetProperty("rowsOut").GetInt64() / 3);
        }

        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await Eventually.UntilAsync(
                () => server.JobStatusAsync("hourly"),
                s => s.GetProperty("rowsOut").GetInt64() == 3 * expected.Count && s.GetProperty("state").GetString() == "scheduled"
                    && s.GetProperty("outputs").EnumerateArray().All(o => o.GetProperty("pendingRows").GetInt64() == 0),
                "all runs done", TimeSpan.FromMinutes(2));
            await server.StopAsync();
        }

        var inFiles = Directory.GetFiles(folder["data/files"], "report.*.jsonl*").SelectMany(File.ReadLines).Select(line => RowOf(JsonElement.Parse(line)));
        var inTable = await table.ReadAsync(folder["data/files/rows.db"], row =>
            $"{Convert.ToInt64(row["v"], CultureInfo.InvariantCulture)} {row["id"]} {Convert.ToInt64(row["n"], CultureInfo.InvariantCulture)}");
        var hooked = receiver.All.DistinctBy(r => r.Key).SelectMany(r => r.Rows).Select(RowOf);
        Assert.True(killedAt.Count(rows => rows > 0 && rows < expected.Count) >= 2, $"of {expected.Count} rows {string.Join(", ", killedAt)} were made when it was killed");
        Assert.Equal(expected, inFiles.Order(StringComparer.Ordinal));
        Assert.Equal(expected, inTable.Order(StringComparer.Ordinal));
        Assert.Equal(expected, hooked.Order(StringComparer.Ordinal));
    }

    private static object Hourly(ResultTable table, WebhookReceiver receiver)
    {
        const string Report = "SELECT id, COUNT(*) AS n, MAX(v) AS v INTO {0} FROM telemetry GROUP BY id, TumblingWindow(hour, 1) ";
        return new
        {
            query = string.Concat("fsw".Select(output => string.Format(CultureInfo.InvariantCulture, Report, output))),
            schedule = "0 * * * *",
            startFrom = "beginning",
            outputs = new
            {
                f = (object)new { kind = "files", path = "report.jsonl", rollBytes = 50_000 },
                s = new { kind = "sql", provider = table.Provider, connection = table.Connection, table = table.Name },
                w = new { kind = "webhook", url = receiver.Url, batchRows = 400, batchMs = 0 },
            },
        };
    }

    private static string RowOf(JsonElement row) =>
        $"{row.GetProperty("v").GetInt64()} {row.GetProperty("id").GetString()} {row.GetProperty("n").GetInt64()}";

    /// <summary>A log as a server would have it that ran for some days: in each full hour some readings of every device.</summary>
    /// <returns>The rows of all runs, sorted; the value tells the hour.</returns>
    private static async Task<List<string>> RecordAsync(string folder)
    {
        var clock = new ManualTime();
        var now = DateTimeOffset.UtcNow;
        clock.Set(new DateTimeOffset(now.Year, now.Month, now.Day, now.Hour, 0, 0, TimeSpan.Zero).AddHours(-Hours).AddMinutes(1));
        List<string> rows = [];
        await using var log = await SegmentLog.OpenAsync(new LogOptions { Folder = folder }, PhysicalDisk.Instance, clock, NullLogger.Instance);
        var appender = log.OpenAppender(new ListenerLedger(ListenerId.Http), long.MaxValue);
        for (var hour = 0; hour < Hours; hour++)
        {
            for (var part = 0; part < PerHour; part++)
            {
                var batch = new ReadingBatch(log.PartitionCount);
                for (var device = 0; device < Devices; device++)
                    batch.Add(0, Encoding.UTF8.GetBytes($"m{device}"), ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, Micros.None, default, Encoding.UTF8.GetBytes($$"""{"v":{{hour}}}"""));
                await appender.AppendAsync(batch, CancellationToken.None);
                clock.Advance(TimeSpan.FromHours(1.0 / PerHour));
            }

            rows.AddRange(Enumerable.Range(0, Devices).Select(device => $"{hour} m{device} {PerHour}"));
        }

        rows.Sort(StringComparer.Ordinal);
        return rows;
    }
}
