using Millrace.Core;
using Millrace.Registry.Alerts;
using Millrace.Testing;

namespace Millrace.Registry.Tests.Alerts;

public sealed class AlertBookTests : IDisposable
{
    private static readonly string[] Mail = ["mail"];
    private readonly TempFolder _folder = new();
    private readonly ManualTime _time = new();
    private SqliteDatabase _database;
    private AlertBook _book;

    public AlertBookTests()
    {
        _database = SqliteDatabase.Open(_folder["registry.db"]);
        _book = new AlertBook(_database, _time);
    }

    private long Now => _time.Now();

    public void Dispose()
    {
        _database.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void One_message_per_raise_and_rows_that_come_again_change_nothing()
    {
        var rows = Enumerable.Range(0, 10).Select(i => Entry(i, i % 2 == 0 ? "a" : "b", Now + i)).ToList();

        _book.Apply("j", rows[..6], 0);
        Reopen();
        _book.Apply("j", rows, 0);

        Assert.Equal(2, _book.Waiting("mail", -1).Count);
        Assert.Equal([5L, 5L], _book.List(Query()).Select(a => a.Rows));
    }

    [Fact]
    public void Portions_do_not_matter()
    {
        var random = new Random(5);
        var rows = Enumerable.Range(0, 200)
            .Select(i => Entry(i, "k" + random.Next(5), Now + (i * 20_000_000L), clears: random.Next(6) == 0) with { Rule = Rule(TimeSpan.FromMinutes(2)) })
            .ToList();

        var end = rows[^1].Row.Timestamp + 3_600_000_000;
        _book.Apply("j", rows, long.MinValue / 2);
        _book.Apply("j", [], end);
        var atOnce = Summary();
        _database.Dispose();
        File.Delete(_folder["registry.db"]);
        Reopen();
        foreach (var row in rows)
            _book.Apply("j", [row], row.Row.Timestamp - 1);

        _book.Apply("j", [], end);
        Assert.Equal(atOnce, Summary());

        List<string> Summary() =>
            [.. _book.List(Query()).Select(a => $"{a.Key} {a.State} {a.RaisedAt} {a.LastAt} {a.ClearedAt} {a.Rows} {a.Suppressed}").Order()];
    }

    [Fact]
    public void The_watermark_clears_and_the_next_row_raises_anew()
    {
        var at = Now;
        _book.Apply("j", [Entry(0, "a", at) with { Rule = Rule(TimeSpan.FromMinutes(1)) }], at);
        _book.Apply("j", [], at + 61_000_000);
        _book.Apply("j", [Entry(1, "a", at + 90_000_000) with { Rule = Rule(TimeSpan.FromMinutes(1)) }], at + 90_000_000);

        Assert.Equal([AlertState.Raised, AlertState.Cleared], _book.List(Query()).Select(a => a.State));
        Assert.Equal(2, _book.Waiting("mail", -1).Count);
    }

    [Fact]
    public void Acknowledged_alerts_are_found_and_stay_open()
    {
        _book.Apply("j", [Entry(0, "a", Now), Entry(1, "b", Now)], 0);
        var first = _book.List(Query() with { Device = "a" }).Single();

        var acknowledged = _book.Acknowledge(0, first.Id, "ann", "known");

        Assert.Equal(("ann", "known"), (acknowledged!.AcknowledgedBy, acknowledged.Note));
        Assert.Equal("a", Assert.Single(_book.List(Query() with { State = AlertState.Acknowledged })).Device);
        Assert.Equal(2, _book.CountOpen(0));
        Assert.Null(_book.Acknowledge(0, 999, "ann", null));
        Assert.Null(_book.Acknowledge(7, first.Id, "eve", null));
    }

    [Fact]
    public void Pages_go_from_the_newest_on()
    {
        _book.Apply("j", [.. Enumerable.Range(0, 25).Select(i => Entry(i, "k" + i, Now))], 0);

        var first = _book.List(Query() with { Limit = 10 });
        var second = _book.List(Query() with { Limit = 10, After = first[^1].Id });

        Assert.Equal("k24", first[0].Device);
        Assert.Equal("k14", second[0].Device);
    }

    [Fact]
    public void Messages_wait_until_they_are_delivered_and_keep_their_numbers()
    {
        _book.Apply("j", [Entry(0, "a", Now), Entry(1, "b", Now)], 0);
        _book.Delivered("mail", 0);
        _book.Apply("j", [Entry(2, "c", Now)], 0);

        Assert.Equal([1L, 2L], _book.Waiting("mail", -1).Select(n => n.Number));
        Assert.Contains("\"device\":\"b\"", _book.Waiting("mail", -1)[0].Body);
    }

    [Fact]
    public void The_servers_own_alerts_raise_once_and_clear()
    {
        var rule = new AlertRule("disk", "critical", null, null, AlertRule.DefaultNotifyMaxAge, false);
        for (var i = 0; i < 3; i++)
            _book.Raise(rule, new AlertRow(0, "server", "[]", null, "the disk is 82 % full", "{}", Now + i, false), Mail);

        Assert.Single(_book.Waiting("mail", -1));
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(_book.Clear(0, "disk", "[]"));
        Assert.False(_book.Clear(0, "disk", "[]"));
    }

    [Fact]
    public void Key_device_and_message_come_from_the_row()
    {
        var row = """{"id":"m7","left":1.5,"Zone":"north"}"""u8.ToArray();

        var (key, device, message) = AlertKeys.Read(row, "low", ["zone", "id", "none"], "{id} in {zone}: {left} left, {what}");

        Assert.Equal("""["north","m7",null]""", key);
        Assert.Equal(("m7", "m7 in north: 1.5 left, {what}"), (device, message));
    }

    private static AlertRule Rule(TimeSpan? clearAfter = null) => new("low", "warning", clearAfter, null, TimeSpan.FromDays(1000), false);

    private static AlertEntry Entry(int number, string device, long at, bool clears = false) => new(
        "alerts", 1, number, Rule(), new AlertRow(0, "j", $"[\"{device}\"]", device, device + " is low", "{}", at, false), clears, Mail);

    private static AlertQuery Query() => new(0, null, null, null, null, null, 1000);

    private void Reopen()
    {
        _database.Dispose();
        _database = SqliteDatabase.Open(_folder["registry.db"]);
        _book = new AlertBook(_database, _time);
    }
}
