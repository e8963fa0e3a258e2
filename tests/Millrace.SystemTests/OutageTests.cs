using System.Data.Common;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Millrace.Testing;
using MySql.Data.MySqlClient;
using Npgsql;

namespace Millrace.SystemTests;

/// <summary>Real databases and a real mail server that die, freeze and come back while jobs of the built program write to them.</summary>
public sealed partial class OutageTests
{
    [Theory]
    [InlineData("mysql")]
    [InlineData("postgres")]
    public async Task A_database_killed_while_a_job_writes_gets_every_row_once_when_it_is_back_and_the_rest_goes_on(string provider)
    {
        await using var database = await StartAsync(provider);
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        await PutJobsAsync(server, provider, Connection(database, provider));
        await using var load = new Load(server);

        for (var outage = 0; outage < 2; outage++)
        {
            var before = await RowsAsync(database, provider);
            await Eventually.UntilAsync(() => RowsAsync(database, provider), rows => rows.Count > before.Count, "rows in the table");
            await database.KillAsync();

            var down = await UntilStateAsync(server, "retrying");
            var posted = load.Posted;
            await Eventually.UntilAsync(() => Task.FromResult(Lines(folder["data/files/other.jsonl"])), lines => lines > posted, "the other job's rows, sent after the kill");
            var lagging = await UntilStateAsync(server, "retrying", pendingMin: down.GetProperty("pendingRows").GetInt64() + 1);
            var running = await server.JobStatusAsync("tables");
            var up = await server.MetricAsync("millrace_output_up{job=\"tables\",output=\"s\"}");
            await database.StartAsync();

            Assert.Equal("running", running.GetProperty("state").GetString());
            Assert.Contains(provider == "mysql" ? "mysql" : "postgres", lagging.GetProperty("lastError").GetString(), StringComparison.OrdinalIgnoreCase);
            Assert.True(lagging.TryGetProperty("nextAttemptAt", out _));
            Assert.Equal(0, up);
        }

        await EverythingIsThereOnceAsync(server, database, provider, folder, await load.StopAsync());
    }

    [Theory]
    [InlineData("mysql")]
    [InlineData("postgres")]
    public async Task A_database_that_answers_nothing_keeps_nobody_waiting_and_is_told_and_given_every_row_once(string provider)
    {
        await using var database = await StartAsync(provider);
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(folder["data"]);
        await PutJobsAsync(server, provider, Connection(database, provider));
        await using var load = new Load(server);
        await Eventually.UntilAsync(() => RowsAsync(database, provider), rows => rows.Count > 0, "rows in the table");

        database.Freeze();
        var told = await UntilStateAsync(server, "retrying");
        var posted = load.Posted;
        await Eventually.UntilAsync(() => Task.FromResult(Lines(folder["data/files/other.jsonl"])), lines => lines > posted, "the other job's rows, sent after the freeze");
        database.Thaw();

        Assert.NotEqual(0, told.GetProperty("pendingRows").GetInt64());
        await EverythingIsThereOnceAsync(server, database, provider, folder, await load.StopAsync());
    }

    [Theory]
    [InlineData("mysql")]
    [InlineData("postgres")]
    public async Task A_database_that_answers_nothing_does_not_hold_up_the_stop(string provider)
    {
        await using var database = await StartAsync(provider);
        using var folder = new TempFolder();
        int sent;
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            // With the drivers' own patience of half a minute.
            await PutJobsAsync(server, provider, Connection(database, provider, patience: 30));
            await using var load = new Load(server);
            await Eventually.UntilAsync(() => RowsAsync(database, provider), rows => rows.Count > 0, "rows in the table");
            database.Freeze();
            var waiting = await PendingAsync(server);
            await Eventually.UntilAsync(() => PendingAsync(server), rows => rows > waiting, "rows that wait");
            sent = await load.StopAsync();
            var (code, took) = await server.StopAsync();

            Assert.Equal(0, code);
            Assert.InRange(took, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        }

        database.Thaw();
        await using var again = await ServerProcess.StartAsync(folder["data"]);
        await EverythingIsThereOnceAsync(again, database, provider, folder, sent);
    }

