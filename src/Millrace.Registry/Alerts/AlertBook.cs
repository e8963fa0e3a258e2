using System.Text.Json;
using System.Text.Json.Nodes;
using Dapper;
using Microsoft.Data.Sqlite;
using Millrace.Core;

namespace Millrace.Registry.Alerts;

/// <summary>Rows of one job's alert outputs that are taken in together.</summary>
/// <param name="Clears">The row clears instead of raising.</param>
/// <param name="Channels">Who is told: names of notification channels.</param>
public sealed record AlertEntry(
    string Output, int Version, long RowNumber, AlertRule Rule, AlertRow Row, bool Clears, IReadOnlyList<string> Channels);

/// <summary>A message that waits for its channel.</summary>
/// <param name="Number">Dense per channel: with it the channel tells repeats.</param>
public sealed record AlertNotification(long Number, long At, string Body);

/// <summary>What alerts to list, newest first.</summary>
/// <param name="Open">True: raised and acknowledged ones; null: any state, or the one in <paramref name="State"/>.</param>
/// <param name="Key">The key as it is stored, with <paramref name="Rule"/>: all alerts of one condition.</param>
public sealed record AlertQuery(
    ushort Tenant, AlertState? State, bool? Open, string? Rule, string? Device, long? After, int Limit, string? Severity = null, string? Key = null);

/// <summary>Open alerts of one severity and state.</summary>
public sealed record OpenAlertCount(string Severity, AlertState State, long Alerts);

/// <summary>What happened to an alert. The numbers are stored and never change.</summary>
public enum AlertEventKind
{
    Raised = 1,

    /// <summary>Somebody was told that it was raised, or that it still holds.</summary>
    Told = 2,

    Acknowledged = 3,
    Cleared = 4,
}

/// <summary>One step in an alert's life.</summary>
/// <param name="At">µs since the epoch; of rows their timestamp, of acknowledgements the wall clock.</param>
/// <param name="Who">Who acknowledged, or the channels that were told.</param>
public sealed record AlertEvent(long At, AlertEventKind Kind, string? Who, string? Note);

/// <summary>
/// The alerts in the registry's file. A job's rows, the alerts they change, the messages they cause and how far the rows reach are one
/// transaction: a row that comes again after a crash changes nothing. Thread-safe.
/// </summary>
public sealed class AlertBook(SqliteDatabase database, TimeProvider time)
{
    /// <summary>Messages that may wait for one channel; beyond it the oldest go. A dead mail server must not fill the disk.</summary>
    public const int WaitingMax = 100_000;

    private const string Columns =
        "id, tenant, job, rule, key, device, state, severity, message, fields, raised_at, last_at, clear_after, acknowledged_at, "
        + "acknowledged_by, note, cleared_at, row_count, suppressed, notified, notified_at, gap";

    /// <summary>Raised after a transaction that left messages in channels.</summary>
    public event Action<IReadOnlyCollection<string>>? Notified;

    /// <summary>Raised with every alert that changed, after it was stored.</summary>
    public event Action<Alert>? Changed;

    /// <summary>Takes in rows in the order given, then the watermark. Rows taken in before are skipped.</summary>
    /// <param name="watermark">The job's watermark, µs: no row at or before it will come any more.</param>
    public void Apply(string job, IReadOnlyList<AlertEntry> entries, long watermark)
    {
        ArgumentNullException.ThrowIfNull(entries);
        List<Alert> changed = [];
        HashSet<string> channels = [];
        database.Write((c, t) =>
        {
            Dictionary<string, (int, long)> positions = [];
            foreach (var entry in entries)
            {
                var position = positions.TryGetValue(entry.Output, out var known) ? known : ReadPosition(c, t, job, entry.Output);
                if ((entry.Version, entry.RowNumber).CompareTo(position) > 0)
                {
                    TakeIn(c, t, entry, changed, channels);
                    position = (entry.Version, entry.RowNumber);
                }

                positions[entry.Output] = position;
            }

            foreach (var (output, (version, row)) in positions)
            {
                c.Execute(
                    "INSERT INTO alert_positions VALUES(@job, @output, @version, @row) ON CONFLICT(job, output) DO UPDATE SET version=@version, row=@row",
                    new { job, output, version, row }, t);
            }

            ClearDue(c, t, job, watermark, changed);
            return true;
        });
        Announce(changed, channels);
    }

