using System.Text;
using Millrace.Processing.SqlView;
using MySql.Data.MySqlClient;

namespace Millrace.MySql;

/// <summary>
/// The table in MariaDB or MySQL. The driver's asynchronous methods block, so callers give every writer its own thread;
/// after any exception a connection is not used again.
/// </summary>
public sealed class MySqlValueTable(string connectionString, SqlValueNames names) : ISqlValueTable
{
    // Data too long, out of range, incorrect value, truncated, cannot be null, duplicate, foreign key, check.
    private static readonly int[] RowFaults = [1048, 1062, 1264, 1265, 1292, 1366, 1406, 1452, 3819, 4025];

    private bool _unique;

    public string Target
    {
        get
        {
            var parts = new MySqlConnectionStringBuilder(connectionString);
            return $"mysql {parts.Server}:{parts.Port}/{parts.Database} {names.Table}";
        }
    }

    public void Prepare()
    {
        using var connection = Open();
        using var create = connection.CreateCommand();
        create.CommandText =
            $"CREATE TABLE IF NOT EXISTS `{names.Table}` (`{names.IdColumn}` varchar(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, "
            + $"`{names.DataColumn}` mediumtext CHARACTER SET utf8mb4)";
        create.ExecuteNonQuery();
        using var query = connection.CreateCommand();
        query.CommandText = """
            SELECT count(*) FROM (
              SELECT index_name FROM information_schema.statistics
              WHERE table_schema = database() AND table_name = @table AND non_unique = 0
              GROUP BY index_name HAVING count(*) = 1 AND lower(max(column_name)) = lower(@id)) u
            """;
        query.Parameters.AddWithValue("@table", names.Table);
        query.Parameters.AddWithValue("@id", names.IdColumn);
        _unique = Convert.ToInt64(query.ExecuteScalar()) > 0;
    }

    public ISqlValueWriter OpenWriter() => new Writer(Open(), names, _unique);

    public bool IsRowFault(Exception failure) => failure is MySqlException e && RowFaults.Contains(e.Number);

    private MySqlConnection Open()
    {
        // Pooling would hand a connection from before a server's restart to the next writer.
        var connection = new MySqlConnection(new MySqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        connection.Open();
        using var command = connection.CreateCommand();
        // The driver knows no utf8mb3, which the server uses for its own names and old tables.
        command.CommandText = "SET NAMES utf8mb4; SET character_set_results = utf8mb4";
        command.ExecuteNonQuery();
        return connection;
    }

    private sealed class Writer(MySqlConnection connection, SqlValueNames names, bool unique) : ISqlValueWriter
    {
        public void Upsert(IReadOnlyList<SqlValueRow> rows)
        {
            using var transaction = connection.BeginTransaction();
            if (unique)
                UpsertAtOnce(rows, transaction);
            else
                UpdateElseInsert(rows, transaction);
            transaction.Commit();
        }

        public void Dispose() => connection.Dispose();

        private void UpsertAtOnce(IReadOnlyList<SqlValueRow> rows, MySqlTransaction transaction)
        {
            using var command = connection.CreateCommand();
            command.Transaction = transaction;
            var sql = new StringBuilder($"INSERT INTO `{names.Table}` (`{names.IdColumn}`, `{names.DataColumn}`) VALUES ");
            for (var i = 0; i < rows.Count; i++)
            {
                sql.Append(i == 0 ? "" : ",").Append("(@i").Append(i).Append(",@v").Append(i).Append(')');
                command.Parameters.AddWithValue($"@i{i}", rows[i].Id);
                command.Parameters.AddWithValue($"@v{i}", rows[i].Value);
            }

            command.CommandText = sql.Append($" ON DUPLICATE KEY UPDATE `{names.DataColumn}` = VALUES(`{names.DataColumn}`)").ToString();
            command.ExecuteNonQuery();
        }

        /// <summary>For a table whose id column is not unique, as the old server left it to its administrator.</summary>
        private void UpdateElseInsert(IReadOnlyList<SqlValueRow> rows, MySqlTransaction transaction)
        {
            foreach (var row in rows)
            {
                if (!Exists(row, transaction))
                    Run(row, transaction, $"INSERT INTO `{names.Table}` (`{names.IdColumn}`, `{names.DataColumn}`) VALUES (@id, @value)");
                else
                    Run(row, transaction, $"UPDATE `{names.Table}` SET `{names.DataColumn}` = @value WHERE `{names.IdColumn}` = @id");
            }
        }

        private bool Exists(SqlValueRow row, MySqlTransaction transaction)
        {
            using var command = connection.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = $"SELECT count(*) FROM `{names.Table}` WHERE `{names.IdColumn}` = @id";
            command.Parameters.AddWithValue("@id", row.Id);
            return Convert.ToInt64(command.ExecuteScalar()) > 0;
        }

        private void Run(SqlValueRow row, MySqlTransaction transaction, string sql)
        {
            using var command = connection.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = sql;
            command.Parameters.AddWithValue("@id", row.Id);
            command.Parameters.AddWithValue("@value", row.Value);
            command.ExecuteNonQuery();
        }
    }
}
