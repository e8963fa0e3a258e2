using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>
/// Four jobs at once over 33,334 readings a second in posts of 100: a gas utility's two queries (everything to a webhook, low credit
/// to a table), a roll-up per minute to files, and silent meters as alerts.
/// </summary>
internal static class LiveJobs
{
    private const int Devices = 100_000;
    private const int PerPost = 100;
    private const int Connections = 8;
    private const string TimeForm = "yyyy-MM-dd'T'HH:mm:ss.fff'Z'";

    /// <summary>Every so many meters one is low.</summary>
    private const int LowEvery = 100;

    private static readonly string[] Jobs = ["archive", "low-credit", "minute", "silent"];

    private sealed record Round(double Cpu, double P50, double P99, double Max, long Sent, long Lost, long Low, double Seconds);

    public static async Task RunAsync(Bench bench)
    {
        var seconds = bench.Quick ? 10 : 60;
        List<Round> without = [], with = [];
        for (var round = 0; round < bench.Options.Rounds; round++)
        {
            without.Add(await MeasureAsync(bench, seconds, withJobs: false));
            with.Add(await MeasureAsync(bench, seconds, withJobs: true));
            Bench.Note($"round {round + 1}: {without[^1].Cpu:0.00} of a core without jobs, {with[^1].Cpu:0.00} with four, p99 {with[^1].P99:0} ms");
        }

        bench.Table(
            $"{JsonShare.Rate:N0} readings/s of {Devices:N0} meters in posts of {PerPost} for {seconds} s, {Readings(0)[0].Length} bytes each",
            ["what", "share of one core", "post to webhook p50, ms", "p99, ms", "longest, ms", "readings/s", "lost", "rows of low credit"],
            [Row("the server without jobs", without), Row("the server with four jobs", with)]);
    }

    private static string[] Row(string what, List<Round> rounds) =>
    [
        what, Bench.N(Bench.Median(rounds.Select(r => r.Cpu)), "0.00"), Latency(rounds, r => r.P50), Latency(rounds, r => r.P99), Latency(rounds, r => r.Max),
        Bench.N(Bench.Median(rounds.Select(r => r.Sent / r.Seconds))), Bench.N(rounds.Sum(r => r.Lost)), Bench.N(rounds.Sum(r => r.Low)),
    ];

    private static string Latency(List<Round> rounds, Func<Round, double> of) => double.IsNaN(of(rounds[0])) ? "" : Bench.N(Bench.Median(rounds.Select(of)));

    private static async Task<Round> MeasureAsync(Bench bench, int seconds, bool withJobs)
    {
        await using var receiver = await Receiver.StartAsync();
        await using var server = await bench.StartServerAsync();
        if (withJobs)
            await PutJobsAsync(server, receiver.Url);
        // The first seconds enrol the meters and let the compiler finish; they are not what an hour looks like.
        var warmUp = await SendAsync(server, bench.Quick ? 5 : 10);
        await CaughtUpAsync(server, withJobs);
        receiver.Forget();
        var (cpu, clock) = (server.ProcessorTime, Stopwatch.StartNew());
        var sent = await SendAsync(server, seconds);
        var (share, took) = ((server.ProcessorTime - cpu).TotalSeconds / clock.Elapsed.TotalSeconds, clock.Elapsed.TotalSeconds);
        await CaughtUpAsync(server, withJobs);
        var lost = await BooksAsync(server, warmUp + sent);
        long low = 0;
        if (withJobs)
        {
            foreach (var job in Jobs)
            {
                var status = await StatusAsync(server, job);
                lost += Math.Abs(warmUp + sent - status.GetProperty("rowsIn").GetInt64()) + status.GetProperty("bad").GetInt64();
                low = job == "low-credit" ? status.GetProperty("rowsOut").GetInt64() : low;
            }

            lost += Math.Abs(warmUp + sent - receiver.Rows);
            Bench.Note($"silent meters told: {(await StatusAsync(server, "silent")).GetProperty("rowsOut")}, minutes: {(await StatusAsync(server, "minute")).GetProperty("rowsOut")} rows");
        }

        return new Round(share, receiver.Percentile(0.5), receiver.Percentile(0.99), receiver.Percentile(1), sent, lost, low, took);
    }

