using System.Data;
using System.Data.Common;
using System.Text;
using System.Text.Json;

namespace Millrace.Outputs.Sql;

/// <summary>
/// Rows in a table. The highest row of each output stands in <c>millrace_outputs</c> and changes in the same transaction as the
/// rows, so a batch is there once or not at all. The table is made from the first rows, or from a given schema.
/// </summary>
public sealed class SqlOutput(OutputSource source, SqlOutputOptions options, ISqlDialect dialect) : IOutput
{
    private const string Books = "millrace_outputs";

    /// <summary>How long a stop waits for a statement that a driver cannot break off, because its server answers nothing.</summary>
    private static readonly TimeSpan LeaveAfter = TimeSpan.FromSeconds(2);
    private static readonly string[] RowKey = ["millrace_job", "millrace_output", "millrace_version", "millrace_row"];

    private readonly string _table = string.Join('.', options.Table.Split('.').Select(dialect.Quote));
    private readonly Dictionary<string, ColumnKind> _columns = new(StringComparer.OrdinalIgnoreCase);
    private DbConnection? _connection;
    private Task _working = Task.CompletedTask;
    private bool _tableKnown;
    private RowId _held = RowId.None;

    private string Incarnation => $"incarnation {dialect.TypeName(ColumnKind.Text, false)}";

    private bool KeyedByRow => options.Key.Count == 0;

    public string Kind => "sql";

    public bool KeepsBooks => true;

    public OutputBatching Batching => new(2000, 1 << 20, TimeSpan.FromMilliseconds(50));

    public async ValueTask<RowId> OpenAsync(CancellationToken cancel)
    {
        await DisposeAsync();
        return await GuardAsync("open", async () =>
        {
            _connection = await dialect.ConnectAsync(options.Connection, cancel);
            await ExecuteAsync(
                $"CREATE TABLE IF NOT EXISTS {Books} (job {dialect.TypeName(ColumnKind.Text, true)} NOT NULL, "
                + $"output {dialect.TypeName(ColumnKind.Text, true)} NOT NULL, version {dialect.TypeName(ColumnKind.BigInt, false)} NOT NULL, "
                + $"highest_row {dialect.TypeName(ColumnKind.BigInt, false)} NOT NULL, {Incarnation}, PRIMARY KEY (job, output))", null, cancel);
            if (!(await ColumnsOfAsync(Books, cancel)).ContainsKey("incarnation"))
                await ExecuteAsync($"ALTER TABLE {Books} ADD COLUMN {Incarnation}", null, cancel);
            await ReadColumnsAsync(cancel);
            await using var command = _connection.CreateCommand();
            command.CommandText = $"SELECT version, highest_row, incarnation FROM {Books} WHERE job = @p0 AND output = @p1";
            AddParameters(command, [source.Job, source.Output]);
            await using var reader = await command.ExecuteReaderAsync(cancel);
            var there = await reader.ReadAsync(cancel);
            _held = there ? new RowId((int)reader.GetInt64(0), reader.GetInt64(1)) : RowId.None;
            source.Lineage.Accept(
                source, _held, there && !reader.IsDBNull(2) ? reader.GetString(2) : null, $"{dialect.Provider} table {options.Table}",
                $"give the job another name, or the output another database; or remove the line of job '{source.Job}', output '{source.Output}' from {Books}"
                + (KeyedByRow ? " and its rows from the table" : "") + ", and it begins anew");
            return _held;
        }, cancel);
    }

    public async ValueTask AppendAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
    {
        // A row that is here already is not taken again: it would overwrite newer ones of its key, and what is held never goes back.
        var parsed = rows.SkipWhile(row => row.Id <= _held).Select(row => (row.Id, Values: Parse(row.Json))).ToList();
        if (parsed.Count == 0)
            return;
        await GuardAsync("write", async () =>
        {
            await FitTableAsync(parsed.Select(r => r.Values), cancel);
            await using var transaction = await _connection!.BeginTransactionAsync(cancel);
            var names = Names(parsed.Select(r => r.Values));
            foreach (var chunk in Unique(parsed).Chunk(Math.Max(1, Math.Min(500, dialect.ParametersMax / Math.Max(1, names.Count)))))
                await InsertAsync(names, chunk, transaction, cancel);
            var last = rows[^1].Id;
            await ExecuteAsync(
                $"INSERT INTO {Books} (job, output, version, highest_row, incarnation) VALUES (@p0, @p1, @p2, @p3, @p4)"
                + dialect.OnConflict(["job", "output"], ["version", "highest_row", "incarnation"]),
                transaction, cancel, source.Job, source.Output, (long)last.Version, last.Row, source.Lineage.IdOf(last.Version));
            cancel.ThrowIfCancellationRequested();
            await transaction.CommitAsync(cancel);
            _held = last;
            return true;
        }, cancel);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_working.IsCompleted)
        {
            // Left behind. It begins no further statement, and one that the database still finishes is told by its books.
            _ = _working.ContinueWith(_ => _connection?.Dispose(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            return;
        }

        if (_connection is { } connection)
        {
            _connection = null;
            await connection.DisposeAsync();
        }
    }

    private static Dictionary<string, object?> Parse(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json);
        Dictionary<string, object?> values = new(StringComparer.OrdinalIgnoreCase);
        foreach (var property in document.RootElement.EnumerateObject())
        {
            values[property.Name] = property.Value.ValueKind switch
            {
                JsonValueKind.Null => null,
                JsonValueKind.True => true,
                JsonValueKind.False => false,
                JsonValueKind.String => property.Value.GetString(),
                JsonValueKind.Number when property.Value.TryGetInt64(out var whole) => whole,
                JsonValueKind.Number => property.Value.GetDouble(),
                _ => new JsonText(property.Value.GetRawText()),
            };
        }

        return values;
    }

