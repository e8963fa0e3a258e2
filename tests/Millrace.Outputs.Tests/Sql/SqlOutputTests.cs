using System.Data.Common;
using System.Text;
using Millrace.MySql.Outputs;
using Millrace.Outputs.Files;
using Millrace.Outputs.Sql;

namespace Millrace.Outputs.Tests.Sql;

public sealed class SqliteOutputTests : SqlConformance
{
    private protected override SqlTarget? NewTarget()
    {
        var target = new SqlTarget();
        target.Use(new SqliteDialect(new AllowedFolders(target.Folder.Path, [])), target.Folder["rows.db"]);
        return target;
    }

    [Fact]
    public async Task Books_of_an_earlier_release_are_read_and_get_the_column_they_lack()
    {
        await using var target = NewTarget()!;
        target.Lineage = new Lineage([new Incarnation("aaaa", 1)], 1);
        await target.QueryAsync(
            "CREATE TABLE millrace_outputs(job TEXT NOT NULL, output TEXT NOT NULL, version INTEGER NOT NULL, highest_row INTEGER NOT NULL, PRIMARY KEY(job, output))");
        await target.QueryAsync($"INSERT INTO millrace_outputs VALUES('{target.Table}', 'alarms', 1, 4)");

        await using var output = target.Create();
        var held = await output.OpenAsync(default);
        await output.AppendAsync([new OutputRow(new RowId(1, 5), 0, "{}"u8.ToArray())], default);

        Assert.Equal(new RowId(1, 4), held);
        Assert.Equal(["5 aaaa"], (await target.QueryAsync("SELECT highest_row, incarnation FROM millrace_outputs")).Select(r => $"{r[0]} {r[1]}"));
    }
}

public sealed class PostgresOutputTests : SqlConformance
{
    private protected override SqlTarget? NewTarget()
    {
        if (Environment.GetEnvironmentVariable("MILLRACE_TEST_POSTGRES") is not { Length: > 0 } connection)
            return null;
        var target = new SqlTarget();
        target.Use(new PostgresDialect(), connection);
        return target;
    }
}

public sealed class MariaDbOutputTests : SqlConformance
{
    private protected override SqlTarget? NewTarget()
    {
        if (Environment.GetEnvironmentVariable("MILLRACE_TEST_MARIADB") is not { Length: > 0 } connection)
            return null;
        var target = new SqlTarget();
        target.Use(new MySqlDialect(), connection);
        return target;
    }
}

internal sealed class SqlTarget : OutputTarget
{
    private ISqlDialect _dialect = null!;
    private string _connection = "";

    public string Table { get; } = "rows_" + Guid.NewGuid().ToString("N");

    public void Use(ISqlDialect dialect, string connection) => (_dialect, _connection) = (dialect, connection);

    public override IOutput Create() => Create(new SqlOutputOptions { Connection = _connection, Table = Table });

    // A source of its own: the books are shared by all tests of one database.
    public IOutput Create(SqlOutputOptions options) => new SqlOutput(
        Source with { Job = Table }, options with { Connection = _connection, Table = Table }, _dialect);

    public override async Task<IReadOnlyList<long>> HeldAsync() =>
        [.. (await QueryAsync("SELECT n FROM {0} ORDER BY millrace_version, millrace_row")).Select(r => Convert.ToInt64(r[0]))];

    public async Task<List<object[]>> QueryAsync(string sql)
    {
        await using var connection = await _dialect.ConnectAsync(_connection, default);
        await using var command = connection.CreateCommand();
        command.CommandText = string.Format(sql, _dialect.Quote(Table));
        await using var reader = await command.ExecuteReaderAsync();
        List<object[]> rows = [];
        while (await reader.ReadAsync())
        {
            var row = new object[reader.FieldCount];
            reader.GetValues(row);
            rows.Add(row);
        }

        return rows;
    }
}

public abstract class SqlConformance : OutputConformance
{
    private protected abstract SqlTarget? NewTarget();

    protected override Task<OutputTarget> StartAsync() => Task.FromResult<OutputTarget>(Target());

    [Fact]
    public async Task With_a_key_the_newest_row_of_each_key_stands()
    {
        await using var target = Target();
        await using var output = target.Create(new SqlOutputOptions { Connection = "", Table = "", Key = ["id"] });
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, """{"id":"a","v":1}"""), Row(1, """{"id":"b","v":2}"""), Row(2, """{"id":"a","v":3}""")], default);
        await output.AppendAsync([Row(3, """{"id":"b","v":4}""")], default);

        var rows = await target.QueryAsync("SELECT id, v FROM {0} ORDER BY id");
        Assert.Equal(["a 3", "b 4"], rows.Select(r => $"{r[0]} {r[1]}"));
    }

    [Fact]
    public async Task Columns_that_appear_later_are_added_and_narrow_ones_widened()
    {
        await using var target = Target();
        await using var output = target.Create();
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, """{"a":1,"b":"x"}""")], default);
        await output.AppendAsync([Row(1, """{"a":1.5,"c":{"d":[1]}}""")], default);
        await output.AppendAsync([Row(2, """{"a":"text","b":null}""")], default);

        var rows = await target.QueryAsync("SELECT a, b, c FROM {0} ORDER BY millrace_row");
        Assert.Equal(3, rows.Count);
        Assert.Equal("text", rows[2][0].ToString());
        Assert.Equal("1.5", Convert.ToString(rows[1][0], System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal("{\"d\":[1]}", rows[1][2].ToString()!.Replace(" ", ""));
        Assert.Equal(DBNull.Value, rows[2][1]);
    }

    [Fact]
    public async Task Values_and_names_cannot_become_statements()
    {
        await using var target = Target();
        await using var output = target.Create();
        await output.OpenAsync(default);
        const string Nasty = """{"a`\"; DROP TABLE x; --":"'); DELETE FROM y; --","n":1}""";

        await output.AppendAsync([Row(0, Nasty)], default);

        var row = Assert.Single(await target.QueryAsync("SELECT * FROM {0}"));
        Assert.Contains("'); DELETE FROM y; --", row.Select(v => v.ToString()));
    }

    [Fact]
    public async Task A_given_schema_makes_times_real()
    {
        await using var target = Target();
        await using var output = target.Create(new SqlOutputOptions
        {
            Connection = "",
            Table = "",
            Schema = [new SqlColumn("at", ColumnKind.Timestamp), new SqlColumn("v", ColumnKind.Double)],
        });
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, """{"at":"2026-01-15T12:00:00.1234560Z","v":1}""")], default);

        var rows = await target.QueryAsync("SELECT at, v FROM {0}");
        Assert.Contains("2026", rows[0][0] is DateTime at ? at.ToString("yyyy-MM-dd HH:mm:ss.ffffff") : rows[0][0].ToString());
        Assert.Equal(1.0, Convert.ToDouble(rows[0][1]));
    }

    private static OutputRow Row(long row, string json) => new(new RowId(1, row), 1_767_225_600_000_000, Encoding.UTF8.GetBytes(json));

    private SqlTarget Target()
    {
        var target = NewTarget();
        Assert.SkipWhen(target is null, $"{GetType().Name}: its server's MILLRACE_TEST_ variable is not set");
        return target!;
    }
}