    /// <summary>What the ledger of HTTP cannot account for.</summary>
    private static async Task<long> BooksAsync(ServerProcess server, long sent)
    {
        var stored = await Bench.StoredAsync(server, "http");
        var received = await server.MetricAsync("millrace_readings_received_total{listener=\"http\"}");
        return (long)(Math.Abs(sent - stored) + Math.Abs(received - stored - await Bench.LostAsync(server, "http")));
    }

    private static async Task PutJobsAsync(ServerProcess server, Uri hook)
    {
        const string Columns = "originData.app.moteeui AS [Meter], userData.[time] AS [ReadAt]";
        await PutAsync(server, "archive", new
        {
            query = $"SELECT {Columns}, userData.[bought] AS [Credit], userData.[left] AS [Remaining], userData.[used] AS [Used], userData.[status] AS [Status], "
                + "userData.[version] AS [Firmware] INTO Archive FROM MeterInput",
            outputs = new { Archive = new { kind = "webhook", url = hook, batchRows = 10_000, batchMs = 100 } },
        });
        await PutAsync(server, "low-credit", new
        {
            query = $"SELECT {Columns}, userData.[left] AS [Remaining], userData.[status] AS [Status] INTO LowCredit FROM MeterInput WHERE Remaining < 5.0",
            outputs = new { LowCredit = new { kind = "sql", provider = "sqlite", connection = "low.db", table = "LowCredit" } },
        });
        await PutAsync(server, "minute", new
        {
            query = "SELECT originData.app.moteeui AS [Meter], COUNT(*) AS n, AVG(userData.[left]) AS mean, MAX(userData.[used]) AS used INTO minutes FROM MeterInput "
                + "GROUP BY originData.app.moteeui, TumblingWindow(minute, 1)",
            outputs = new { minutes = new { kind = "files", path = "minutes.jsonl", rollBytes = 64 << 20 } },
        });
        await PutAsync(server, "silent", new
        {
            query = "SELECT id, MAX(EventEnqueuedUtcTime) AS lastHeard INTO silent FROM telemetry GROUP BY id, SessionWindow(minute, 10, 1440) OVER (PARTITION BY id) "
                + "HAVING DATEDIFF(second, MAX(EventEnqueuedUtcTime), System.Timestamp()) >= 600",
            outputs = new { silent = new { kind = "alert", rule = "silent", key = "id" } },
        });
    }

    private static async Task PutAsync(ServerProcess server, string name, object definition)
    {
        using var answer = await server.Http.PutAsJsonAsync($"/api/v1/jobs/{name}", definition);
        if (!answer.IsSuccessStatusCode)
            throw new InvalidDataException(await answer.Content.ReadAsStringAsync());
    }

    private static async Task<JsonElement> StatusAsync(ServerProcess server, string job) =>
        JsonElement.Parse(await server.Http.GetStringAsync($"/api/v1/jobs/{job}/status"));

    private static async Task CaughtUpAsync(ServerProcess server, bool withJobs)
    {
        await Bench.SettledAsync(() => Bench.LagAsync(server), lag => lag == 0, TimeSpan.FromMinutes(1));
        if (withJobs)
        {
            await Bench.SettledAsync(
                async () => (await server.MetricsAsync())
                    .Where(m => m.Key.StartsWith("millrace_job_lag_readings", StringComparison.Ordinal) || m.Key.StartsWith("millrace_output_pending_rows", StringComparison.Ordinal))
                    .Sum(m => m.Value),
                waiting => waiting == 0, TimeSpan.FromMinutes(1));
        }
    }

