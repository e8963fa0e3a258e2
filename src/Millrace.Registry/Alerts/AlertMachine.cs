namespace Millrace.Registry.Alerts;

/// <summary>Why somebody is told.</summary>
public enum AlertNotice
{
    None,
    Raised,

    /// <summary>It still holds, and the rule asks to say so again.</summary>
    Repeated,
}

/// <summary>An alert after a step, and whether somebody is told.</summary>
/// <param name="Alert">Null when the row changed nothing.</param>
public readonly record struct AlertStep(Alert? Alert, AlertNotice Notice);

/// <summary>
/// How alerts change. Pure: time comes in with the rows, so the same rows lead to the same alerts however often and in what
/// portions they are taken in.
/// </summary>
public static class AlertMachine
{
    /// <summary>A row of the rule for this key.</summary>
    /// <param name="open">The open alert of (rule, key), or null.</param>
    /// <param name="now">The wall clock, µs: only for the age beyond which nobody is told.</param>
    public static AlertStep OnRow(Alert? open, AlertRule rule, AlertRow row, long now)
    {
        if (open is null)
            return row.Gap && !rule.RaiseOnGap ? new AlertStep(null, AlertNotice.None) : Raise(rule, row, now);

        var due = DueNotice(open, rule, row, now);
        var refreshed = open with
        {
            LastAt = Math.Max(open.LastAt, row.Timestamp),
            Rows = open.Rows + 1,
            Message = row.Message,
            Fields = row.Fields,
            ClearAfter = Micros(rule.ClearAfter),
            Severity = rule.Severity,
            Job = row.Job,
            Gap = row.Gap,
            Suppressed = open.Suppressed + (due == AlertNotice.None ? 1 : 0),
            Notified = open.Notified + (due == AlertNotice.None ? 0 : 1),
            NotifiedAt = due == AlertNotice.None ? open.NotifiedAt : row.Timestamp,
        };
        return new AlertStep(refreshed, due);
    }

    /// <summary>A row of a clearing output for this key, or the end of a condition of the server's own.</summary>
    /// <returns>The cleared alert, or null when there is none or the row is older than the alert's newest.</returns>
    public static Alert? OnClear(Alert? open, long timestamp) =>
        open is null || timestamp < open.LastAt ? null : open with { State = AlertState.Cleared, ClearedAt = timestamp };

    /// <summary>The job's watermark moved, or a row with that timestamp is about to be taken in.</summary>
    /// <returns>The cleared alert, or null when it is not yet time.</returns>
    public static Alert? OnWatermark(Alert open, long watermark) =>
        open.IsOpen && open.ClearAfter is { } after && open.LastAt <= watermark - after
            ? open with { State = AlertState.Cleared, ClearedAt = open.LastAt + after }
            : null;

    /// <summary>Somebody says that they know.</summary>
    /// <returns>The acknowledged alert, or null when it is cleared already. A second acknowledgement replaces the note.</returns>
    public static Alert? Acknowledge(Alert alert, string by, string? note, long now) =>
        alert.IsOpen ? alert with { State = AlertState.Acknowledged, AcknowledgedAt = now, AcknowledgedBy = by, Note = note } : null;

    private static AlertStep Raise(AlertRule rule, AlertRow row, long now)
    {
        var fresh = IsFresh(rule, row, now);
        var alert = new Alert(
            0, row.Tenant, row.Job, rule.Rule, row.Key, row.Device, AlertState.Raised, rule.Severity, row.Message, row.Fields,
            row.Timestamp, row.Timestamp, Micros(rule.ClearAfter), null, null, null, null, Rows: 1, Suppressed: 0,
            Notified: fresh ? 1 : 0, NotifiedAt: fresh ? row.Timestamp : null, row.Gap);
        return new AlertStep(alert, fresh ? AlertNotice.Raised : AlertNotice.None);
    }

    private static AlertNotice DueNotice(Alert open, AlertRule rule, AlertRow row, long now)
    {
        if (open.State == AlertState.Acknowledged || !IsFresh(rule, row, now))
            return AlertNotice.None;
        // Raised while nobody could be told any more in time: the first fresh row tells.
        if (open.NotifiedAt is not { } told)
            return AlertNotice.Raised;
        return rule.RepeatEvery is { } every && row.Timestamp - told >= Micros(every) ? AlertNotice.Repeated : AlertNotice.None;
    }

    private static bool IsFresh(AlertRule rule, AlertRow row, long now) => now - row.Timestamp <= Micros(rule.NotifyMaxAge);

    private static long Micros(TimeSpan span) => (long)span.TotalMicroseconds;

    private static long? Micros(TimeSpan? span) => span is { } given ? Micros(given) : null;
}
