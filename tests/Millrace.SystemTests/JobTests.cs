using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>Jobs, outputs and alerts of the built program: as a user makes them, and on bad days.</summary>
public sealed class JobTests
{
    /// <summary>The low-credit half of a gas utility's script, as it was published.</summary>
    private const string LowCredit = """
        SELECT originData.app.moteeui AS [Meter], userData.[time] AS [ReadAt], userData.[left] AS [Remaining], userData.[status] AS [Status]
        INTO LowCredit FROM MeterInput WHERE Remaining < 5.0
        """;

    [Fact]
    public async Task A_pasted_low_credit_query_tells_a_webhook_exactly_once_per_meter()
    {
        using var folder = new TempFolder();
        await using var receiver = await WebhookReceiver.StartAsync();
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await server.PutJobAsync("low-credit", new
            {
                query = LowCredit,
                outputs = new { LowCredit = new { kind = "alert", rule = "low-credit", key = new[] { "Meter" }, message = "{Meter} has {Remaining} m³ left", notify = receiver.Url } },
            });
            var sent = await ServerProcess.RunAsync(
                "simulate", "--protocol", "http", "--target", server["http"].ToString(), "--payload", "gas-meter", "--devices", "2000", "--rate", "0", "--count",
                "10000", "--batch", "100");
            Assert.True(sent.ExitCode == 0, sent.Errors + sent.Output);
            await server.CaughtUpAsync("low-credit", rowsIn: 10_000);
            await server.StopAsync();
        }

        var low = (await ServerCalls.DumpAsync(folder["data"])).Select(line => line.GetProperty("payload"))
            .Where(reading => reading.GetProperty("userData").GetProperty("left").GetDouble() < 5)
            .Select(reading => reading.GetProperty("originData").GetProperty("app").GetProperty("moteeui").GetString()!).ToList();
        var told = receiver.All.DistinctBy(r => r.Key).SelectMany(r => r.Rows).Select(row => row.GetProperty("device").GetString()!).ToList();

