using System.Data.Common;
using System.Globalization;
using Millrace.Testing;
using MySql.Data.MySqlClient;
using Npgsql;

namespace Millrace.SystemTests;

/// <summary>The relational table of newest values in real databases.</summary>
public class SqlViewTests
{
    private const string MariaDbSetting = "MILLRACE_TEST_MARIADB";
    private const string PostgresSetting = "MILLRACE_TEST_POSTGRES";

    [Fact]
    public async Task The_old_server_config_starts_the_server_unchanged_against_mariadb()
    {
        var connection = new MySqlConnectionStringBuilder(Needed(MariaDbSetting)) { Database = await NewMariaDatabaseAsync() };
        using var folder = new TempFolder();
        var ini = (await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "server.config")))
            .Replace("@HOST@", connection.Server, StringComparison.Ordinal)
            .Replace("@PORT@", connection.Port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
            .Replace("@USER@", connection.UserID, StringComparison.Ordinal)
            .Replace("@PASSWORD@", connection.Password, StringComparison.Ordinal)
            .Replace("@DATABASE@", connection.Database, StringComparison.Ordinal)
            .Replace("@UDPPORT@", "0", StringComparison.Ordinal);
        await File.WriteAllTextAsync(folder["server.config"], ini);
        await using var server = await ServerProcess.StartAsWrittenAsync(
            "serve", "--config", folder["server.config"], "--data", folder["data"],
            "--set", "Http:Endpoint=127.0.0.1:0", "--set", "Listeners:Tcp:Endpoint=off", "--set", "Listeners:Middleware:Endpoint=off");

        var simulated = await ServerProcess.RunAsync(
            "simulate", "--protocol", "udp", "--target", server["udp"].ToString(), "--preset", "document-000", "--rate", "2000", "--count", "1000");
        Assert.Equal(0, simulated.ExitCode);
        server.SendUdp("BJAA01:10");
        server.SendUdp("BJAA01:39");
        using var hostile = await server.PostAsync("/api/v1/telemetry", """{"id":"zz' OR '1'='1","value":666}""");
        Assert.True(hostile.IsSuccessStatusCode);

        var rows = await Eventually.UntilAsync(
            () => RowsAsync(new MySqlConnection(connection.ConnectionString)),
            rows => rows.Count == 126 && rows.GetValueOrDefault("BJAA01") == "39",
            "125 meters and one hostile id");
        Assert.Contains("666", rows["zz' OR '1'='1"]);
        Assert.Equal(1, rows.Values.Count(value => value.Contains("666", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_mariadb_that_is_killed_and_restarted_under_load_ends_with_every_newest_value()
    {
        Needed(MariaDbSetting);
        using var folder = new TempFolder();
        await using var maria = await OwnServer.StartAsync("mariadb");
        var connection = maria[MariaDbSetting];
        await using var server = await ServerProcess.StartAsync(
            folder["data"], "--set", "SqlView:Provider=mysql", "--set", $"SqlView:Connection={connection}", "--set", "SqlView:Writers=3");

        var load = ServerProcess.RunAsync(
            "simulate", "--protocol", "tcp", "--target", server["tcp"].ToString(), "--devices", "500", "--rate", "4000", "--count", "20000",
            "--connections", "4", "--acknowledged", folder["acknowledged"]);
        await Eventually.UntilAsync(async () => (await RowsAsync(new MySqlConnection(connection))).Count, count => count > 0, "rows");
        await maria.KillAsync();
        await Eventually.UntilAsync(
            () => server.MetricAsync("millrace_readings_stored_total{listener=\"tcp\"}"), stored => stored >= 10_000, "readings stored while the database is down");
        await maria.StartAsync();
        Assert.Equal(0, (await load).ExitCode);

        var newest = File.ReadLines(folder["acknowledged"]).Select(line => line.Split(' '))
            .GroupBy(parts => parts[1]).ToDictionary(g => g.Key, g => g.Max(parts => long.Parse(parts[2])));
        await Eventually.UntilAsync(
            async () =>
            {
                var rows = await RowsAsync(new MySqlConnection(connection));
                return newest.Count(pair => rows.TryGetValue(pair.Key, out var value) && decimal.Parse(value) * 1000 == pair.Value);
            },
            right => right == newest.Count,
            "every device's newest value",
            TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task Postgres_is_kept_up_to_date()
    {
        var connection = Needed(PostgresSetting);
        var table = $"newest_{Guid.NewGuid():N}";
        using var folder = new TempFolder();
        await using var server = await ServerProcess.StartAsync(
            folder["data"], "--set", "SqlView:Provider=postgres", "--set", $"SqlView:Connection={connection}", "--set", $"SqlView:Table={table}");

        await server.SendTcpAsync("ACK\nm1:1\nm2:2\nm1:3\n", answers: 3);

        await Eventually.UntilAsync(
            () => RowsAsync(new NpgsqlConnection(connection), table), rows => rows.Count == 2 && rows["m1"] == "3" && rows["m2"] == "2", "two rows");
    }

    private static string Needed(string setting)
    {
        var value = Environment.GetEnvironmentVariable(setting);
        Assert.SkipUnless(!string.IsNullOrEmpty(value), $"{setting} names no server; ./test.sh starts one where it is installed");
        return value;
    }

    private static async Task<string> NewMariaDatabaseAsync()
    {
        var name = $"millrace_{Guid.NewGuid():N}";
        await using var connection = new MySqlConnection(Needed(MariaDbSetting));
        await connection.OpenAsync();
        await using var command = new MySqlCommand($"create database {name} character set utf8mb4", connection);
        await command.ExecuteNonQueryAsync();
        return name;
    }

    /// <summary>The table's rows, or none while it is not there or the server is away.</summary>
    private static async Task<Dictionary<string, string>> RowsAsync(DbConnection connection, string table = "IOTHardwareInUse")
    {
        await using var owned = connection;
        Dictionary<string, string> rows = [];
        try
        {
            await connection.OpenAsync();
            await using var command = connection.CreateCommand();
            command.CommandText = $"select * from {table}";
            await using var reader = await command.ExecuteReaderAsync();
            while (await reader.ReadAsync())
                rows[reader.GetString(reader.GetOrdinal("HardwareID"))] = reader.GetString(reader.GetOrdinal("Data"));
        }
        catch (DbException)
        {
            // Not made yet; the caller looks again.
        }

        return rows;
    }
}
