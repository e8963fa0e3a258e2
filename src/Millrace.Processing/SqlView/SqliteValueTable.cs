using Microsoft.Data.Sqlite;

namespace Millrace.Processing.SqlView;

/// <summary>The table in a SQLite file.</summary>
public sealed class SqliteValueTable(string connectionString, SqlValueNames names) : ISqlValueTable
{
    private readonly string _connectionString = connectionString;
    private bool _unique;

    public string Target => $"sqlite {new SqliteConnectionStringBuilder(_connectionString).DataSource} {names.Table}";

    public void Prepare()
    {
        using var connection = Open();
        Execute(connection, $"CREATE TABLE IF NOT EXISTS \"{names.Table}\" (\"{names.IdColumn}\" TEXT PRIMARY KEY, \"{names.DataColumn}\" TEXT)");
        using var command = connection.CreateCommand();
        command.CommandText =
            $"SELECT count(*) FROM pragma_index_list('{names.Table}') l WHERE l.\"unique\" = 1 AND l.partial = 0 AND "
            + $"(SELECT group_concat(lower(name)) FROM pragma_index_info(l.name)) = lower('{names.IdColumn}')";
        _unique = (long)command.ExecuteScalar()! > 0;
    }

    public ISqlValueWriter OpenWriter() => new Writer(Open(), names, _unique);

    // 18 mismatch, 19 constraint, 20 … of one row; everything else concerns the file or the connection.
    public bool IsRowFault(Exception failure) => failure is SqliteException { SqliteErrorCode: 18 or 19 };

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection(_connectionString);
        connection.Open();
        Execute(connection, "PRAGMA busy_timeout = 5000");
        Execute(connection, "PRAGMA journal_mode = WAL");
        return connection;
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private sealed class Writer(SqliteConnection connection, SqlValueNames names, bool unique) : ISqlValueWriter
    {
        public void Upsert(IReadOnlyList<SqlValueRow> rows)
        {
            using var transaction = connection.BeginTransaction(deferred: false);
            using var update = Command(transaction, $"UPDATE \"{names.Table}\" SET \"{names.DataColumn}\" = $value WHERE \"{names.IdColumn}\" = $id");
            using var insert = Command(transaction, unique
                ? $"INSERT INTO \"{names.Table}\" (\"{names.IdColumn}\", \"{names.DataColumn}\") VALUES ($id, $value) "
                    + $"ON CONFLICT (\"{names.IdColumn}\") DO UPDATE SET \"{names.DataColumn}\" = excluded.\"{names.DataColumn}\""
                : $"INSERT INTO \"{names.Table}\" (\"{names.IdColumn}\", \"{names.DataColumn}\") VALUES ($id, $value)");
            foreach (var row in rows)
            {
                if (unique || Run(update, row) == 0)
                    Run(insert, row);
            }

            transaction.Commit();
        }

        public void Dispose() => connection.Dispose();

        private SqliteCommand Command(SqliteTransaction transaction, string sql)
        {
            var command = connection.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = sql;
            command.Parameters.Add("$id", SqliteType.Text);
            command.Parameters.Add("$value", SqliteType.Text);
            return command;
        }

        private static int Run(SqliteCommand command, SqlValueRow row)
        {
            command.Parameters["$id"].Value = row.Id;
            command.Parameters["$value"].Value = row.Value;
            return command.ExecuteNonQuery();
        }
    }
}
