using System.Buffers;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Processing.SqlView;
using Millrace.Testing;

namespace Millrace.Processing.Tests.SqlView;

/// <summary>What the table of newest values promises, whatever database keeps it.</summary>
public abstract class SqlValueViewConformance
{
    private protected const string TableName = "IOTHardwareInUse";

    protected static SqlValueNames Names => new(TableName, "HardwareID", "Data");

    private protected abstract ISqlValueTable OpenTable();

    /// <summary>Runs a statement as somebody else's program would.</summary>
    private protected abstract void Execute(string sql);

    private protected abstract IReadOnlyDictionary<string, string> Rows();

    [Fact]
    public async Task A_missing_table_is_made_and_filled_with_newest_values()
    {
        using var it = new Scene(this);
        it.Send("AABB01", "10");
        it.Send("AABB02", "20.5");

        await it.CatchUpAsync();

        Assert.Equal(new Dictionary<string, string> { ["AABB01"] = "10", ["AABB02"] = "20.5" }, Rows());
    }

    [Fact]
    public async Task A_later_reading_overwrites_and_late_data_does_not()
    {
        using var it = new Scene(this);
        it.Send("m", "first", deviceTime: 1_000_000);
        await it.CatchUpAsync();
        it.Send("m", "newest", deviceTime: 9_000_000);
        await it.CatchUpAsync();
        it.Send("m", "late", deviceTime: 5_000_000);
        await it.CatchUpAsync();

        Assert.Equal("newest", Assert.Single(Rows()).Value);
    }

    [Fact]
    public async Task Ids_and_values_are_data_and_never_sql()
    {
        using var it = new Scene(this);
        it.Send("victim", "1");
        it.Send("zz' OR '1'='1", "666");
        it.Send("@PARAM@", "'; DROP TABLE \"IOTHardwareInUse\"; --");
        it.Send("back\\", "`\"\\' 電表 🔥");

        await it.CatchUpAsync();

        Assert.Equal(
            new Dictionary<string, string>
            {
                ["victim"] = "1",
                ["zz' OR '1'='1"] = "666",
                ["@PARAM@"] = "'; DROP TABLE \"IOTHardwareInUse\"; --",
                ["back\\"] = "`\"\\' 電表 🔥",
            },
            Rows());
    }

    [Fact]
    public async Task An_old_table_without_a_unique_id_keeps_one_row_per_device()
    {
        Execute($"CREATE TABLE {Quote(TableName)} ({Quote("HardwareID")} varchar(20), {Quote("Data")} varchar(20))");
        Execute($"INSERT INTO {Quote(TableName)} VALUES ('AABB01', '7')");
        using var it = new Scene(this);
        it.Send("AABB01", "8");
        it.Send("AABB02", "9");
        await it.CatchUpAsync();
        it.Send("AABB02", "10");
        await it.CatchUpAsync();

        Assert.Equal(new Dictionary<string, string> { ["AABB01"] = "8", ["AABB02"] = "10" }, Rows());
    }

    [Fact]
    public async Task A_restart_goes_on_from_the_checkpoint_and_repeats_harmlessly()
    {
        using var it = new Scene(this);
        it.Send("a", "1");
        await it.CatchUpAsync();
        it.Send("a", "2");
        it.Send("b", "1");
        await it.CatchUpAsync(checkpoint: false);
        Execute($"UPDATE {Quote(TableName)} SET {Quote("Data")} = 'by hand' WHERE {Quote("HardwareID")} = 'a'");

        await it.CatchUpAsync();

        Assert.Equal(new Dictionary<string, string> { ["a"] = "2", ["b"] = "1" }, Rows());
    }

    [Fact]
    public async Task Thousands_of_devices_travel_in_batches_over_many_writers()
    {
        using var it = new Scene(this);
        for (var i = 0; i < 5_000; i++)
            it.Send($"meter-{i}", i.ToString());

        await it.CatchUpAsync();

        var rows = Rows();
        Assert.Equal(5_000, rows.Count);
        Assert.All(rows, row => Assert.Equal(row.Key, $"meter-{row.Value}"));
    }

    [Fact]
    public async Task A_connection_cut_by_the_server_delays_and_loses_nothing()
    {
        using var it = new Scene(this);
        it.Send("a", "1");
        await it.CatchUpAsync(keepOpen: true);
        CutConnections();
        it.Send("a", "2");
        it.Send("b", "3");

        await it.CatchUpAsync();

        Assert.Equal(new Dictionary<string, string> { ["a"] = "2", ["b"] = "3" }, Rows());
    }

