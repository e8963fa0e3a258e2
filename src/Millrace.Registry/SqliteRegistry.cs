using System.Diagnostics;
using System.Text.Json;
using Dapper;
using Microsoft.Data.Sqlite;
using Millrace.Core;
using SQLitePCL;

namespace Millrace.Registry;

/// <summary>
/// The device register in SQLite. Ids compare byte by byte, which is also the order of pages. Searches walk the keys in
/// slices and stop after <see cref="SearchTimeMax"/>, so that one request never costs a walk over millions of devices.
/// </summary>
public sealed class SqliteRegistry(SqliteDatabase database, TimeProvider time) : IDeviceRegistry
{
    /// <summary>The view whose position <see cref="Enrol"/> stores.</summary>
    public const string EnrolmentView = "enrolment";

    /// <summary>Devices on one page at most.</summary>
    public const int PageMax = 10_000;

    /// <summary>Keys looked at between two looks at the clock.</summary>
    private const int SliceKeys = 25_000;

    /// <summary>A search gives what it found by then and says where to go on.</summary>
    internal TimeSpan SearchTimeMax { get; init; } = TimeSpan.FromMilliseconds(250);

    private const string Columns =
        "d.tenant, d.id, d.name, d.type, d.tags, d.attributes, d.created_at AS createdAt, EXISTS(SELECT 1 FROM device_tokens t WHERE t.tenant=d.tenant AND t.id=d.id) AS hasToken";

    public event Action<DeviceEvent>? Changed;

    /// <summary>Raised when a device's token was replaced or removed.</summary>
    internal event Action? TokensChanged;

    public PositionVector? EnrolmentPosition
    {
        get
        {
            var text = database.Read(c => c.QuerySingleOrDefault<string>(
                "SELECT position FROM view_positions WHERE view=@view", new { view = EnrolmentView }));
            return text is null ? null : PositionVector.Parse(text);
        }
    }

    public bool Add(ushort tenant, string id, DeviceChange change) => AddRange(tenant, [(id, change)]) == 1;

    public int AddRange(ushort tenant, IReadOnlyCollection<(string Id, DeviceChange Change)> devices)
    {
        ArgumentNullException.ThrowIfNull(devices);
        Dictionary<string, long> again = new(StringComparer.Ordinal);
        var added = database.Write((c, t) =>
        {
            var count = 0;
            foreach (var (id, change) in devices)
            {
                var isNew = c.Query<long?>(
                    """
                    INSERT INTO devices(tenant, id, created_at) VALUES(@tenant, @id, @now)
                    ON CONFLICT DO UPDATE SET blocked=0, created_at=@now, counts_from=@now WHERE blocked=1
                    RETURNING counts_from
                    """, new { tenant, id, now = time.Now() }, t).ToList();
                count += isNew.Count;
                if (isNew is [{ } countsFrom])
                    again[id] = countsFrom;
                Apply(c, t, tenant, id, change);
            }

            CountDevices(c, t, tenant, count);
            return count;
        });
        foreach (var (id, _) in devices)
            Changed?.Invoke(new DeviceEvent(tenant, id, Blocked: false, again.GetValueOrDefault(id)));
        return added;
    }

    public Device? Find(ushort tenant, string id) => database.Read(c => ToDevice(c.QuerySingleOrDefault<Row>(
        $"SELECT {Columns} FROM devices d WHERE d.tenant=@tenant AND d.id=@id AND d.blocked=0", new { tenant, id })));

    public bool Update(ushort tenant, string id, DeviceChange change)
    {
        var known = database.Write((c, t) =>
        {
            var found = c.ExecuteScalar<long>(
                "SELECT count(*) FROM devices WHERE tenant=@tenant AND id=@id AND blocked=0", new { tenant, id }, t) == 1;
            if (found)
                Apply(c, t, tenant, id, change);
            return found;
        });
        if (known)
            Changed?.Invoke(new DeviceEvent(tenant, id, Blocked: false));
        return known;
    }

    public bool Remove(ushort tenant, string id)
    {
        var removed = database.Write((c, t) =>
        {
            // The row stays and blocks the id; what was known of the device goes.
            ReplaceTags(c, t, tenant, id, []);
            var rows = c.Execute(
                """
                UPDATE devices SET blocked=1, name=NULL, type=NULL, tags=NULL, attributes=NULL
                WHERE tenant=@tenant AND id=@id AND blocked=0
                """, new { tenant, id }, t);
            if (rows == 0)
                return false;
            c.Execute("DELETE FROM device_tokens WHERE tenant=@tenant AND id=@id", new { tenant, id }, t);
            CountDevices(c, t, tenant, -1);
            return true;
        });
        if (removed)
        {
            TokensChanged?.Invoke();
            Changed?.Invoke(new DeviceEvent(tenant, id, Blocked: true));
        }

        return removed;
    }

    public DevicePage List(DeviceQuery query)
    {
        ArgumentNullException.ThrowIfNull(query);
        var limit = Math.Clamp(query.Limit, 1, PageMax);
        return database.Read(c => query.Search is { Length: > 0 } ? Search(c, query, limit) : Page(c, query, limit));
    }

