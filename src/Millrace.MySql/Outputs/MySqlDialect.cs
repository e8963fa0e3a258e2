using System.Data.Common;
using System.Globalization;
using Millrace.Outputs;
using Millrace.Outputs.Sql;
using MySql.Data.MySqlClient;

namespace Millrace.MySql.Outputs;

/// <summary>MariaDB and MySQL. The driver's asynchronous methods block, so callers give it a thread of its own.</summary>
public sealed class MySqlDialect : ISqlDialect
{
    public string Provider => "mysql";

    public int ParametersMax => 30_000;

    public async ValueTask<DbConnection> ConnectAsync(string connection, CancellationToken cancel)
    {
        MySqlConnection? opened = null;
        try
        {
            var settings = new MySqlConnectionStringBuilder(connection) { CharacterSet = "utf8mb4" };
            opened = new MySqlConnection(settings.ConnectionString);
            opened.Open();
            using var command = opened.CreateCommand();
            // The driver cannot read columns in utf8mb3, which the server uses for its own names.
            command.CommandText = "SET character_set_results = utf8mb4";
            command.ExecuteNonQuery();
            return opened;
        }
        catch (Exception e) when (e is MySqlException or ArgumentException or InvalidOperationException or IOException or TimeoutException)
        {
            if (opened is not null)
                await opened.DisposeAsync();
            throw new OutputException($"cannot connect to MySQL: {e.Message}", e, refused: e is ArgumentException);
        }
    }

    public string Quote(string name) => "`" + name.Replace("`", "``") + "`";

    public string TypeName(ColumnKind kind, bool key) => kind switch
    {
        ColumnKind.Boolean => "tinyint(1)",
        ColumnKind.BigInt => "bigint",
        ColumnKind.Double => "double",
        ColumnKind.Timestamp => "datetime(6)",
        // A key must have a length; four such columns still fit into an index of 3,072 bytes.
        _ => key ? "varchar(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" : "longtext CHARACTER SET utf8mb4",
    };

    public string? Widen(string table, string column, ColumnKind kind) =>
        $"ALTER TABLE {table} MODIFY COLUMN {Quote(column)} {TypeName(kind, false)}";

    public string OnConflict(IReadOnlyList<string> key, IReadOnlyList<string> others) =>
        " ON DUPLICATE KEY UPDATE " + string.Join(
            ", ", (others.Count == 0 ? key.Take(1) : others).Select(c => $"{Quote(c)} = VALUES({Quote(c)})"));

    public ColumnKind KindOf(string typeName) => typeName.ToUpperInvariant() switch
    {
        "TINYINT" => ColumnKind.Boolean,
        "BIGINT" => ColumnKind.BigInt,
        "DOUBLE" => ColumnKind.Double,
        "LONGTEXT" or "TEXT" or "VARCHAR" => ColumnKind.Text,
        "DATETIME" => ColumnKind.Timestamp,
        _ => ColumnKind.Other,
    };

    public object Convert(object value, ColumnKind kind) => (kind, value) switch
    {
        (ColumnKind.Timestamp, string text) => DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind).ToUniversalTime(),
        _ => value,
    };
}