    /// <summary>Raises or refreshes an alert of the server's own.</summary>
    public void Raise(AlertRule rule, AlertRow row, IReadOnlyList<string> channels)
    {
        List<Alert> changed = [];
        HashSet<string> told = [];
        database.Write((c, t) =>
        {
            Step(c, t, rule, row, channels, changed, told);
            return true;
        });
        Announce(changed, told);
    }

    /// <summary>Clears an alert of the server's own; false when there is none open.</summary>
    public bool Clear(ushort tenant, string rule, string key)
    {
        List<Alert> changed = [];
        database.Write((c, t) =>
        {
            if (AlertMachine.OnClear(FindOpen(c, t, tenant, rule, key), time.Now()) is { } cleared)
                Store(c, t, cleared, changed);
            return true;
        });
        Announce(changed, []);
        return changed.Count > 0;
    }

    /// <summary>
    /// Forgets a job that is gone, in one step: its open alerts are cleared and messages that wait are told to nobody. How its rows and messages
    /// were numbered stays, so that a later job of the name gives out other numbers.
    /// </summary>
    public void Forget(ushort tenant, string job)
    {
        List<Alert> changed = [];
        database.Write((c, t) =>
        {
            var open = c.Query<Stored>(
                $"SELECT {Columns} FROM alerts WHERE tenant=@tenant AND job=@job AND state<3", new { tenant = (int)tenant, job }, t).ToList();
            foreach (var alert in open)
            {
                if (AlertMachine.OnClear(alert.ToAlert(), time.Now()) is { } cleared)
                    Store(c, t, cleared, changed);
            }

            var prefix = job + "/";
            c.Execute("DELETE FROM alert_notifications WHERE substr(channel, 1, length(@prefix))=@prefix", new { prefix }, t);
            return true;
        });
        Announce(changed, []);
    }

    /// <summary>Acknowledges an open alert.</summary>
    /// <returns>The alert, or null when it is unknown or cleared.</returns>
    public Alert? Acknowledge(ushort tenant, long id, string by, string? note)
    {
        List<Alert> changed = [];
        database.Write((c, t) =>
        {
            var alert = c.QuerySingleOrDefault<Stored>($"SELECT {Columns} FROM alerts WHERE id=@id AND tenant=@tenant", new { id, tenant = (int)tenant }, t)?.ToAlert();
            if (alert is not null && AlertMachine.Acknowledge(alert, by, note, time.Now()) is { } acknowledged)
            {
                Store(c, t, acknowledged, changed);
                Record(c, t, id, acknowledged.AcknowledgedAt!.Value, AlertEventKind.Acknowledged, by, note);
            }

            return true;
        });
        Announce(changed, []);
        return changed.FirstOrDefault();
    }

    /// <summary>What happened to an alert, oldest first.</summary>
    public IReadOnlyList<AlertEvent> History(ushort tenant, long id) => database.Read(c =>
        c.Query<(long At, long Kind, string? Who, string? Note)>(
            "SELECT e.at, e.kind, e.who, e.note FROM alert_events e JOIN alerts a ON a.id=e.alert WHERE e.alert=@id AND a.tenant=@tenant ORDER BY e.number",
            new { id, tenant = (int)tenant }).Select(e => new AlertEvent(e.At, (AlertEventKind)e.Kind, e.Who, e.Note)).ToList());

    public Alert? Find(ushort tenant, long id) => database.Read(c =>
        c.QuerySingleOrDefault<Stored>($"SELECT {Columns} FROM alerts WHERE id=@id AND tenant=@tenant", new { id, tenant = (int)tenant })?.ToAlert());