        Assert.True(low.Count > low.Distinct().Count(), "no meter was low twice, so nothing was tested");
        Assert.Equal(low.Distinct().Order(), told.Order());
    }

    [Fact]
    public Task Killed_at_random_moments_no_row_is_missing_none_is_twice_and_repeats_carry_the_same_key() => KillAndCompareAsync("sqlite", 1);

    [Theory]
    [Trait("Speed", "slow")]
    [InlineData("sqlite", 2)]
    [InlineData("mysql", 3)]
    [InlineData("postgres", 4)]
    public Task Killed_at_other_moments_every_database_holds_every_row_once(string provider, int seed) => KillAndCompareAsync(provider, seed);

    [Fact]
    public async Task A_webhook_that_fails_refuses_and_hangs_loses_nothing_and_keeps_nobody_waiting()
    {
        using var folder = new TempFolder();
        using var hanging = new CancellationTokenSource();
        await using var receiver = await WebhookReceiver.StartAsync();
        receiver.Answer = async (number, context) =>
        {
            switch (number)
            {
                case 0:
                    context.Response.StatusCode = 500;
                    break;
                case 1:
                    context.Response.StatusCode = 429;
                    context.Response.Headers.RetryAfter = "1";
                    break;
                case 2:
                    // Answers nothing until the test lets go of it.
                    await Task.WhenAny(Task.Delay(Timeout.Infinite, hanging.Token));
                    break;
            }
        };
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        await server.PutJobAsync("slow", new
        {
            query = "SELECT n INTO hook FROM telemetry SELECT n INTO file FROM telemetry",
            outputs = new { hook = (object)new { kind = "webhook", url = receiver.Url, batchMs = 0 }, file = new { kind = "files", path = "file.jsonl" } },
        });
        await server.PutJobAsync("other", new { query = "SELECT n INTO file FROM telemetry", outputs = new { file = new { kind = "files", path = "other.jsonl" } } });

        var answers = await server.SendTcpAsync("ACK\n" + string.Concat(Enumerable.Range(0, 200).Select(n => $"{{\"id\":\"m1\",\"n\":{n}}}\n")), answers: 200);
        await Eventually.UntilAsync(() => Task.FromResult(receiver.All.Count), requests => requests >= 3, "the third request, which hangs");
        await Eventually.UntilAsync(() => Task.FromResult(Lines("file.jsonl") + Lines("other.jsonl")), lines => lines == 400, "all rows in both files");
        var status = await server.JobStatusAsync("slow");
        await hanging.CancelAsync();
        await server.CaughtUpAsync("slow");

        Assert.All(answers, answer => Assert.StartsWith("OK", answer));
        Assert.Equal(200, status.GetProperty("outputs")[0].GetProperty("pendingRows").GetInt32());
        Assert.Equal(Enumerable.Range(0, 200).Select(n => (long)n), receiver.Numbers());
        Assert.Single(receiver.All.Take(4).Select(r => r.Key).Distinct());

        int Lines(string file) => File.Exists(folder["data/files/" + file]) ? File.ReadLines(folder["data/files/" + file]).Count() : 0;
    }

    [Fact]
    public async Task A_mail_server_that_is_down_gets_every_alert_when_it_is_back()
    {
        using var folder = new TempFolder();
        await using var smtp = new SmtpStandIn();
        var down = true;
        smtp.Answer = command => Volatile.Read(ref down) && command.StartsWith("MAIL", StringComparison.Ordinal) ? "421 not now" : null;
        await using var server = await ServerProcess.StartAsync(
            folder["data"], "--set", "Smtp:Host=127.0.0.1", "--set", $"Smtp:Port={smtp.Port}", "--set", "Smtp:Security=none", "--set", "Smtp:From=millrace@example.net");
        await server.PutJobAsync("low", new
        {
            query = "SELECT id, v INTO low FROM telemetry WHERE v < 5",
            outputs = new { low = new { kind = "alert", rule = "low", key = new[] { "id" }, message = "{id} is low", notify = "desk@example.net" } },
        });

        await server.SendTcpAsync("ACK\n" + string.Concat(Enumerable.Range(0, 5).Select(n => $"{{\"id\":\"m{n}\",\"v\":1}}\n")), answers: 5);
        await Eventually.UntilAsync(() => Task.FromResult(smtp.Commands.Count(c => c.StartsWith("MAIL", StringComparison.Ordinal))), tries => tries >= 2, "two attempts");
        Volatile.Write(ref down, false);
        await server.CaughtUpAsync("low", rowsIn: 5);

        var mails = string.Concat(smtp.Messages.Select(Mails.PlainPart));
        var alerts = (await server.GetJsonAsync("/api/v1/alerts?state=open")).GetProperty("alerts");
        Assert.Equal(5, alerts.GetArrayLength());
        Assert.InRange(smtp.Messages.Count, 1, 5);
        Assert.All(Enumerable.Range(0, 5), n => Assert.Contains($"message: m{n} is low", mails));
    }

    [Fact]
    public async Task A_job_over_its_memory_limit_stops_with_a_clear_status_and_an_alert_and_the_server_goes_on()
    {
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        await server.PutJobAsync("greedy", new
        {
            query = "SELECT id, COLLECT(big) AS everything INTO rows FROM telemetry GROUP BY id, TumblingWindow(day, 7)",
            settings = new { memory_limit_mb = 1 },
        });
        var big = new string('x', 4000);
        for (var n = 0; n < 20; n++)
        {
            using var posted = await server.PostAsync(
                "/api/v1/telemetry", string.Join('\n', Enumerable.Range(0, 500).Select(i => $$"""{"id":"m{{(n * 500) + i}}","big":"{{big}}"}""")), "application/x-ndjson");
            Assert.True(posted.IsSuccessStatusCode);
        }

        var failed = await Eventually.UntilAsync(
            () => server.JobStatusAsync("greedy"), status => status.GetProperty("state").GetString() == "failed", "the job's end");
        var alerts = await Eventually.UntilAsync(
            async () => (await server.GetJsonAsync("/api/v1/alerts?state=open&rule=server.job")).GetProperty("alerts"), found => found.GetArrayLength() == 1, "the server's alert");
        using var alive = await server.Http.GetAsync("/readyz");

        Assert.Contains("limit of 1.0 MiB", failed.GetProperty("lastError").GetString());
        Assert.Contains("job greedy does not run", alerts[0].GetProperty("message").GetString());
        Assert.True(alive.IsSuccessStatusCode);
    }

    private static async Task KillAndCompareAsync(string provider, int seed)
    {
        using var folder = new TempFolder();
        await using var receiver = await WebhookReceiver.StartAsync();
        await using var table = await ResultTable.MakeAsync(provider);
        var random = new Random(seed);
        var next = 0;
        for (var life = 0; life < 4; life++)
        {
            await using var server = await ServerProcess.StartAsync(folder["data"]);
            if (life == 0)
                await server.PutJobAsync("everything", EverythingEverywhere(receiver, table));
            // The work of a life is cut wherever it is.
            using var end = new CancellationTokenSource(random.Next(200, 1200));
            while (!end.IsCancellationRequested)
            {
                var body = string.Join('\n', Enumerable.Range(next, 50).Select(n => $$"""{"id":"m{{n % 97}}","n":{{n}}}"""));
                next += 50;
                using var answer = await server.PostAsync("/api/v1/telemetry", body, "application/x-ndjson");
                Assert.True(answer.IsSuccessStatusCode);
            }

            await server.KillAsync();
        }

        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            await server.CaughtUpAsync("everything", rowsOut: 3 * next);
            await server.StopAsync();
        }

        var expected = Enumerable.Range(0, next).Select(n => (long)n).ToList();
        var inFiles = Directory.GetFiles(folder["data/files"], "rows.*.jsonl*").SelectMany(File.ReadLines).Select(line => JsonElement.Parse(line).GetProperty("n").GetInt64());
        Assert.Equal(expected, (await ServerCalls.DumpAsync(folder["data"])).Select(line => line.GetProperty("payload").GetProperty("n").GetInt64()).Order());
        Assert.Equal(expected, inFiles.Order());
        Assert.Equal(expected, (await table.ReadAsync(folder["data/files/rows.db"], row => Convert.ToInt64(row["n"], CultureInfo.InvariantCulture))).Order());
        Assert.Equal(expected, receiver.Numbers().Order());
        Assert.All(receiver.All.GroupBy(r => r.Key), repeats => Assert.Single(repeats.Select(r => r.Body).Distinct()));
    }

    private static object EverythingEverywhere(WebhookReceiver receiver, ResultTable table) => new
    {
        query = "SELECT id, n INTO f FROM telemetry SELECT id, n INTO s FROM telemetry SELECT id, n INTO w FROM telemetry",
        startFrom = "beginning",
        outputs = new
        {
            f = (object)new { kind = "files", path = "rows.jsonl", rollBytes = 5000 },
            s = new { kind = "sql", provider = table.Provider, connection = table.Connection, table = table.Name },
            w = new { kind = "webhook", url = receiver.Url, batchRows = 70, batchMs = 20 },
        },
    };
}
