using Millrace.Registry.Alerts;

namespace Millrace.Registry.Tests.Alerts;

public sealed class AlertMachineTests
{
    private const long Minute = 60_000_000;
    private static readonly AlertRule Rule = new("low-credit", "warning", null, null, AlertRule.DefaultNotifyMaxAge, false);

    [Fact]
    public void The_first_row_raises_and_tells()
    {
        var step = AlertMachine.OnRow(null, Rule, Row(10 * Minute), now: 11 * Minute);

        Assert.Equal(AlertNotice.Raised, step.Notice);
        Assert.Equal((AlertState.Raised, 10 * Minute, 1L, 0L, 1), (step.Alert!.State, step.Alert.RaisedAt, step.Alert.Rows, step.Alert.Suppressed, step.Alert.Notified));
    }

    [Fact]
    public void Further_rows_refresh_silently_and_are_counted()
    {
        var alert = Raise(10 * Minute);
        for (var i = 11; i <= 20; i++)
        {
            var step = AlertMachine.OnRow(alert, Rule, Row(i * Minute), now: i * Minute);
            Assert.Equal(AlertNotice.None, step.Notice);
            alert = step.Alert!;
        }

        Assert.Equal((20 * Minute, 11L, 10L, 1), (alert.LastAt, alert.Rows, alert.Suppressed, alert.Notified));
    }

    [Fact]
    public void Repeats_come_at_the_asked_distance_and_stop_when_acknowledged()
    {
        var rule = Rule with { RepeatEvery = TimeSpan.FromMinutes(10) };
        var alert = Raise(0, rule);
        List<int> told = [];
        for (var i = 1; i <= 40; i++)
        {
            if (i == 25)
                alert = AlertMachine.Acknowledge(alert, "ann", "on my way", i * Minute)!;
            var step = AlertMachine.OnRow(alert, rule, Row(i * Minute), i * Minute);
            if (step.Notice == AlertNotice.Repeated)
                told.Add(i);
            alert = step.Alert!;
        }

        Assert.Equal([10, 20], told);
        Assert.Equal((AlertState.Acknowledged, "ann", "on my way"), (alert.State, alert.AcknowledgedBy, alert.Note));
    }

    [Fact]
    public void Old_rows_change_the_state_and_tell_nobody_until_a_fresh_one_comes()
    {
        var old = AlertMachine.OnRow(null, Rule, Row(0), now: 61 * Minute);
        var fresh = AlertMachine.OnRow(old.Alert, Rule, Row(60 * Minute), now: 61 * Minute);
        var next = AlertMachine.OnRow(fresh.Alert, Rule, Row(61 * Minute), now: 61 * Minute);

        Assert.Equal((AlertNotice.None, 0), (old.Notice, old.Alert!.Notified));
        Assert.Equal((AlertNotice.Raised, 1), (fresh.Notice, fresh.Alert!.Notified));
        Assert.Equal(AlertNotice.None, next.Notice);
    }

    [Fact]
    public void A_row_across_the_servers_downtime_raises_only_when_asked_but_refreshes()
    {
        var gap = Row(Minute) with { Gap = true };

        Assert.Null(AlertMachine.OnRow(null, Rule, gap, Minute).Alert);
        Assert.True(AlertMachine.OnRow(null, Rule with { RaiseOnGap = true }, gap, Minute).Alert!.Gap);
        Assert.Equal(2, AlertMachine.OnRow(Raise(0), Rule, gap, Minute).Alert!.Rows);
    }

    [Fact]
    public void It_clears_when_no_row_came_for_the_time_by_the_watermark()
    {
        var alert = Raise(10 * Minute, Rule with { ClearAfter = TimeSpan.FromMinutes(5) });

        Assert.Null(AlertMachine.OnWatermark(alert, (15 * Minute) - 1));
        var cleared = AlertMachine.OnWatermark(alert, 40 * Minute)!;
        Assert.Equal((AlertState.Cleared, 15 * Minute), (cleared.State, cleared.ClearedAt!.Value));
        Assert.Null(AlertMachine.OnWatermark(cleared, 50 * Minute));
        Assert.Null(AlertMachine.OnWatermark(Raise(0), 50 * Minute));
    }

    [Fact]
    public void A_clearing_row_clears_but_not_with_an_older_time()
    {
        var alert = Raise(10 * Minute);

        Assert.Null(AlertMachine.OnClear(alert, 9 * Minute));
        Assert.Equal(AlertState.Cleared, AlertMachine.OnClear(alert, 10 * Minute)!.State);
        Assert.Null(AlertMachine.OnClear(null, 10 * Minute));
    }

    [Fact]
    public void A_cleared_alert_cannot_be_acknowledged() =>
        Assert.Null(AlertMachine.Acknowledge(AlertMachine.OnClear(Raise(0), Minute)!, "ann", null, Minute));

    private static Alert Raise(long at, AlertRule? rule = null) => AlertMachine.OnRow(null, rule ?? Rule, Row(at), at).Alert!;

    private static AlertRow Row(long at) => new(0, "j", "[\"m1\"]", "m1", "m1 is low", "{}", at, false);
}
