using Npgsql;
using NpgsqlTypes;

namespace Millrace.Processing.SqlView;

/// <summary>The table in PostgreSQL. Batches travel as two arrays, so a statement has two parameters whatever its size.</summary>
public sealed class PostgresValueTable(string connectionString, SqlValueNames names) : ISqlValueTable
{
    private bool _unique;

    public string Target
    {
        get
        {
            var parts = new NpgsqlConnectionStringBuilder(connectionString);
            return $"postgres {parts.Host}:{parts.Port}/{parts.Database} {names.Table}";
        }
    }

    private string Table => Quote(names.Table);

    public void Prepare()
    {
        using var connection = Open();
        Execute(connection, $"CREATE TABLE IF NOT EXISTS {Table} ({Quote(names.IdColumn)} varchar(128) PRIMARY KEY, {Quote(names.DataColumn)} text)");
        using var command = connection.CreateCommand();
        command.CommandText = """
            SELECT EXISTS (
              SELECT 1 FROM pg_index i
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
              WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = $2)
            """;
        command.Parameters.AddWithValue(Table);
        command.Parameters.AddWithValue(names.IdColumn);
        _unique = (bool)command.ExecuteScalar()!;
    }

    public ISqlValueWriter OpenWriter() => new Writer(Open(), UpsertSql());

    // Classes 22 (data) and 23 (constraint) are the row's own; all else is the server's or the network's.
    public bool IsRowFault(Exception failure) =>
        failure is PostgresException e && (e.SqlState.StartsWith("22", StringComparison.Ordinal) || e.SqlState.StartsWith("23", StringComparison.Ordinal));

    private string UpsertSql()
    {
        var (id, data) = (Quote(names.IdColumn), Quote(names.DataColumn));
        const string Rows = "unnest($1, $2) AS r(id, value)";
        return _unique
            ? $"INSERT INTO {Table} ({id}, {data}) SELECT r.id, r.value FROM {Rows} ON CONFLICT ({id}) DO UPDATE SET {data} = excluded.{data}"
            : $"WITH changed AS (UPDATE {Table} t SET {data} = r.value FROM {Rows} WHERE t.{id} = r.id RETURNING r.id) "
                + $"INSERT INTO {Table} ({id}, {data}) SELECT r.id, r.value FROM {Rows} WHERE NOT EXISTS (SELECT 1 FROM changed c WHERE c.id = r.id)";
    }

    private NpgsqlConnection Open()
    {
        var connection = new NpgsqlConnection(connectionString);
        connection.Open();
        return connection;
    }

    private static void Execute(NpgsqlConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private static string Quote(string name) => $"\"{name}\"";

    private sealed class Writer(NpgsqlConnection connection, string sql) : ISqlValueWriter
    {
        public void Upsert(IReadOnlyList<SqlValueRow> rows)
        {
            using var command = connection.CreateCommand();
            command.CommandText = sql;
            command.Parameters.Add(new NpgsqlParameter { Value = rows.Select(r => r.Id).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
            // PostgreSQL's text holds every character but NUL.
            command.Parameters.Add(new NpgsqlParameter { Value = rows.Select(r => r.Value.Replace('\0', '\uFFFD')).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
            command.ExecuteNonQuery();
        }

        public void Dispose() => connection.Dispose();
    }
}
