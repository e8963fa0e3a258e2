using System.Data.Common;
using System.Globalization;
using Npgsql;

namespace Millrace.Outputs.Sql;

/// <summary>PostgreSQL.</summary>
public sealed class PostgresDialect : ISqlDialect
{
    public string Provider => "postgres";

    public int ParametersMax => 60_000;

    public async ValueTask<DbConnection> ConnectAsync(string connection, CancellationToken cancel)
    {
        NpgsqlConnection? opened = null;
        try
        {
            opened = new NpgsqlConnection(connection);
            await opened.OpenAsync(cancel);
            return opened;
        }
        catch (Exception e) when (e is NpgsqlException or ArgumentException or FormatException or TimeoutException)
        {
            if (opened is not null)
                await opened.DisposeAsync();
            throw new OutputException($"cannot connect to PostgreSQL: {e.Message}", e, refused: e is ArgumentException or FormatException);
        }
    }

    public string Quote(string name) => "\"" + name.Replace("\"", "\"\"") + "\"";

    public string TypeName(ColumnKind kind, bool key) => kind switch
    {
        ColumnKind.Boolean => "boolean",
        ColumnKind.BigInt => "bigint",
        ColumnKind.Double => "double precision",
        ColumnKind.Timestamp => "timestamptz",
        ColumnKind.Json => "jsonb",
        _ => "text",
    };

    public string? Widen(string table, string column, ColumnKind kind) =>
        $"ALTER TABLE {table} ALTER COLUMN {Quote(column)} TYPE {TypeName(kind, false)} USING {Quote(column)}::{TypeName(kind, false)}";

    public string OnConflict(IReadOnlyList<string> key, IReadOnlyList<string> others) =>
        $" ON CONFLICT ({string.Join(", ", key.Select(Quote))}) DO " + (others.Count == 0
            ? "NOTHING"
            : "UPDATE SET " + string.Join(", ", others.Select(c => $"{Quote(c)} = excluded.{Quote(c)}")));

    public ColumnKind KindOf(string typeName) => typeName.ToLowerInvariant() switch
    {
        "boolean" => ColumnKind.Boolean,
        "bigint" => ColumnKind.BigInt,
        "double precision" => ColumnKind.Double,
        "text" or "character varying" => ColumnKind.Text,
        "jsonb" or "json" => ColumnKind.Json,
        "timestamp with time zone" => ColumnKind.Timestamp,
        _ => ColumnKind.Other,
    };

    public object Convert(object value, ColumnKind kind) => (kind, value) switch
    {
        (ColumnKind.Timestamp, string text) => DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind | DateTimeStyles.AllowWhiteSpaces).ToUniversalTime(),
        // PostgreSQL text and jsonb cannot hold NUL.
        (_, string text) => text.Contains('\0') ? text.Replace("\0", "") : text,
        _ => value,
    };
}
