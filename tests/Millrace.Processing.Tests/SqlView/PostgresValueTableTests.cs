using Millrace.Processing.SqlView;
using Npgsql;

namespace Millrace.Processing.Tests.SqlView;

public sealed class PostgresValueTableTests : SqlValueViewConformance, IDisposable
{
    private static readonly string? Server = Environment.GetEnvironmentVariable("MILLRACE_TEST_POSTGRES");

    private readonly string _schema = $"t{Guid.NewGuid():N}";

    public PostgresValueTableTests()
    {
        Assert.SkipUnless(Server is not null, "PostgreSQL is not there: MILLRACE_TEST_POSTGRES is not set");
        Run(Server!, $"CREATE SCHEMA {_schema}");
    }

    private string Connection => new NpgsqlConnectionStringBuilder(Server) { SearchPath = _schema, ApplicationName = _schema }.ConnectionString;

    public void Dispose()
    {
        if (Server is not null)
            Run(Server, $"DROP SCHEMA IF EXISTS {_schema} CASCADE");
    }

    private protected override ISqlValueTable OpenTable() => new PostgresValueTable(Connection, Names);

    private protected override void Execute(string sql) => Run(Connection, sql);

    private protected override IReadOnlyDictionary<string, string> Rows()
    {
        using var connection = new NpgsqlConnection(Connection);
        connection.Open();
        using var command = new NpgsqlCommand($"SELECT \"HardwareID\", \"Data\" FROM \"{TableName}\"", connection);
        using var reader = command.ExecuteReader();
        Dictionary<string, string> rows = [];
        while (reader.Read())
            rows.Add(reader.GetString(0), reader.GetString(1));
        return rows;
    }

    private protected override void CutConnections() =>
        Run(Server!, $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{_schema}' AND pid <> pg_backend_pid()");

    private static void Run(string server, string sql)
    {
        using var connection = new NpgsqlConnection(server);
        connection.Open();
        using var command = new NpgsqlCommand(sql, connection);
        command.ExecuteNonQuery();
    }
}