    /// <summary>A nested value, told apart from a text.</summary>
    private sealed record JsonText(string Text);

    private static ColumnKind KindOf(object value) => value switch
    {
        bool => ColumnKind.Boolean,
        long => ColumnKind.BigInt,
        double => ColumnKind.Double,
        JsonText => ColumnKind.Json,
        _ => ColumnKind.Text,
    };

    /// <summary>With a key of the user's own a later row of the batch replaces an earlier one: one statement may not touch a row twice.</summary>
    private IEnumerable<(RowId Id, Dictionary<string, object?> Values)> Unique(List<(RowId Id, Dictionary<string, object?> Values)> rows)
    {
        if (KeyedByRow)
            return rows;
        Dictionary<string, (RowId, Dictionary<string, object?>)> last = new(StringComparer.Ordinal);
        foreach (var row in rows)
        {
            foreach (var key in options.Key)
            {
                if (row.Values.GetValueOrDefault(key) is null)
                    throw new OutputException($"row {row.Id} has no value in key column '{key}' of {options.Table}; mend the query or the key", refused: true);
            }

            last[JsonSerializer.Serialize(options.Key.Select(k => row.Values[k]?.ToString()))] = row;
        }

        return last.Values;
    }

    private List<string> Names(IEnumerable<Dictionary<string, object?>> rows)
    {
        List<string> names = KeyedByRow ? [.. RowKey] : [];
        names.AddRange(rows.SelectMany(r => r.Keys).Distinct(StringComparer.OrdinalIgnoreCase));
        return names;
    }

    private async Task InsertAsync(
        List<string> names, (RowId Id, Dictionary<string, object?> Values)[] rows, DbTransaction transaction, CancellationToken cancel)
    {
        var sql = new StringBuilder($"INSERT INTO {_table} ({string.Join(", ", names.Select(dialect.Quote))}) VALUES ");
        List<object?> values = new(rows.Length * names.Count);
        for (var r = 0; r < rows.Length; r++)
        {
            sql.Append(r == 0 ? "(" : ", (");
            for (var c = 0; c < names.Count; c++)
            {
                sql.Append(c == 0 ? "@p" : ", @p").Append(values.Count);
                if (dialect.Provider == "postgres" && _columns.GetValueOrDefault(names[c]) == ColumnKind.Json)
                    sql.Append("::jsonb");
                values.Add(Value(names[c], rows[r].Id, rows[r].Values));
            }

            sql.Append(')');
        }

        IReadOnlyList<string> key = KeyedByRow ? RowKey : options.Key;
        sql.Append(dialect.OnConflict(key, [.. names.Except(key, StringComparer.OrdinalIgnoreCase)]));
        await ExecuteAsync(sql.ToString(), transaction, cancel, [.. values]);
    }

    private object? Value(string name, RowId id, Dictionary<string, object?> values)
    {
        if (KeyedByRow)
        {
            switch (Array.IndexOf(RowKey, name))
            {
                case 0: return source.Job;
                case 1: return source.Output;
                case 2: return (long)id.Version;
                case 3: return id.Row;
            }
        }

        if (values.GetValueOrDefault(name) is not { } value)
            return null;
        var kind = _columns.GetValueOrDefault(name, ColumnKind.Other);
        var fitted = (kind, value) switch
        {
            (ColumnKind.Json, JsonText json) => json.Text,
            (ColumnKind.Json, _) => JsonSerializer.Serialize(value),
            (_, JsonText json) => json.Text,
            (ColumnKind.Double, long whole) => (double)whole,
            (ColumnKind.Text, bool bit) => bit ? "true" : "false",
            (ColumnKind.Text, IFormattable number) => number.ToString(null, System.Globalization.CultureInfo.InvariantCulture),
            _ => value,
        };
        return dialect.Convert(fitted, kind);
    }

