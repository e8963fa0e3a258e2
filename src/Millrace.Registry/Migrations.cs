using Microsoft.Data.Sqlite;
using Millrace.Core;

namespace Millrace.Registry;

/// <summary>
/// The schema as a list of steps, each run once and in order inside a transaction; <c>PRAGMA user_version</c> says how many
/// have run. A step that was released never changes: append a new one.
/// </summary>
internal static class Migrations
{
    private static readonly string[] Steps =
    [
        // 1: tenants, devices, tokens, audit, positions, totals.
        """
        CREATE TABLE tenants(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        INSERT INTO tenants VALUES(0, 'default');

        CREATE TABLE devices(
            tenant INTEGER NOT NULL, id TEXT NOT NULL, name TEXT, type TEXT, tags TEXT, attributes TEXT,
            created_at INTEGER NOT NULL, blocked INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY(tenant, id)) WITHOUT ROWID;
        CREATE INDEX devices_by_type ON devices(tenant, type, id) WHERE type IS NOT NULL;
        CREATE TABLE device_tags(
            tenant INTEGER NOT NULL, tag TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY(tenant, tag, id)) WITHOUT ROWID;
        CREATE TABLE device_counts(tenant INTEGER PRIMARY KEY, devices INTEGER NOT NULL);

        CREATE TABLE device_tokens(
            tenant INTEGER NOT NULL, id TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL,
            PRIMARY KEY(tenant, id)) WITHOUT ROWID;
        CREATE TABLE api_tokens(
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, role INTEGER NOT NULL, tenant INTEGER NOT NULL,
            hash BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL, last_used_at INTEGER);

        CREATE TABLE audit(
            id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, tenant INTEGER NOT NULL,
            action TEXT NOT NULL, subject TEXT NOT NULL);
        CREATE TABLE view_positions(view TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE listener_totals(
            listener INTEGER NOT NULL, counter TEXT NOT NULL, readings INTEGER NOT NULL,
            PRIMARY KEY(listener, counter)) WITHOUT ROWID;
        """,

        // 2: alerts, how far each job's alert outputs were taken in, and notifications that wait.
        """
        CREATE TABLE alerts(
            id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, job TEXT NOT NULL, rule TEXT NOT NULL, key TEXT NOT NULL,
            device TEXT, state INTEGER NOT NULL, severity TEXT NOT NULL, message TEXT NOT NULL, fields TEXT NOT NULL,
            raised_at INTEGER NOT NULL, last_at INTEGER NOT NULL, clear_after INTEGER, acknowledged_at INTEGER,
            acknowledged_by TEXT, note TEXT, cleared_at INTEGER, row_count INTEGER NOT NULL, suppressed INTEGER NOT NULL,
            notified INTEGER NOT NULL, notified_at INTEGER, gap INTEGER NOT NULL);
        CREATE UNIQUE INDEX alerts_open ON alerts(tenant, rule, key) WHERE state < 3;
        CREATE INDEX alerts_by_device ON alerts(tenant, device, id);
        CREATE INDEX alerts_by_rule ON alerts(tenant, rule, id);
        CREATE INDEX alerts_due ON alerts(job, last_at) WHERE state < 3 AND clear_after IS NOT NULL;
        CREATE TABLE alert_positions(
            job TEXT NOT NULL, output TEXT NOT NULL, version INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY(job, output)) WITHOUT ROWID;
        CREATE TABLE alert_notifications(
            channel TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(channel, number)) WITHOUT ROWID;
        CREATE TABLE alert_channels(channel TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
        """,

        // 3: what happened to each alert.
        """
        CREATE TABLE alert_events(
            number INTEGER PRIMARY KEY AUTOINCREMENT, alert INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, who TEXT, note TEXT);
        CREATE INDEX alert_events_by_alert ON alert_events(alert, number);
        INSERT INTO alert_events(alert, at, kind) SELECT id, raised_at, 1 FROM alerts;
        INSERT INTO alert_events(alert, at, kind, who, note) SELECT id, acknowledged_at, 3, acknowledged_by, note FROM alerts WHERE acknowledged_at IS NOT NULL;
        INSERT INTO alert_events(alert, at, kind) SELECT id, cleared_at, 4 FROM alerts WHERE cleared_at IS NOT NULL;
        """,

        // 4: when a removed device was added again; readings that arrived before are not its any more.
        "ALTER TABLE devices ADD COLUMN counts_from INTEGER;",
    ];

    public static int Version => Steps.Length;

    /// <exception cref="StartException">A newer release wrote the file.</exception>
    public static void Apply(SqliteConnection connection, string path)
    {
        var found = ReadVersion(connection);
        if (found > Version)
            throw new StartException($"{path} was written by a newer release (schema {found}, this one knows {Version}); start that release or restore a backup");

        for (var step = found; step < Version; step++)
        {
            using var transaction = connection.BeginTransaction(deferred: false);
            SqliteDatabase.Execute(connection, $"{Steps[step]}PRAGMA user_version={step + 1}");
            transaction.Commit();
        }
    }

    private static int ReadVersion(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA user_version";
        return Convert.ToInt32(command.ExecuteScalar());
    }
}