    [Fact]
    public async Task A_mail_server_killed_while_a_job_writes_gets_every_row_in_one_mail_when_it_is_back()
    {
        await using var smtp = await StartAsync("smtp");
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(
            folder["data"], "--set", "Smtp:Host=127.0.0.1", "--set", $"Smtp:Port={smtp["SMTP_PORT"]}", "--set", "Smtp:Security=none",
            "--set", "Smtp:From=millrace@example.net");
        await server.PutJobAsync("mails", new
        {
            query = "SELECT n INTO m FROM telemetry SELECT n INTO f FROM telemetry",
            outputs = new { m = (object)new { kind = "email", to = "desk@example.net" }, f = new { kind = "files", path = "other.jsonl" } },
        });
        var next = 0;

        for (var outage = 0; outage < 2; outage++)
        {
            var mails = Mails(smtp).Count;
            await SendAsync(15);
            await Eventually.UntilAsync(() => Task.FromResult(Mails(smtp).Count), count => count > mails, "a mail");
            await SendAsync(15);
            await smtp.KillAsync();
            await SendAsync(15);
            var down = await UntilStateAsync(server, "retrying", job: "mails");
            await Eventually.UntilAsync(() => Task.FromResult(Lines(folder["data/files/other.jsonl"])), lines => lines == next, "all rows in the file");
            await smtp.StartAsync();

            Assert.Contains("mail server 127.0.0.1", down.GetProperty("lastError").GetString());
            Assert.InRange(down.GetProperty("pendingRows").GetInt64(), 15, 45);
        }

        await server.CaughtUpAsync("mails", rowsOut: 2 * next);
        var byId = Mails(smtp).GroupBy(mail => MessageId().Match(mail).Value).ToList();

        // A mail that the server had taken when it died, and had not said so, comes again under the same id.
        Assert.All(byId, repeats => Assert.Single(repeats.Select(RowsOf).Select(rows => string.Join(',', rows)).Distinct()));
        Assert.Equal(Enumerable.Range(0, next), byId.SelectMany(repeats => RowsOf(repeats.First())).Order());

        async Task SendAsync(int count)
        {
            var lines = string.Concat(Enumerable.Range(next, count).Select(n => $"{{\"id\":\"m1\",\"n\":{n}}}\n"));
            next += count;
            Assert.All(await server.SendTcpAsync("ACK\n" + lines, answers: count), answer => Assert.StartsWith("OK", answer));
        }
    }