    public IReadOnlyList<Alert> List(AlertQuery query)
    {
        ArgumentNullException.ThrowIfNull(query);
        var sql = $"SELECT {Columns} FROM alerts WHERE tenant=@tenant"
            + (query.State is null ? "" : " AND state=@state")
            + (query.Open is null ? "" : query.Open.Value ? " AND state<3" : " AND state=3")
            + (query.Rule is null ? "" : " AND rule=@rule")
            + (query.Device is null ? "" : " AND device=@device")
            + (query.Severity is null ? "" : " AND severity=@severity")
            + (query.Key is null ? "" : " AND key=@key")
            + (query.After is null ? "" : " AND id<@after")
            + " ORDER BY id DESC LIMIT @limit";
        return database.Read(c => c.Query<Stored>(sql, new
        {
            tenant = (int)query.Tenant,
            state = (int?)query.State,
            rule = query.Rule,
            device = query.Device,
            severity = query.Severity,
            key = query.Key,
            after = query.After,
            limit = query.Limit,
        }).Select(s => s.ToAlert()).ToList());
    }

    /// <summary>Open alerts of a tenant.</summary>
    public long CountOpen(ushort tenant) => database.Read(c =>
        c.ExecuteScalar<long>("SELECT count(*) FROM alerts WHERE tenant=@tenant AND state<3", new { tenant = (int)tenant }));

    /// <summary>Open alerts of a tenant by severity and state.</summary>
    public IReadOnlyList<OpenAlertCount> CountOpenBySeverity(ushort tenant) => database.Read(c =>
        c.Query<(string Severity, long State, long Alerts)>(
            "SELECT severity, state, count(*) FROM alerts WHERE tenant=@tenant AND state<3 GROUP BY severity, state", new { tenant = (int)tenant })
            .Select(r => new OpenAlertCount(r.Severity, (AlertState)r.State, r.Alerts)).ToList());

    /// <summary>A page of the devices that have open alerts, in id order.</summary>
    /// <param name="severity">Only alerts of this severity, or null.</param>
    /// <param name="after">The last id of the page before, or null.</param>
    public IReadOnlyList<string> DevicesWithOpenAlerts(ushort tenant, string? severity, string? after, int limit) => database.Read(c =>
        c.Query<string>(
            $"SELECT DISTINCT device FROM alerts WHERE tenant=@tenant AND state<3 AND device>@after{(severity is null ? "" : " AND severity=@severity")} ORDER BY device LIMIT @limit",
            new { tenant = (int)tenant, severity, after = after ?? "", limit }).ToList());

    /// <summary>The open alerts of some devices, as (device, severity).</summary>
    public IReadOnlyList<(string Device, string Severity)> OpenOf(ushort tenant, IReadOnlyCollection<string> devices) => database.Read(c =>
        c.Query<(string, string)>(
            "SELECT device, severity FROM alerts WHERE tenant=@tenant AND state<3 AND device IN @devices", new { tenant = (int)tenant, devices }).ToList());

    /// <summary>Messages of a channel with greater numbers than <paramref name="after"/>, in order.</summary>
    public IReadOnlyList<AlertNotification> Waiting(string channel, long after) => database.Read(c =>
        c.Query<(long Number, long At, string Body)>(
            "SELECT number, at, body FROM alert_notifications WHERE channel=@channel AND number>@after ORDER BY number LIMIT 1000", new { channel, after })
            .Select(r => new AlertNotification(r.Number, r.At, r.Body)).ToList());

    /// <summary>Forgets all messages of a channel that is gone; tells how many.</summary>
    public int ForgetChannel(string channel) => database.Write((c, t) =>
        c.Execute("DELETE FROM alert_notifications WHERE channel=@channel", new { channel }, t));

    /// <summary>Gives a channel another name, with what waits in it and its numbers.</summary>
    public void RenameChannel(string from, string to) => database.Write((c, t) =>
        c.Execute("UPDATE OR IGNORE alert_notifications SET channel=@to WHERE channel=@from", new { from, to }, t)
        + c.Execute("UPDATE OR IGNORE alert_channels SET channel=@to WHERE channel=@from", new { from, to }, t));

