using System.Data.Common;
using Microsoft.Data.Sqlite;
using MySql.Data.MySqlClient;
using Npgsql;

namespace Millrace.SystemTests;

/// <summary>A table of this test alone, in a file below the data folder or on a server that ./test.sh has started.</summary>
internal sealed class ResultTable(string provider, string connection, string name) : IAsyncDisposable
{
    static ResultTable() => SQLitePCL.raw.SetProvider(new SQLitePCL.SQLite3Provider_e_sqlite3());

    public string Provider => provider;

    public string Connection => connection;

    public string Name => name;

    public static Task<ResultTable> MakeAsync(string provider)
    {
        var name = $"rows_{Guid.NewGuid():N}";
        if (provider == "sqlite")
            return Task.FromResult(new ResultTable(provider, "rows.db", name));
        var setting = provider == "mysql" ? "MILLRACE_TEST_MARIADB" : "MILLRACE_TEST_POSTGRES";
        var connection = Environment.GetEnvironmentVariable(setting);
        Assert.SkipUnless(!string.IsNullOrEmpty(connection), $"{setting} names no server; ./test.sh starts one where it is installed");
        return Task.FromResult(new ResultTable(provider, connection, name));
    }

    /// <param name="file">Of the SQLite database.</param>
    public async Task<List<T>> ReadAsync<T>(string file, Func<DbDataReader, T> read)
    {
        await using var opened = await OpenAsync(file);
        await using var command = opened.CreateCommand();
        command.CommandText = $"SELECT * FROM {name}";
        await using var reader = await command.ExecuteReaderAsync();
        List<T> rows = [];
        while (await reader.ReadAsync())
            rows.Add(read(reader));
        return rows;
    }

    public async ValueTask DisposeAsync()
    {
        if (provider == "sqlite")
            return;
        await using var opened = await OpenAsync("");
        await using var command = opened.CreateCommand();
        command.CommandText = $"DROP TABLE IF EXISTS {name}";
        await command.ExecuteNonQueryAsync();
    }

    private async Task<DbConnection> OpenAsync(string file)
    {
        DbConnection opened = provider switch
        {
            "sqlite" => new SqliteConnection($"Data Source={file}"),
            "mysql" => new MySqlConnection(connection),
            _ => new NpgsqlConnection(connection),
        };
        await opened.OpenAsync();
        return opened;
    }
}