    private static async Task<OwnServer> StartAsync(string provider)
    {
        var setting = Setting(provider);
        Assert.SkipUnless(
            !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(setting)), $"{setting} names no server; ./test.sh starts one where it is installed");
        return await OwnServer.StartAsync(provider == "mysql" ? "mariadb" : provider);
    }

    private static string Setting(string provider) => provider switch
    {
        "mysql" => "MILLRACE_TEST_MARIADB",
        "postgres" => "MILLRACE_TEST_POSTGRES",
        _ => "SMTP_HOST",
    };

    /// <param name="patience">Seconds for one statement.</param>
    private static string Connection(OwnServer database, string provider, int patience = 2) =>
        database[Setting(provider)] + (provider == "mysql" ? $";DefaultCommandTimeout={patience};ConnectionTimeout=2" : $";Command Timeout={patience};Timeout=2");

    private static async Task PutJobsAsync(ServerProcess server, string provider, string connection)
    {
        await server.PutJobAsync("tables", new
        {
            query = "SELECT id, n INTO s FROM telemetry",
            startFrom = "beginning",
            outputs = new { s = new { kind = "sql", provider, connection, table = "outage_rows" } },
        });
        await server.PutJobAsync("other", new
        {
            query = "SELECT n INTO f FROM telemetry",
            startFrom = "beginning",
            outputs = new { f = new { kind = "files", path = "other.jsonl" } },
        });
    }

    private static async Task<long> PendingAsync(ServerProcess server) =>
        (await server.JobStatusAsync("tables")).GetProperty("outputs")[0].GetProperty("pendingRows").GetInt64();

    /// <summary>The first output of the job, once it is in a state and that many rows wait.</summary>
    private static async Task<JsonElement> UntilStateAsync(ServerProcess server, string state, long pendingMin = 1, string job = "tables") =>
        await Eventually.UntilAsync(
            async () => (await server.JobStatusAsync(job)).GetProperty("outputs")[0],
            output => output.GetProperty("state").GetString() == state && output.GetProperty("pendingRows").GetInt64() >= pendingMin,
            $"an output {state} with {pendingMin} rows waiting");

    private static async Task EverythingIsThereOnceAsync(ServerProcess server, OwnServer database, string provider, TempFolder folder, int sent)
    {
        await server.CaughtUpAsync("tables", rowsOut: sent);
        await server.CaughtUpAsync("other", rowsOut: sent);

        var expected = Enumerable.Range(0, sent).Select(n => (long)n).ToList();
        Assert.Equal(expected, (await RowsAsync(database, provider)).Order());
        Assert.Equal(expected, File.ReadLines(folder["data/files/other.jsonl"]).Select(line => JsonElement.Parse(line).GetProperty("n").GetInt64()).Order());
    }

    private static int Lines(string file) => File.Exists(file) ? File.ReadLines(file).Count() : 0;

    /// <summary>Column n of all rows, or none while the table is not there.</summary>
    private static async Task<List<long>> RowsAsync(OwnServer database, string provider)
    {
        var connection = Connection(database, provider) + ";Pooling=false";
        await using DbConnection opened = provider == "mysql" ? new MySqlConnection(connection) : new NpgsqlConnection(connection);
        await opened.OpenAsync();
        List<long> numbers = [];
        try
        {
            await using var command = opened.CreateCommand();
            command.CommandText = "SELECT n FROM outage_rows";
            await using var reader = await command.ExecuteReaderAsync();
            while (await reader.ReadAsync())
                numbers.Add(Convert.ToInt64(reader.GetValue(0), CultureInfo.InvariantCulture));
        }
        catch (DbException) when (numbers.Count == 0)
        {
            // Not made yet; the caller looks again.
        }

        return numbers;
    }

    private static List<string> Mails(OwnServer smtp) =>
        [.. Directory.GetFiles(smtp["SMTP_MAILBOX"], "*.eml").Order(StringComparer.Ordinal).Select(File.ReadAllText)];

    private static IEnumerable<int> RowsOf(string mail) =>
        RowLine().Matches(Testing.Mails.PlainPart(mail)).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));

    [GeneratedRegex(@"(?im)^Message-ID:.*$")]
    private static partial Regex MessageId();

    [GeneratedRegex(@"(?m)^n: (\d+)\r?$")]
    private static partial Regex RowLine();

    /// <summary>Posts readings numbered from 0, some thousand a second, each acknowledged, until it is told to stop: a server that stops taking them fails the test.</summary>
    private sealed class Load : IAsyncDisposable
    {
        private const int BatchRows = 40;

        private readonly CancellationTokenSource _end = new();
        private readonly Task _posting;
        private int _posted;

        public Load(ServerProcess server) => _posting = Task.Run(() => PostAsync(server));

        public int Posted => Volatile.Read(ref _posted);

        /// <returns>How many readings were acknowledged.</returns>
        public async Task<int> StopAsync()
        {
            await _end.CancelAsync();
            await _posting;
            return Posted;
        }

        public async ValueTask DisposeAsync()
        {
            await _end.CancelAsync();
            await _posting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _end.Dispose();
        }

        private async Task PostAsync(ServerProcess server)
        {
            using var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
            while (!_end.IsCancellationRequested)
            {
                await pace.WaitForNextTickAsync(CancellationToken.None);
                var body = string.Join('\n', Enumerable.Range(_posted, BatchRows).Select(n => $$"""{"id":"m{{n % 97}}","n":{{n}}}"""));
                using var answer = await server.PostAsync("/api/v1/telemetry", body, "application/x-ndjson");
                Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
                Volatile.Write(ref _posted, _posted + BatchRows);
            }
        }
    }
}
