using Millrace.MySql;
using Millrace.Processing.SqlView;
using MySql.Data.MySqlClient;

namespace Millrace.Processing.Tests.SqlView;

public sealed class MySqlValueTableTests : SqlValueViewConformance, IDisposable
{
    private static readonly string? Server = Environment.GetEnvironmentVariable("MILLRACE_TEST_MARIADB");

    private readonly string _database = $"t{Guid.NewGuid():N}";

    public MySqlValueTableTests()
    {
        Assert.SkipUnless(Server is not null, "MariaDB is not there: MILLRACE_TEST_MARIADB is not set");
        Run(Server!, $"CREATE DATABASE {_database} CHARACTER SET utf8mb4");
    }

    private string Connection => new MySqlConnectionStringBuilder(Server) { Database = _database }.ConnectionString;

    public void Dispose()
    {
        if (Server is not null)
            Run(Server, $"DROP DATABASE IF EXISTS {_database}");
    }

    private protected override ISqlValueTable OpenTable() => new MySqlValueTable(Connection, Names);

    private protected override void Execute(string sql) => Run(Connection, sql);

    private protected override string Quote(string name) => $"`{name}`";

    private protected override IReadOnlyDictionary<string, string> Rows()
    {
        using var connection = new MySqlConnection(Connection);
        connection.Open();
        using var command = new MySqlCommand($"SELECT HardwareID, Data FROM {TableName}", connection);
        using var reader = command.ExecuteReader();
        Dictionary<string, string> rows = [];
        while (reader.Read())
            rows.Add(reader.GetString(0), reader.GetString(1));
        return rows;
    }

    private protected override void CutConnections()
    {
        List<long> ids = [];
        using (var connection = new MySqlConnection(Server))
        {
            connection.Open();
            using var command = new MySqlCommand(
                $"SELECT id FROM information_schema.processlist WHERE convert(db using utf8mb4) = '{_database}'", connection);
            using var reader = command.ExecuteReader();
            while (reader.Read())
                ids.Add(Convert.ToInt64(reader.GetValue(0)));
        }

        foreach (var id in ids)
            Run(Server!, $"KILL {id}");
    }

    private static void Run(string server, string sql)
    {
        using var connection = new MySqlConnection(server);
        connection.Open();
        using var command = new MySqlCommand(sql, connection);
        command.ExecuteNonQuery();
    }
}
