namespace Millrace.Registry.Alerts;

/// <summary>Where an alert stands. The numbers are stored and never change.</summary>
public enum AlertState
{
    /// <summary>The condition holds and nobody has said that they know.</summary>
    Raised = 1,

    /// <summary>Somebody knows; it stays open, without repeats, until it clears.</summary>
    Acknowledged = 2,

    /// <summary>Over. The next row of the same rule and key makes a new alert.</summary>
    Cleared = 3,
}

/// <summary>An alert of one rule for one key. Times in µs since the epoch.</summary>
/// <param name="Job">The job whose rule it is; <c>server</c> for the server's own.</param>
/// <param name="Key">The values of the key columns as a JSON array; with the rule it tells alerts apart.</param>
/// <param name="Device">The device it is about, when the row has an <c>id</c> or a key says so.</param>
/// <param name="Fields">The row that raised or last refreshed it, a JSON object.</param>
/// <param name="RaisedAt">Timestamp of the row that raised it.</param>
/// <param name="LastAt">Timestamp of the newest row.</param>
/// <param name="ClearAfter">It clears when no row came for so long of the job's watermark; null: only a row clears it.</param>
/// <param name="Rows">Rows since it was raised, that one included.</param>
/// <param name="Suppressed">Rows that notified nobody because somebody had been told already.</param>
/// <param name="Notified">Notifications so far.</param>
/// <param name="NotifiedAt">Timestamp of the row of the newest notification.</param>
/// <param name="Gap">The row's interval overlaps a time in which this server was down: what it says may come from that.</param>
public sealed record Alert(
    long Id, ushort Tenant, string Job, string Rule, string Key, string? Device, AlertState State, string Severity, string Message,
    string Fields, long RaisedAt, long LastAt, long? ClearAfter, long? AcknowledgedAt, string? AcknowledgedBy, string? Note,
    long? ClearedAt, long Rows, long Suppressed, int Notified, long? NotifiedAt, bool Gap)
{
    public bool IsOpen => State != AlertState.Cleared;
}

/// <summary>A row of an <c>alert</c> output, and the rule it belongs to.</summary>
/// <param name="Timestamp">The row's System.Timestamp(), µs.</param>
/// <param name="Gap">The interval the row speaks about overlaps the server's downtime.</param>
public sealed record AlertRow(
    ushort Tenant, string Job, string Key, string? Device, string Message, string Fields, long Timestamp, bool Gap);

/// <summary>What an <c>alert</c> output says about its alerts.</summary>
/// <param name="RepeatEvery">Notifies again when rows still come after so long, unless acknowledged; null: never.</param>
/// <param name="NotifyMaxAge">Rows older than this change the state and notify nobody.</param>
/// <param name="RaiseOnGap">Also rows that overlap the server's downtime raise.</param>
public sealed record AlertRule(
    string Rule, string Severity, TimeSpan? ClearAfter, TimeSpan? RepeatEvery, TimeSpan NotifyMaxAge, bool RaiseOnGap)
{
    public static TimeSpan DefaultNotifyMaxAge { get; } = TimeSpan.FromHours(1);
}