    public long Count(ushort tenant) => database.Read(c => c.QuerySingleOrDefault<long>(
        "SELECT devices FROM device_counts WHERE tenant=@tenant", new { tenant }));

    public void Enrol(IReadOnlyCollection<(ushort Tenant, string Id, long FirstSeen)> devices, PositionVector position)
    {
        ArgumentNullException.ThrowIfNull(devices);
        ArgumentNullException.ThrowIfNull(position);
        database.Write((c, t) =>
        {
            var added = InsertUnknown(c, t, devices);
            foreach (var (tenant, count) in added)
                CountDevices(c, t, tenant, count);
            c.Execute(
                "INSERT INTO view_positions VALUES(@view, @position) ON CONFLICT DO UPDATE SET position=excluded.position",
                new { view = EnrolmentView, position = position.ToString() }, t);
            return true;
        });
    }

    /// <remarks>Straight on SQLite's own interface: a start waits for this, once per million devices.</remarks>
    public IEnumerable<RegisteredId> AllIds()
    {
        using var connection = database.ConnectReader();
        var result = raw.sqlite3_prepare_v2(connection.Handle, "SELECT tenant, id, blocked, counts_from FROM devices", out var statement);
        SqliteException.ThrowExceptionForRC(result, connection.Handle);
        using (statement)
        {
            while ((result = raw.sqlite3_step(statement)) == raw.SQLITE_ROW)
            {
                yield return new RegisteredId(
                    (ushort)raw.sqlite3_column_int(statement, 0),
                    raw.sqlite3_column_blob(statement, 1).ToArray(),
                    raw.sqlite3_column_int(statement, 2) != 0,
                    raw.sqlite3_column_int64(statement, 3));
            }

            if (result != raw.SQLITE_DONE)
                SqliteException.ThrowExceptionForRC(result, connection.Handle);
        }
    }

    public IEnumerable<(ushort Tenant, string Id, string? Type, IReadOnlyList<string> Tags)> Grouped()
    {
        using var connection = database.ConnectReader();
        foreach (var row in connection.Query<Row>(
            "SELECT tenant, id, type, tags FROM devices WHERE blocked=0 AND (type IS NOT NULL OR tags IS NOT NULL)", buffered: false))
        {
            yield return ((ushort)row.Tenant, row.Id, row.Type, ParseTags(row.Tags));
        }
    }

    public string IssueToken(ushort tenant, string id)
    {
        var (text, hash) = TokenText.Create(TokenText.DevicePrefix);
        database.Write((c, t) =>
        {
            var known = c.ExecuteScalar<long>(
                "SELECT count(*) FROM devices WHERE tenant=@tenant AND id=@id AND blocked=0", new { tenant, id }, t) == 1;
            if (!known)
                throw new KeyNotFoundException($"device {id} is not known; add it first");
            return c.Execute(
                """
                INSERT INTO device_tokens VALUES(@tenant, @id, @hash, @now)
                ON CONFLICT(tenant, id) DO UPDATE SET hash=excluded.hash, created_at=excluded.created_at
                """, new { tenant, id, hash, now = time.Now() }, t);
        });
        TokensChanged?.Invoke();
        return text;
    }

    private static void Apply(SqliteConnection c, SqliteTransaction t, ushort tenant, string id, DeviceChange change)
    {
        if (change is { Name: null, Type: null, Tags: null, Attributes: null })
            return;
        if (change.Tags is not null)
            ReplaceTags(c, t, tenant, id, change.Tags);
        var tags = change.Tags is null ? null : JsonSerializer.Serialize(change.Tags.Distinct().Order(StringComparer.Ordinal));
        c.Execute(
            """
            UPDATE devices SET name=coalesce(@name, name), type=coalesce(@type, type), tags=coalesce(@tags, tags),
                attributes=coalesce(@attributes, attributes)
            WHERE tenant=@tenant AND id=@id
            """, new { tenant, id, name = change.Name, type = change.Type, tags, attributes = change.Attributes }, t);
    }

    /// <summary>Keeps the index of tags in step; called before the row's own list changes.</summary>
    private static void ReplaceTags(SqliteConnection c, SqliteTransaction t, ushort tenant, string id, IReadOnlyList<string> tags)
    {
        var before = c.QuerySingleOrDefault<string>("SELECT tags FROM devices WHERE tenant=@tenant AND id=@id", new { tenant, id }, t);
        foreach (var tag in ParseTags(before))
            c.Execute("DELETE FROM device_tags WHERE tenant=@tenant AND tag=@tag AND id=@id", new { tenant, tag, id }, t);
        foreach (var tag in tags.Distinct())
            c.Execute("INSERT OR IGNORE INTO device_tags VALUES(@tenant, @tag, @id)", new { tenant, tag, id }, t);
    }

    private static void CountDevices(SqliteConnection c, SqliteTransaction t, int tenant, int change)
    {
        if (change == 0)
            return;
        c.Execute(
            "INSERT INTO device_counts VALUES(@tenant, @change) ON CONFLICT DO UPDATE SET devices=devices+@change",
            new { tenant, change }, t);
    }

