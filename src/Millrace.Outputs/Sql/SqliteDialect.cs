using System.Data.Common;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Millrace.Outputs.Sql;

/// <summary>SQLite: <paramref name="folders"/> decides which files may be opened.</summary>
public sealed class SqliteDialect(Files.AllowedFolders folders) : ISqlDialect
{
    // The provider is set once for the process; setting it again is harmless.
    static SqliteDialect() => raw.SetProvider(new SQLite3Provider_e_sqlite3());

    public string Provider => "sqlite";

    public int ParametersMax => 30_000;

    public async ValueTask<DbConnection> ConnectAsync(string connection, CancellationToken cancel)
    {
        var settings = new SqliteConnectionStringBuilder(connection.Contains('=') ? connection : "Data Source=" + connection);
        settings.DataSource = folders.Resolve(settings.DataSource);
        settings.Pooling = false;
        Directory.CreateDirectory(Path.GetDirectoryName(settings.DataSource)!);
        var opened = new SqliteConnection(settings.ToString());
        try
        {
            await opened.OpenAsync(cancel);
            using var command = opened.CreateCommand();
            command.CommandText = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;";
            await command.ExecuteNonQueryAsync(cancel);
            return opened;
        }
        catch (SqliteException e)
        {
            await opened.DisposeAsync();
            throw new OutputException($"cannot open the SQLite file {settings.DataSource}: {e.Message}", e);
        }
    }

    public string Quote(string name) => "\"" + name.Replace("\"", "\"\"") + "\"";

    public string TypeName(ColumnKind kind, bool key) => kind switch
    {
        ColumnKind.Boolean or ColumnKind.BigInt => "INTEGER",
        ColumnKind.Double => "REAL",
        _ => "TEXT",
    };

    // SQLite keeps any value in any column.
    public string? Widen(string table, string column, ColumnKind kind) => null;

    public string OnConflict(IReadOnlyList<string> key, IReadOnlyList<string> others) =>
        $" ON CONFLICT ({string.Join(", ", key.Select(Quote))}) DO " + (others.Count == 0
            ? "NOTHING"
            : "UPDATE SET " + string.Join(", ", others.Select(c => $"{Quote(c)} = excluded.{Quote(c)}")));

    public ColumnKind KindOf(string typeName) => ColumnKind.Other;

    public object Convert(object value, ColumnKind kind) => value is bool bit ? (bit ? 1L : 0L) : value;
}
