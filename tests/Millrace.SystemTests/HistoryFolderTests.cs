using System.Globalization;
using System.Text.Json;
using Millrace.Parquet.Tests.Support;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>The history as somebody else's tool finds it after the server has stopped.</summary>
public class HistoryFolderTests(Peers peers) : IClassFixture<Peers>
{
    /// <summary>Each life leaves a file of the hour: as many as are merged into one.</summary>
    private const int Lives = 8;

    private static readonly bool IsLong = Environment.GetEnvironmentVariable("MILLRACE_LONG") == "1";

    /// <summary>Readings of a life. With MILLRACE_LONG=1 a million are sent, and merged when nothing has come for ten minutes.</summary>
    private static readonly int PerLife = IsLong ? 1_000_000 / Lives : 1_000;

    private static readonly TimeSpan MergeDeadline = IsLong ? TimeSpan.FromMinutes(20) : TimeSpan.FromSeconds(60);

    [Fact]
    public async Task What_simulate_sent_is_read_by_duckdb_with_exact_count_and_sums_and_merging_changes_no_curve()
    {
        peers.SkipUnlessAvailable();
        using var folder = new TempFolder();
        var (curves, readings) = ("", 0);
        for (var life = 0; FilesOfAnHour(folder) < Lives; life++)
        {
            await using var server = await ServerProcess.StartAsync(folder["data"]);
            var sent = await ServerProcess.RunAsync(
                "simulate", "--protocol", "tcp", "--target", $"{server["tcp"]}", "--devices", "40", "--rate", "50000", "--count", $"{PerLife}", "--seed", $"{life}");
            Assert.True(sent.ExitCode == 0, sent.Output + sent.Errors);
            readings += PerLife;
            curves = await CurvesAsync(server, readings);
            await server.StopAsync();
        }

        var values = (await ServerCalls.DumpAsync(folder["data"])).ConvertAll(line => line.GetProperty("payload").GetProperty("value").GetDecimal());
        var (count, sum) = Ask(folder);
        Assert.Equal(readings, count);
        Assert.Equal(values.Sum(), sum);

        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await Eventually.UntilAsync(
                async () =>
                {
                    // A merge is put in place when the archive has nothing else to do: after this.
                    await server.SendTcpAsync("ACK\nwaker:{\"other\":1}\n", answers: 1);
                    return Directory.EnumerateFiles(folder["data/history"], "r1-*.parquet", SearchOption.AllDirectories).Count();
                },
                files => files > 0, "a merged file", MergeDeadline);
            Assert.Equal(curves, await CurvesAsync(server, readings));
            await server.StopAsync();
        }

        Assert.Equal((readings, values.Sum()), Ask(folder));
        var documented = peers.Run("sql.mjs", Documented().Replace("data/history", folder["data/history"], StringComparison.Ordinal));
        Assert.Equal(41, documented.GetArrayLength());
        Assert.Equal(readings, documented.EnumerateArray().Where(row => row[0].GetString() != "waker").Sum(row => long.Parse(row[1].GetString()!, CultureInfo.InvariantCulture)));
    }

    /// <summary>The most files that one hour has: an hour may end while we send.</summary>
    private static int FilesOfAnHour(TempFolder folder) => Directory.Exists(folder["data/history"])
        ? Directory.EnumerateFiles(folder["data/history"], "r0-*.parquet", SearchOption.AllDirectories).CountBy(path => Path.GetDirectoryName(path)!).Select(hour => hour.Value).DefaultIfEmpty().Max()
        : 0;

    private (long Count, decimal Sum) Ask(TempFolder folder)
    {
        var row = peers.Run(
            "sql.mjs",
            $"SELECT count(*) AS n, sum(CAST(value AS DECIMAL(18, 6))) AS total FROM read_parquet('{folder["data/history"]}/tenant=*/date=*/hour=*/r*.parquet', hive_partitioning = true, union_by_name = true) WHERE value IS NOT NULL")[0];
        return (long.Parse(row[0].GetString()!, CultureInfo.InvariantCulture), decimal.Parse(row[1].GetString()!, CultureInfo.InvariantCulture));
    }

    /// <summary>The fleet's curve once every reading is in it, and one device's.</summary>
    private static async Task<string> CurvesAsync(ServerProcess server, int readings)
    {
        var range = $"&from={DateTime.UtcNow.Date.AddDays(-2):yyyy-MM-dd}&to={DateTime.UtcNow.Date.AddDays(2):yyyy-MM-dd}";
        var fleet = await Eventually.UntilAsync(
            () => server.Http.GetStringAsync($"/api/v1/trends?field=value&interval=15m&aggregate=count,sum,min,max{range}"),
            text => JsonElement.Parse(text).GetProperty("series").EnumerateArray().SelectMany(series => series.GetProperty("points").EnumerateArray())
                .Sum(point => point.GetProperty("count").GetInt64()) == readings,
            "a curve of every reading");
        var id = JsonElement.Parse(await server.Http.GetStringAsync("/api/v1/devices?limit=1")).GetProperty("devices")[0].GetProperty("id").GetString();
        var one = await server.Http.GetStringAsync($"/api/v1/devices/{id}/history?interval=15m&aggregate=count,sum,min,max{range}");
        return JsonElement.Parse(fleet).GetProperty("series")[0].GetProperty("points").GetRawText() + "\n" + JsonElement.Parse(one).GetProperty("points").GetRawText();
    }

    /// <summary>The DuckDB statement of docs/history.md.</summary>
    private static string Documented()
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root!.FullName, "Millrace.slnx")))
            root = root.Parent;
        var page = File.ReadAllText(Path.Combine(root.FullName, "docs", "history.md"));
        var begin = page.IndexOf("```sql\n", StringComparison.Ordinal) + 7;
        return page[begin..page.IndexOf("```", begin, StringComparison.Ordinal)];
    }
}