    /// <summary>Posts at the fleet's rate; a late post is made up for. Returns the readings that were accepted.</summary>
    private static async Task<long> SendAsync(ServerProcess server, int seconds)
    {
        var posts = (long)seconds * JsonShare.Rate / PerPost;
        var start = Stopwatch.GetTimestamp();
        long next = -1;
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(_ => Task.Run(async () =>
        {
            for (var post = Interlocked.Increment(ref next); post < posts; post = Interlocked.Increment(ref next))
            {
                var wait = TimeSpan.FromSeconds((double)post * PerPost / JsonShare.Rate) - Stopwatch.GetElapsedTime(start);
                if (wait > TimeSpan.FromMilliseconds(2))
                    await Task.Delay(wait); // The schedule of the fleet, not a wait for the server.
                using var content = new ByteArrayContent(Body((int)(post % (Devices / PerPost))));
                content.Headers.ContentType = new MediaTypeHeaderValue("application/x-ndjson");
                using var answer = await server.Http.PostAsync("/api/v1/telemetry", content);
                answer.EnsureSuccessStatusCode();
            }
        })));
        return posts * PerPost;
    }

    private static readonly byte[][][] Groups = [.. Enumerable.Range(0, Devices / PerPost).Select(Readings)];

    /// <summary>The next readings of a hundred meters, with the time it is now.</summary>
    private static byte[] Body(int group)
    {
        Span<byte> now = stackalloc byte[24];
        DateTime.UtcNow.TryFormat(now, out _, TimeForm, CultureInfo.InvariantCulture);
        var body = new byte[Groups[group].Sum(line => line.Length + 1)];
        var at = 0;
        foreach (var line in Groups[group])
        {
            line.CopyTo(body, at);
            at += line.Length;
            now.CopyTo(body.AsSpan(at - 3 - now.Length));
            body[at++] = (byte)'\n';
        }

        return body;
    }

    private static byte[][] Readings(int group) => [.. Enumerable.Range(group * PerPost, PerPost).Select(device => Encoding.ASCII.GetBytes(
        "{\"originData\":{\"gw\":null,\"app\":{\"moteeui\":\"70b3d5e7" + device.ToString("x8", CultureInfo.InvariantCulture)
        + "\",\"dir\":\"up\",\"userdata\":{\"seqno\":4711,\"port\":1,\"payload\":\"AgEAD0JAAA7w4wAAUV0ABHYxLjA\"},\"motetx\":{\"freq\":481.5,\"modu\":\"LORA\","
        + "\"datr\":\"SF12BW125\",\"codr\":\"4/5\",\"adr\":false},\"gwrx\":[{\"eui\":\"fffe020100000039\",\"timefromgateway\":false,\"chan\":2,\"rfch\":0,\"rssi\":-13,\"lsnr\":9}]}},"
        + "\"userData\":{\"type\":2,\"code\":1,\"bought\":1000.0,\"left\":" + (device % LowEvery == 0 ? "3.584" : "979.171")
        + ",\"used\":20.829,\"status\":4,\"version\":\"v1.0\",\"time\":\"" + new string('0', 24) + "\"}}"))];

    /// <summary>Takes the pass-through rows and tells how old each one is.</summary>
    private sealed class Receiver(WebApplication app) : IAsyncDisposable
    {
        private const int MillisecondsMax = 60_000;

        private readonly Lock _gate = new();
        private readonly long[] _ages = new long[MillisecondsMax + 1];

        public Uri Url => new(app.Urls.First() + "/hook");

        /// <summary>Rows taken since the start.</summary>
        public long Rows { get; private set; }

        public static async Task<Receiver> StartAsync()
        {
            Receiver? receiver = null;
            return receiver = new Receiver(await WebhookReceiver.ListenAsync(context => receiver!.TakeAsync(context)));
        }

        /// <summary>Begins the ages anew.</summary>
        public void Forget()
        {
            lock (_gate)
                Array.Clear(_ages);
        }

        public double Percentile(double share)
        {
            lock (_gate)
            {
                var total = _ages.Sum();
                long below = 0;
                for (var ms = 0; total > 0 && ms < _ages.Length; ms++)
                {
                    below += _ages[ms];
                    if (below >= total * share)
                        return ms;
                }

                return double.NaN;
            }
        }

        public async ValueTask DisposeAsync() => await app.DisposeAsync();

        private async Task TakeAsync(HttpContext context)
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            var now = DateTime.UtcNow;
            lock (_gate)
                Take(body.GetBuffer().AsSpan(0, (int)body.Length), now);
        }

        private void Take(ReadOnlySpan<byte> rest, DateTime now)
        {
            var mark = "\"ReadAt\":\""u8;
            Span<char> text = stackalloc char[24];
            for (var at = rest.IndexOf(mark); at >= 0; at = rest.IndexOf(mark))
            {
                rest = rest[(at + mark.Length)..];
                Encoding.ASCII.GetChars(rest[..24], text);
                var age = (now - DateTime.ParseExact(text, TimeForm, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal | DateTimeStyles.AssumeUniversal)).TotalMilliseconds;
                _ages[Math.Clamp((int)age, 0, MillisecondsMax)]++;
                Rows++;
            }
        }
    }
}