    private static Dictionary<ushort, int> InsertUnknown(
        SqliteConnection c, SqliteTransaction t, IReadOnlyCollection<(ushort Tenant, string Id, long FirstSeen)> devices)
    {
        var added = new Dictionary<ushort, int>();
        using var insert = c.CreateCommand();
        insert.Transaction = t;
        insert.CommandText = "INSERT OR IGNORE INTO devices(tenant, id, created_at) VALUES(@tenant, @id, @at)";
        var tenant = insert.Parameters.Add("@tenant", SqliteType.Integer);
        var id = insert.Parameters.Add("@id", SqliteType.Text);
        var at = insert.Parameters.Add("@at", SqliteType.Integer);
        foreach (var device in devices)
        {
            (tenant.Value, id.Value, at.Value) = ((long)device.Tenant, device.Id, device.FirstSeen);
            added[device.Tenant] = added.GetValueOrDefault(device.Tenant) + insert.ExecuteNonQuery();
        }

        return added;
    }

    /// <summary>A page without a search: the filters are indexed and the walk is as long as the page.</summary>
    private static DevicePage Page(SqliteConnection c, DeviceQuery query, int limit)
    {
        var rows = c.Query<Row>(
            $"""
             SELECT {Columns} FROM {Source(query)} WHERE {Filter(query)}
             ORDER BY {KeyColumn(query)} {(query.Descending ? "DESC" : "ASC")} LIMIT @rows OFFSET @Skip
             """,
            new { query.Tenant, query.Tag, query.Type, query.After, query.Skip, rows = limit + 1 }).ToList();
        var more = rows.Count > limit;
        List<Device> devices = [.. rows.Take(limit).Select(row => ToDevice(row)!)];
        return new DevicePage(devices, more ? devices[^1].Id : null);
    }

    private DevicePage Search(SqliteConnection c, DeviceQuery query, int limit)
    {
        var started = Stopwatch.GetTimestamp();
        var pattern = $"%{query.Search!.Replace(@"\", @"\\").Replace("%", @"\%").Replace("_", @"\_")}%";
        var found = new List<Device>();
        var order = query.Descending ? "DESC" : "ASC";
        var after = query.After;
        while (true)
        {
            var slice = query with { After = after };
            // The key at the end of the slice; null when the slice is the last one.
            var last = c.QuerySingleOrDefault<string>(
                $"SELECT {KeyColumn(slice)} FROM {Source(slice)} WHERE {Filter(slice)} ORDER BY 1 {order} LIMIT 1 OFFSET @skip",
                new { slice.Tenant, slice.Tag, slice.Type, slice.After, skip = SliceKeys - 1 });
            var rows = c.Query<Row>(
                $"""
                 SELECT {Columns} FROM {Source(slice)} WHERE {Filter(slice)}
                 {(last is null ? "" : $"AND {KeyColumn(slice)} {(query.Descending ? ">=" : "<=")} @last")}
                 AND (d.id LIKE @pattern ESCAPE '\' OR d.name LIKE @pattern ESCAPE '\')
                 ORDER BY {KeyColumn(slice)} {order} LIMIT @rows
                 """,
                new { slice.Tenant, slice.Tag, slice.Type, slice.After, last, pattern, rows = limit - found.Count + 1 }).ToList();
            foreach (var row in rows)
            {
                if (found.Count == limit)
                    return new DevicePage(found, found[^1].Id);
                found.Add(ToDevice(row)!);
            }

            if (last is null)
                return new DevicePage(found, null);
            if (Stopwatch.GetElapsedTime(started) > SearchTimeMax)
                return new DevicePage(found, last);
            after = last;
        }
    }

    private static string KeyColumn(DeviceQuery query) => query.Tag is null ? "d.id" : "g.id";

    private static string Source(DeviceQuery query) => query.Tag is not null
        ? "device_tags g CROSS JOIN devices d ON d.tenant=g.tenant AND d.id=g.id"
        : "devices d";

    private static string Filter(DeviceQuery query) => string.Concat(
        query.Tag is null ? "d.tenant=@Tenant" : "g.tenant=@Tenant AND g.tag=@Tag",
        query.After is null ? "" : $" AND {KeyColumn(query)} {(query.Descending ? "<" : ">")} @After",
        query.Type is null ? "" : " AND d.type=@Type",
        " AND d.blocked=0");

    private static string[] ParseTags(string? json) => json is null ? [] : JsonSerializer.Deserialize<string[]>(json) ?? [];

    private static Device? ToDevice(Row? row) => row is null ? null : new Device(
        (ushort)row.Tenant, row.Id, row.Name, row.Type,
        ParseTags(row.Tags), row.Attributes, row.CreatedAt, row.HasToken != 0);

    /// <summary>A row as Dapper fills it.</summary>
    private sealed class Row
    {
        public long Tenant { get; set; }
        public string Id { get; set; } = "";
        public string? Name { get; set; }
        public string? Type { get; set; }
        public string? Tags { get; set; }
        public string? Attributes { get; set; }
        public long CreatedAt { get; set; }
        public long HasToken { get; set; }
    }
}