    /// <summary>Makes the table, adds columns it lacks and widens those that are too narrow for the rows.</summary>
    private async Task FitTableAsync(IEnumerable<Dictionary<string, object?>> rows, CancellationToken cancel)
    {
        Dictionary<string, ColumnKind> wanted = new(StringComparer.OrdinalIgnoreCase);
        foreach (var column in options.Schema)
            wanted[column.Name] = column.Kind;
        foreach (var (name, value) in rows.SelectMany(r => r))
        {
            if (options.Schema.Any(c => c.Name.Equals(name, StringComparison.OrdinalIgnoreCase)))
                continue;
            if (value is null)
                wanted.TryAdd(name, wanted.GetValueOrDefault(name, ColumnKind.Other));
            else
                wanted[name] = wanted.TryGetValue(name, out var kind) && kind != ColumnKind.Other ? kind.Join(KindOf(value)) : KindOf(value);
        }

        if (!_tableKnown)
            await CreateTableAsync(wanted, cancel);
        foreach (var (name, kind) in wanted)
        {
            if (!_columns.TryGetValue(name, out var held))
            {
                var type = kind == ColumnKind.Other ? ColumnKind.Text : kind;
                await ExecuteAsync($"ALTER TABLE {_table} ADD COLUMN {dialect.Quote(name)} {dialect.TypeName(type, false)}", null, cancel);
                _columns[name] = type;
                continue;
            }

            if (held == ColumnKind.Other || kind == ColumnKind.Other || held == ColumnKind.Timestamp)
                continue;
            var joined = held == ColumnKind.Json ? ColumnKind.Json : held.Join(kind);
            if (joined == held)
                continue;
            if (dialect.Widen(_table, name, joined) is { } widen)
                await ExecuteAsync(widen, null, cancel);
            _columns[name] = joined;
        }
    }

    private async Task CreateTableAsync(Dictionary<string, ColumnKind> columns, CancellationToken cancel)
    {
        List<string> parts = [];
        if (KeyedByRow)
        {
            parts.AddRange(RowKey.Select((name, i) =>
                $"{dialect.Quote(name)} {dialect.TypeName(i < 2 ? ColumnKind.Text : ColumnKind.BigInt, i < 2)} NOT NULL"));
        }

        foreach (var (name, kind) in columns)
        {
            var key = options.Key.Contains(name, StringComparer.OrdinalIgnoreCase);
            var type = kind == ColumnKind.Other ? ColumnKind.Text : kind;
            parts.Add($"{dialect.Quote(name)} {dialect.TypeName(type, key)}{(key ? " NOT NULL" : "")}");
        }

        IEnumerable<string> primary = KeyedByRow ? RowKey : options.Key;
        parts.Add($"PRIMARY KEY ({string.Join(", ", primary.Select(dialect.Quote))})");
        await ExecuteAsync($"CREATE TABLE IF NOT EXISTS {_table} ({string.Join(", ", parts)})", null, cancel);
        await ReadColumnsAsync(cancel);
    }

    /// <summary>The columns of the table, if it is there.</summary>
    private async Task ReadColumnsAsync(CancellationToken cancel)
    {
        _columns.Clear();
        _tableKnown = false;
        try
        {
            foreach (var (name, kind) in await ColumnsOfAsync(_table, cancel))
                _columns[name] = kind;
            _tableKnown = true;
        }
        catch (DbException) when (_connection!.State == ConnectionState.Open)
        {
            // No such table yet: the first rows say how to make it.
        }
    }

    private async Task<Dictionary<string, ColumnKind>> ColumnsOfAsync(string table, CancellationToken cancel)
    {
        await using var command = _connection!.CreateCommand();
        command.CommandText = $"SELECT * FROM {table} WHERE 1 = 0";
        await using var reader = await command.ExecuteReaderAsync(cancel);
        Dictionary<string, ColumnKind> columns = new(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < reader.FieldCount; i++)
            columns[reader.GetName(i)] = dialect.KindOf(reader.GetDataTypeName(i));
        return columns;
    }

    private async Task ExecuteAsync(string sql, DbTransaction? transaction, CancellationToken cancel, params object?[] values)
    {
        cancel.ThrowIfCancellationRequested();
        await using var command = _connection!.CreateCommand();
        command.CommandText = sql;
        command.Transaction = transaction;
        AddParameters(command, values);
        await command.ExecuteNonQueryAsync(cancel);
    }

    private static void AddParameters(DbCommand command, IReadOnlyList<object?> values)
    {
        for (var i = 0; i < values.Count; i++)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = "@p" + i;
            parameter.Value = values[i] ?? DBNull.Value;
            command.Parameters.Add(parameter);
        }
    }

    /// <summary>
    /// Does a piece of work on a thread of its own: drivers block, and some hear a cancellation only when the server answers. A stop waits a
    /// moment for it and then leaves it behind.
    /// </summary>
    private async ValueTask<T> GuardAsync<T>(string what, Func<Task<T>> work, CancellationToken cancel)
    {
        var working = Task.Run(work, CancellationToken.None);
        _working = working;
        try
        {
            return await working.WaitAsync(cancel);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            await _working.WaitAsync(LeaveAfter, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
        catch (Exception e) when (e is DbException or InvalidOperationException or IOException or FormatException or TimeoutException or NullReferenceException)
        {
            // NullReferenceException: what MySql.Data throws when a command is cancelled. Any failure means: connect anew.
            throw new OutputException($"{dialect.Provider} table {options.Table}: cannot {what}: {e.Message}", e);
        }
    }
}
