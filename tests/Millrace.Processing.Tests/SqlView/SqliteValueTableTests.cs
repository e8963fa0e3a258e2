using Microsoft.Data.Sqlite;
using Millrace.Processing.SqlView;
using Millrace.Testing;

namespace Millrace.Processing.Tests.SqlView;

public sealed class SqliteValueTableTests : SqlValueViewConformance, IDisposable
{
    private readonly TempFolder _folder = new();

    static SqliteValueTableTests() => SQLitePCL.raw.SetProvider(new SQLitePCL.SQLite3Provider_e_sqlite3());

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }

    private string Connection => $"Data Source={_folder["values.db"]}";

    private protected override ISqlValueTable OpenTable() => new SqliteValueTable(Connection, Names);

    private protected override void Execute(string sql)
    {
        using var connection = new SqliteConnection(Connection);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private protected override IReadOnlyDictionary<string, string> Rows()
    {
        using var connection = new SqliteConnection(Connection);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"SELECT HardwareID, Data FROM {TableName}";
        using var reader = command.ExecuteReader();
        Dictionary<string, string> rows = [];
        while (reader.Read())
            rows.Add(reader.GetString(0), reader.GetString(1));
        return rows;
    }

    // A file has no server; the nearest bad day is another program holding the write lock for a while.
    private protected override void CutConnections()
    {
        var connection = new SqliteConnection(Connection);
        connection.Open();
        var transaction = connection.BeginTransaction(deferred: false);
        _ = Task.Run(() => { transaction.Rollback(); connection.Dispose(); });
    }
}