    /// <summary>Forgets messages up to a number: the channel delivered them.</summary>
    public void Delivered(string channel, long number) => database.Write((c, t) =>
        c.Execute("DELETE FROM alert_notifications WHERE channel=@channel AND number<=@number", new { channel, number }, t));

    private static (int, long) ReadPosition(SqliteConnection c, SqliteTransaction t, string job, string output) =>
        c.QuerySingleOrDefault<(long, long)?>("SELECT version, row FROM alert_positions WHERE job=@job AND output=@output", new { job, output }, t) is { } p
            ? ((int)p.Item1, p.Item2)
            : (0, -1);

    private void TakeIn(SqliteConnection c, SqliteTransaction t, AlertEntry entry, List<Alert> changed, HashSet<string> channels)
    {
        var open = FindOpen(c, t, entry.Row.Tenant, entry.Rule.Rule, entry.Row.Key);
        if (open is not null && AlertMachine.OnWatermark(open, entry.Row.Timestamp) is { } over)
        {
            Store(c, t, over, changed);
            open = null;
        }

        if (entry.Clears)
        {
            if (AlertMachine.OnClear(open, entry.Row.Timestamp) is { } cleared)
                Store(c, t, cleared, changed);
            return;
        }

        Step(c, t, entry.Rule, entry.Row, entry.Channels, changed, channels);
    }

    private void Step(
        SqliteConnection c, SqliteTransaction t, AlertRule rule, AlertRow row, IReadOnlyList<string> channels, List<Alert> changed, HashSet<string> told)
    {
        var step = AlertMachine.OnRow(FindOpen(c, t, row.Tenant, rule.Rule, row.Key), rule, row, time.Now());
        if (step.Alert is null)
            return;
        var stored = Store(c, t, step.Alert, changed);
        if (step.Notice == AlertNotice.None)
            return;
        if (channels.Count > 0)
            Record(c, t, stored.Id, row.Timestamp, AlertEventKind.Told, string.Join(", ", channels), null);
        foreach (var channel in channels)
        {
            Queue(c, t, channel, Body(stored, step.Notice));
            told.Add(channel);
        }
    }

    private static void ClearDue(SqliteConnection c, SqliteTransaction t, string job, long watermark, List<Alert> changed)
    {
        var due = c.Query<Stored>(
            $"SELECT {Columns} FROM alerts WHERE job=@job AND state<3 AND clear_after IS NOT NULL AND last_at <= @watermark - clear_after",
            new { job, watermark }, t).ToList();
        foreach (var alert in due)
        {
            if (AlertMachine.OnWatermark(alert.ToAlert(), watermark) is { } cleared)
                Store(c, t, cleared, changed);
        }
    }

    private static Alert? FindOpen(SqliteConnection c, SqliteTransaction t, ushort tenant, string rule, string key) =>
        c.QuerySingleOrDefault<Stored>(
            $"SELECT {Columns} FROM alerts WHERE tenant=@tenant AND rule=@rule AND key=@key AND state<3", new { tenant = (int)tenant, rule, key }, t)?.ToAlert();

    private static Alert Store(SqliteConnection c, SqliteTransaction t, Alert alert, List<Alert> changed)
    {
        var values = new
        {
            id = alert.Id == 0 ? (long?)null : alert.Id,
            tenant = (int)alert.Tenant,
            alert.Job,
            alert.Rule,
            alert.Key,
            alert.Device,
            state = (int)alert.State,
            alert.Severity,
            alert.Message,
            alert.Fields,
            alert.RaisedAt,
            alert.LastAt,
            alert.ClearAfter,
            alert.AcknowledgedAt,
            alert.AcknowledgedBy,
            alert.Note,
            alert.ClearedAt,
            alert.Rows,
            alert.Suppressed,
            alert.Notified,
            alert.NotifiedAt,
            gap = alert.Gap ? 1 : 0,
        };
        c.Execute(
            $"INSERT OR REPLACE INTO alerts({Columns}) VALUES(@id, @tenant, @Job, @Rule, @Key, @Device, @state, @Severity, @Message, @Fields, @RaisedAt, "
            + "@LastAt, @ClearAfter, @AcknowledgedAt, @AcknowledgedBy, @Note, @ClearedAt, @Rows, @Suppressed, @Notified, @NotifiedAt, @gap)",
            values, t);
        var stored = alert.Id == 0 ? alert with { Id = c.ExecuteScalar<long>("SELECT last_insert_rowid()", transaction: t) } : alert;
        changed.Add(stored);
        if (alert.Id == 0)
            Record(c, t, stored.Id, stored.RaisedAt, AlertEventKind.Raised, null, null);
        if (stored is { IsOpen: false, ClearedAt: { } clearedAt })
            Record(c, t, stored.Id, clearedAt, AlertEventKind.Cleared, null, null);
        return stored;
    }