    [Fact]
    public async Task Devices_not_enrolled_yet_are_not_missed_when_the_table_is_first_filled()
    {
        using var it = new Scene(this);
        it.Send("known", "1");
        it.EnrolUpToHere();
        it.Send("new", "2");

        await it.CatchUpAsync();

        Assert.Equal(new Dictionary<string, string> { ["known"] = "1", ["new"] = "2" }, Rows());
    }

    [Fact]
    public async Task Readings_that_retention_took_from_the_view_still_reach_the_table()
    {
        using var it = new Scene(this);
        it.Send("m", "1");
        await it.CatchUpAsync(keepOpen: true);
        it.SendAndLose("m", "2");

        await it.CatchUpAsync();

        Assert.Equal("2", Assert.Single(Rows()).Value);
    }

    private protected virtual string Quote(string name) => $"\"{name}\"";

    /// <summary>Makes the server drop every open connection of the view.</summary>
    private protected abstract void CutConnections();

    private sealed class Scene(SqlValueViewConformance conformance) : IDisposable
    {
        private readonly TempFolder _folder = new();
        private readonly MemoryLog _log = new();
        private readonly NewestValues _latest = new();
        private readonly ListenerLedger _ledger = new(ListenerId.Udp);
        private SqlValueView? _open;
        private ILogReader? _reader;
        private (PositionVector Position, byte[][] Ids)? _enrolled;

        /// <summary>The registry knows the devices so far and none of those to come.</summary>
        public void EnrolUpToHere() => _enrolled = (_log.Durable.Copy(), [.. _latest.Ids]);

        /// <summary>A reading that the latest values have and the view is told it will never see.</summary>
        public void SendAndLose(string id, string value)
        {
            Send(id, value);
            while (_reader!.TryRead() is { } block)
                _open!.OnLost(new LostRange(block.Partition, block.FirstSequence, block.NextSequence));
        }

        public void Send(string id, string value, long deviceTime = Micros.None)
        {
            var batch = new ReadingBatch(_log.PartitionCount);
            batch.Add(0, Encoding.UTF8.GetBytes(id), ListenerId.Udp, PayloadFormat.Text, ReadingFlags.None, deviceTime, [], Encoding.UTF8.GetBytes(value));
            Assert.True(_log.OpenAppender(_ledger, 1 << 20).TryAppend(batch));
            _latest.Take(_log.Blocks[^1]);
        }

        /// <summary>Opens the view as after a start, lets it read to the tail, and saves its position.</summary>
        public async Task CatchUpAsync(bool checkpoint = true, bool keepOpen = false)
        {
            if (_open is null)
            {
                _open = new SqlValueView(
                    conformance.OpenTable(), _latest, () => _enrolled?.Ids ?? _latest.Ids, () => _enrolled?.Position ?? _log.Durable,
                    _folder["sql.json"], 3, TimeProvider.System, NullLogger.Instance);
                _reader = _log.OpenReader(await _open.OpenAsync(_log, CancellationToken.None));
            }

            while (_reader!.TryRead() is { } block)
                await _open.ApplyAsync(block, CancellationToken.None);
            await _open.IdleAsync(CancellationToken.None);
            if (checkpoint)
                await _open.CheckpointAsync(_reader.Position.Copy(), CancellationToken.None);
            if (!keepOpen)
                _open = null;
        }

        public void Dispose() => _folder.Dispose();
    }

    /// <summary>The rule of newest values in its plainest form, as the oracle.</summary>
    private sealed class NewestValues : ILatestReadings
    {
        private readonly Dictionary<string, (byte[] Record, ReadingPlace Place, long EventTime)> _newest = [];

        public PositionVector Position { get; } = new(4);

        public IEnumerable<byte[]> Ids => _newest.Keys.Select(Encoding.UTF8.GetBytes);

        public void Take(LogBlock block)
        {
            foreach (var record in block)
            {
                var id = Encoding.UTF8.GetString(record.Id);
                if (!_newest.TryGetValue(id, out var known) || record.EventTime >= known.EventTime)
                    _newest[id] = (record.Bytes.ToArray(), new ReadingPlace(block.Partition, record.Sequence, record.ReceivedAt), record.EventTime);
            }
        }

        public bool TryRead(ushort tenant, ReadOnlySpan<byte> id, IBufferWriter<byte> record, out ReadingPlace place)
        {
            var found = _newest.TryGetValue(Encoding.UTF8.GetString(id), out var newest);
            if (found)
                record.Write(newest.Record);
            place = newest.Place;
            return found;
        }

        public ValueTask<bool> ReachAsync(int partition, long next, TimeSpan limit, CancellationToken cancel) => ValueTask.FromResult(true);
    }
}
