using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Data.Sqlite;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Registry.Tests;

public sealed class SqliteRegistryTests : IDisposable
{
    private static readonly DeviceChange Nothing = new(null, null, null, null);

    private readonly TempFolder _folder = new();
    private readonly ManualTime _time = new();
    private readonly SqliteDatabase _database;
    private readonly SqliteRegistry _registry;

    public SqliteRegistryTests()
    {
        _database = SqliteDatabase.Open(_folder["registry.db"]);
        _registry = new SqliteRegistry(_database, _time);
    }

    public void Dispose()
    {
        _database.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void An_added_device_is_found_with_all_it_was_given()
    {
        Assert.True(_registry.Add(0, "AB12", new DeviceChange("Kitchen", "gas", ["north", "flat"], """{"floor":3}""")));

        var device = _registry.Find(0, "AB12")!;
        Assert.Equal(("Kitchen", "gas", """{"floor":3}""", _time.Now(), false), (device.Name, device.Type, device.Attributes, device.CreatedAt, device.HasToken));
        Assert.Equal(["flat", "north"], device.Tags);
    }

    [Fact]
    public void Adding_a_known_device_changes_only_what_is_given()
    {
        _registry.Add(0, "AB12", new DeviceChange("Kitchen", "gas", ["north"], null));

        Assert.False(_registry.Add(0, "AB12", Nothing with { Type = "water" }));

        var device = _registry.Find(0, "AB12")!;
        Assert.Equal(("Kitchen", "water"), (device.Name, device.Type));
        Assert.Equal(["north"], device.Tags);
        Assert.Equal(1, _registry.Count(0));
    }

    [Fact]
    public void A_removed_device_is_gone_and_its_id_stays_blocked_until_added_again()
    {
        _registry.Add(0, "AB12", new DeviceChange("Kitchen", null, ["north"], null));

        Assert.True(_registry.Remove(0, "AB12"));
        Assert.Null(_registry.Find(0, "AB12"));
        Assert.Equal([(0, "AB12", true)], Ids());

        _registry.Enrol([(0, "AB12", 5)], new PositionVector([1L]));
        Assert.Null(_registry.Find(0, "AB12"));
        Assert.Equal(0, _registry.Count(0));

        Assert.True(_registry.Add(0, "AB12", Nothing));
        Assert.Null(_registry.Find(0, "AB12")!.Name);
        Assert.Equal(1, _registry.Count(0));
        Assert.Empty(_registry.List(new DeviceQuery(0, null, "north", null, null, 10)).Devices);
    }

    [Fact]
    public void Changes_are_told_to_the_in_memory_table()
    {
        List<DeviceEvent> told = [];
        _registry.Changed += told.Add;

        _registry.Add(0, "a", Nothing);
        _registry.Remove(0, "a");
        _registry.Remove(0, "unknown");

        Assert.Equal([new DeviceEvent(0, "a", false), new DeviceEvent(0, "a", true)], told);
    }

    [Fact]
    public void A_device_added_again_counts_from_then_on_for_good()
    {
        List<DeviceEvent> told = [];
        _registry.Add(0, "a", Nothing);
        _registry.Remove(0, "a");
        _time.Advance(TimeSpan.FromMinutes(1));
        var again = _time.Now();
        _registry.Changed += told.Add;

        Assert.True(_registry.Add(0, "a", Nothing));
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.False(_registry.Add(0, "a", Nothing with { Name = "Kitchen" }));

        Assert.Equal([new DeviceEvent(0, "a", false, again), new DeviceEvent(0, "a", false)], told);
        Assert.Equal(again, Assert.Single(_registry.AllIds()).CountsFrom);
    }

    [Fact]
    public void Tenants_do_not_see_each_others_devices()
    {
        var other = new SqliteTenants(_database).Ensure("water works");
        _registry.Add(0, "a", Nothing);
        _registry.Add(other, "a", Nothing with { Name = "theirs" });
        _registry.Add(other, "b", Nothing);

        Assert.Null(_registry.Find(0, "a")!.Name);
        Assert.Null(_registry.Find(0, "b"));
        Assert.Equal((1, 2), (_registry.Count(0), _registry.Count(other)));
        Assert.Single(_registry.List(new DeviceQuery(0, null, null, null, null, 10)).Devices);
        Assert.Equal("water works", new SqliteTenants(_database).Name(other));
    }

    [Fact]
    public void Enrolment_stores_ids_and_position_together_and_leaves_known_devices_alone()
    {
        _registry.Add(0, "known", Nothing with { Name = "K" });

        _registry.Enrol([(0, "known", 1), (0, "new", 7), (0, "new", 8)], new PositionVector([3L, 4L]));

        Assert.Equal("K", _registry.Find(0, "known")!.Name);
        Assert.Equal(7, _registry.Find(0, "new")!.CreatedAt);
        Assert.Equal(2, _registry.Count(0));
        Assert.Equal(new PositionVector([3L, 4L]), _registry.EnrolmentPosition);
    }

    [Fact]
    public void Everything_is_there_after_opening_again()
    {
        _registry.Enrol([(0, "a", 7)], new PositionVector([3L, 4L]));
        _database.Dispose();

        using var again = SqliteDatabase.Open(_folder["registry.db"]);
        var registry = new SqliteRegistry(again, _time);

        Assert.NotNull(registry.Find(0, "a"));
        Assert.Equal(new PositionVector([3L, 4L]), registry.EnrolmentPosition);
    }

    [Fact]
    public void Pages_give_every_device_once_in_id_order_forwards_and_backwards()
    {
        var ids = Enumerable.Range(0, 95).Select(i => $"d{i:000}").ToList();
        _registry.AddRange(0, [.. ids.Select(id => (id, Nothing))]);
        _registry.Remove(0, "d050");
        ids.Remove("d050");

        Assert.Equal(ids, Walk(new DeviceQuery(0, null, null, null, null, 10)));
        ids.Reverse();
        Assert.Equal(ids, Walk(new DeviceQuery(0, null, null, null, null, 10, Descending: true)));
    }

    [Fact]
    public void A_search_finds_parts_of_ids_and_names_without_regard_to_case()
    {
        _registry.Add(0, "GW-Alpha-1", Nothing);
        _registry.Add(0, "m2", Nothing with { Name = "the alphabet" });
        _registry.Add(0, "m3", Nothing with { Name = "beta" });

        Assert.Equal(["GW-Alpha-1", "m2"], Walk(new DeviceQuery(0, "ALPHA", null, null, null, 1)));
    }

    [Theory]
    [InlineData("%")]
    [InlineData("_")]
    [InlineData(@"\")]
    [InlineData("' OR '1'='1")]
    public void Signs_that_mean_something_in_SQL_are_searched_as_they_stand(string sign)
    {
        _registry.Add(0, $"x{sign}y", Nothing);
        _registry.Add(0, "plain", Nothing);

        Assert.Equal([$"x{sign}y"], Walk(new DeviceQuery(0, sign, null, null, null, 10)));
    }

    [Fact]
    public void A_search_that_runs_out_of_time_says_where_to_go_on()
    {
        _registry.AddRange(0, [.. Enumerable.Range(0, 60_000).Select(i => ($"d{i:00000}", Nothing))]);
        var impatient = new SqliteRegistry(_database, _time) { SearchTimeMax = TimeSpan.Zero };

        var first = impatient.List(new DeviceQuery(0, "59999", null, null, null, 10));

        Assert.Empty(first.Devices);
        Assert.NotNull(first.Next);
        Assert.Equal(["d59999"], Walk(new DeviceQuery(0, "59999", null, null, first.Next, 10), impatient));
    }

    [Fact]
    public void Tag_type_and_search_filters_work_together()
    {
        _registry.Add(0, "a1", new DeviceChange(null, "gas", ["north"], null));
        _registry.Add(0, "a2", new DeviceChange(null, "water", ["north"], null));
        _registry.Add(0, "b1", new DeviceChange(null, "gas", ["north"], null));
        _registry.Add(0, "a3", new DeviceChange(null, "gas", ["south"], null));

        Assert.Equal(["a1", "a2", "b1"], Walk(new DeviceQuery(0, null, "north", null, null, 2)));
        Assert.Equal(["a1", "a3", "b1"], Walk(new DeviceQuery(0, null, null, "gas", null, 2)));
        Assert.Equal(["a1"], Walk(new DeviceQuery(0, "A", "north", "gas", null, 2)));
    }

    [Fact]
    public void Any_mix_of_adds_and_removes_leaves_what_a_dictionary_would_hold() =>
        Prop.ForAll(
            ArbMap.Default.ArbFor<(byte Id, bool Add, bool Tagged)[]>(),
            steps =>
            {
                using var folder = new TempFolder();
                using var database = SqliteDatabase.Open(folder["r.db"]);
                var registry = new SqliteRegistry(database, _time);
                var model = new SortedDictionary<string, bool>(StringComparer.Ordinal);
                foreach (var (number, add, tagged) in steps)
                {
                    var id = $"d{number % 8}";
                    if (add)
                        Assert.Equal(model.TryAdd(id, tagged), registry.Add(0, id, Nothing with { Tags = tagged ? ["t"] : [] }));
                    else
                        Assert.Equal(model.Remove(id), registry.Remove(0, id));
                    if (add)
                        model[id] = tagged;
                }

                return registry.Count(0) == model.Count
                    && Walk(new DeviceQuery(0, null, null, null, null, 3), registry).SequenceEqual(model.Keys)
                    && Walk(new DeviceQuery(0, null, "t", null, null, 3), registry).SequenceEqual(model.Where(m => m.Value).Select(m => m.Key));
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(25));

    [Fact]
    public void A_file_of_a_newer_release_is_refused()
    {
        _database.Write((c, t) => { using var command = c.CreateCommand(); command.CommandText = "PRAGMA user_version=99"; return command.ExecuteNonQuery(); });
        _database.Dispose();

        var refused = Assert.Throws<StartException>(() => SqliteDatabase.Open(_folder["registry.db"]));
        Assert.Contains("newer release", refused.Message);
    }

    [Fact]
    public void A_file_that_is_no_database_is_refused_with_what_to_do()
    {
        File.WriteAllText(_folder["other.db"], new string('x', 4096));

        var refused = Assert.Throws<StartException>(() => SqliteDatabase.Open(_folder["other.db"]));
        Assert.Contains("restore it from a backup", refused.Message);
    }

    [Fact]
    public void A_locked_file_is_waited_for_then_told_and_nothing_is_half_done()
    {
        using (var other = new SqliteConnection($"Data Source={_folder["registry.db"]};Pooling=false"))
        {
            other.Open();
            using var begin = other.CreateCommand();
            begin.CommandText = "BEGIN IMMEDIATE";
            begin.ExecuteNonQuery();

            var told = Assert.Throws<RegistryBusyException>(() => _registry.Add(0, "a", Nothing));
            Assert.Contains("locked by another program", told.Message);
            Assert.Null(_registry.Find(0, "a"));          // reading goes on
        }

        Assert.True(_registry.Add(0, "a", Nothing));
    }

    [Fact]
    public void Listener_totals_go_on_counting_after_a_restart()
    {
        var ledger = new ListenerLedger(ListenerId.Tcp);
        ledger.CountReceived(10);
        ledger.CountRejected(RejectReason.InvalidJson, 2);
        new ListenerTotals(_database).Save([ledger]);

        var next = new ListenerLedger(ListenerId.Tcp);
        next.CountReceived(5);
        var totals = new ListenerTotals(_database).Totals(next);

        Assert.Equal((15, 2), (totals[ListenerTotals.Received], totals["rejected:invalid_json"]));
    }

    private List<(int, string, bool)> Ids() => [.. _registry.AllIds().Select(d => ((int)d.Tenant, Encoding.UTF8.GetString(d.Id), d.Blocked))];

    private List<string> Walk(DeviceQuery query, SqliteRegistry? registry = null)
    {
        List<string> ids = [];
        DevicePage page;
        do
        {
            page = (registry ?? _registry).List(query);
            Assert.True(page.Devices.Count <= query.Limit);
            ids.AddRange(page.Devices.Select(d => d.Id));
            query = query with { After = page.Next };
        }
        while (page.Next is not null);

        return ids;
    }
}