    private static void Record(SqliteConnection c, SqliteTransaction t, long alert, long at, AlertEventKind kind, string? who, string? note) => c.Execute(
        "INSERT INTO alert_events(alert, at, kind, who, note) VALUES(@alert, @at, @kind, @who, @note)", new { alert, at, kind = (int)kind, who, note }, t);

    private void Queue(SqliteConnection c, SqliteTransaction t, string channel, string body)
    {
        var number = c.ExecuteScalar<long>(
            "INSERT INTO alert_channels VALUES(@channel, 1) ON CONFLICT(channel) DO UPDATE SET next=next+1 RETURNING next-1", new { channel }, t);
        c.Execute("INSERT INTO alert_notifications VALUES(@channel, @number, @at, @body)", new { channel, number, at = time.Now(), body }, t);
        c.Execute("DELETE FROM alert_notifications WHERE channel=@channel AND number<=@oldest", new { channel, oldest = number - WaitingMax }, t);
    }

    /// <summary>What a channel is given: a flat object, so that mails and tables show it well.</summary>
    private static string Body(Alert alert, AlertNotice notice)
    {
        var body = new JsonObject
        {
            ["alert"] = alert.Id,
            ["state"] = notice == AlertNotice.Raised ? "raised" : "repeated",
            ["severity"] = alert.Severity,
            ["message"] = alert.Message,
            ["rule"] = alert.Rule,
            ["device"] = alert.Device,
            ["raisedAt"] = Micros.ToIso(alert.RaisedAt),
            ["at"] = Micros.ToIso(alert.LastAt),
            ["rows"] = alert.Rows,
            ["suppressed"] = alert.Suppressed,
            ["gap"] = alert.Gap,
            ["job"] = alert.Job,
            ["fields"] = JsonNode.Parse(alert.Fields),
        };
        return body.ToJsonString(Relaxed);
    }

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private void Announce(List<Alert> changed, HashSet<string> channels)
    {
        foreach (var alert in changed)
            Changed?.Invoke(alert);
        if (channels.Count > 0)
            Notified?.Invoke(channels);
    }

    /// <summary>A row of the table. SQLite knows only 64-bit whole numbers.</summary>
    private sealed class Stored
    {
        public long id { get; init; }
        public long tenant { get; init; }
        public string job { get; init; } = "";
        public string rule { get; init; } = "";
        public string key { get; init; } = "";
        public string? device { get; init; }
        public long state { get; init; }
        public string severity { get; init; } = "";
        public string message { get; init; } = "";
        public string fields { get; init; } = "";
        public long raised_at { get; init; }
        public long last_at { get; init; }
        public long? clear_after { get; init; }
        public long? acknowledged_at { get; init; }
        public string? acknowledged_by { get; init; }
        public string? note { get; init; }
        public long? cleared_at { get; init; }
        public long row_count { get; init; }
        public long suppressed { get; init; }
        public long notified { get; init; }
        public long? notified_at { get; init; }
        public long gap { get; init; }

        public Alert ToAlert() => new(
            id, (ushort)tenant, job, rule, key, device, (AlertState)state, severity, message, fields, raised_at, last_at, clear_after, acknowledged_at,
            acknowledged_by, note, cleared_at, row_count, suppressed, (int)notified, notified_at, gap != 0);
    }
}
