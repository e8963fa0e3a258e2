using System.Buffers;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;
using Millrace.Processing.Latest;

namespace Millrace.Processing.Tests.Latest;

public sealed class DeviceTableTests
{
    private const long T0 = 1_700_000_000_000_000;

    [Fact]
    public void The_newest_reading_is_given_as_it_was_received()
    {
        using var table = new DeviceTable(1, 100);
        table.Apply(Blocks.Of(0, 5, T0, ("a", Micros.None, "20.5"), ("b", Micros.None, "x")));

        Assert.Equal(("20.5", new ReadingPlace(0, 5, T0)), Read(table, "a"));
        Assert.Equal(("x", new ReadingPlace(0, 6, T0 + 1)), Read(table, "b"));
        Assert.Null(Read(table, "c"));
        Assert.Equal(2, table.Count);
    }

    [Fact]
    public void A_late_reading_does_not_replace_a_newer_one_but_the_device_was_heard()
    {
        using var table = new DeviceTable(1, 100);
        table.Apply(Blocks.Of(0, 0, T0, ("a", T0, "new")));
        table.Apply(Blocks.Of(0, 1, T0 + 50, ("a", T0 - 1000, "late")));

        Assert.Equal("new", Read(table, "a")!.Value.Payload);
        Assert.Equal(T0 + 50, table.LastSeen(0, "a"u8));
    }

    [Fact]
    public void A_clock_far_ahead_counts_as_arrival_and_does_not_stick()
    {
        using var table = new DeviceTable(1, 100);
        table.Apply(Blocks.Of(0, 0, T0, ("a", T0 + 10 * Micros.DeviceTimeAheadMax, "from the future")));
        table.Apply(Blocks.Of(0, 1, T0 + 50, ("a", Micros.None, "now")));

        Assert.Equal("now", Read(table, "a")!.Value.Payload);
    }

    [Fact]
    public void Equal_times_are_decided_by_sequence()
    {
        using var table = new DeviceTable(1, 100);
        table.Apply(Blocks.Of(0, 0, T0, ("a", T0 - 5, "first"), ("a", T0 - 5, "second")));
        table.Apply(Blocks.Of(0, 0, T0, ("a", T0 - 5, "first")));          // seen again after a crash

        Assert.Equal("second", Read(table, "a")!.Value.Payload);
    }

    [Fact]
    public void Tenants_keep_equal_ids_apart()
    {
        using var table = new DeviceTable(1, 100);
        byte[] records = [.. Blocks.Record(0, "a", Micros.None, "ours"), .. Blocks.Record(7, "a", Micros.None, "theirs")];
        table.Apply(new LogBlock(0, 0, 2, T0, records));

        Assert.Equal("ours", Read(table, "a")!.Value.Payload);
        Assert.Equal("theirs", Read(table, "a", tenant: 7)!.Value.Payload);
    }

    [Fact]
    public void Entries_of_any_size_grow_shrink_and_leave_their_neighbours_alone()
    {
        using var table = new DeviceTable(1, 100);
        var random = new Random(7);
        var expected = new Dictionary<string, string>();
        for (var i = 0; i < 3000; i++)
        {
            var id = $"m{random.Next(40)}";
            var payload = new string((char)('a' + random.Next(26)), random.Next(10) == 0 ? random.Next(200_000) : random.Next(1500));
            table.Apply(Blocks.Of(0, i, T0 + i, (id, Micros.None, payload)));
            expected[id] = payload;
        }

        foreach (var (id, payload) in expected)
            Assert.Equal(payload, Read(table, id)!.Value.Payload);
    }

    [Fact]
    public void Random_order_duplicates_and_late_data_end_where_a_dictionary_ends() =>
        Prop.ForAll(
            ArbMap.Default.ArbFor<(byte Device, sbyte Time, bool NoTime, byte Length)[]>(),
            ArbMap.Default.ArbFor<byte>(),
            (steps, seed) =>
            {
                const int partitions = 3;
                using var table = new DeviceTable(partitions, 1000);
                var model = new Dictionary<string, (long Time, long Sequence, string Payload)>();
                var next = new long[partitions];
                List<LogBlock> blocks = [];
                foreach (var (device, time, noTime, length) in steps)
                {
                    var id = $"device-{device % 50}";
                    var partition = Blocks.PartitionOf(id, partitions);
                    var (sequence, receivedAt) = (next[partition]++, T0 + blocks.Count * 1000L);
                    var payload = $"{sequence}:{new string('p', length)}";
                    blocks.Add(Blocks.Of(partition, sequence, receivedAt, (id, noTime ? Micros.None : receivedAt + time * 100L, payload)));
                    var eventTime = noTime ? receivedAt : receivedAt + time * 100L;
                    if (!model.TryGetValue(id, out var held) || (eventTime, sequence).CompareTo((held.Time, held.Sequence)) > 0)
                        model[id] = (eventTime, sequence, payload);
                }

                // A view that fell back reads parts of the log again; the order of a partition is kept.
                foreach (var block in blocks)
                    table.Apply(block);
                foreach (var block in blocks.Skip(seed % (blocks.Count + 1)))
                    table.Apply(block);

                return table.Count == model.Count && model.All(m => Read(table, m.Key)!.Value.Payload == m.Value.Payload);
            }).Check(Config.QuickThrowOnFailure);

    [Fact]
    public void A_removed_device_shows_nothing_takes_nothing_and_starts_empty_when_added_again()
    {
        using var table = new DeviceTable(1, 100);
        table.Apply(Blocks.Of(0, 0, T0, ("a", Micros.None, "old")));

        table.Ensure(0, "a"u8, blocked: true);
        table.Apply(Blocks.Of(0, 1, T0 + 1, ("a", Micros.None, "in flight")));
        Assert.Null(Read(table, "a"));
        Assert.Equal(DeviceStanding.Blocked, table.Standing(0, "a"u8));
        Assert.Equal((0, 1), (table.Count, table.BlockedCount));

        table.Ensure(0, "a"u8, blocked: false);
        Assert.Null(Read(table, "a"));
        Assert.Equal(DeviceStanding.Known, table.Standing(0, "a"u8));
        table.Apply(Blocks.Of(0, 2, T0 + 2, ("a", Micros.None, "new")));
        Assert.Equal("new", Read(table, "a")!.Value.Payload);
        Assert.Equal((1, 0), (table.Count, table.BlockedCount));
    }

    [Fact]
    public void The_table_never_grows_past_its_limit()
    {
        using var table = new DeviceTable(1, 10);
        for (var i = 0; i < 100; i++)
            table.Apply(Blocks.Of(0, i, T0 + i, ($"m{i}", Micros.None, "1")));
        table.Apply(Blocks.Of(0, 100, T0 + 100, ("m3", Micros.None, "2")));

        Assert.Equal((10, 90), (table.Count, table.RefusedReadings));
        Assert.Equal("2", Read(table, "m3")!.Value.Payload);
    }

    [Fact]
    public void Silent_devices_come_longest_silent_first_in_pages()
    {
        using var table = new DeviceTable(1, 1000);
        for (var i = 0; i < 100; i++)
            table.Apply(Blocks.Of(0, i, T0 + (i * 37 % 100), ($"m{i:00}", Micros.None, "1")));
        table.Ensure(0, "never"u8, blocked: false);
        table.Ensure(0, "gone"u8, blocked: true);

        List<DeviceSeen> all = [];
        DeviceSeen? after = null;
        while (table.Silent(0, T0 + 50, after, 7) is { Count: > 0 } page)
        {
            Assert.True(page.Count <= 7);
            all.AddRange(page);
            after = page[^1];
        }

        Assert.Equal("never", all[0].Id);
        Assert.Equal([0, .. Enumerable.Range(0, 50).Select(i => T0 + i)], all.Select(s => s.LastSeenAt));
    }

    [Fact]
    public void Updates_and_reads_allocate_nothing()
    {
        using var table = new DeviceTable(1, 10_000);
        var block = Blocks.Of(0, 0, T0, [.. Enumerable.Range(0, 500).Select(i => ($"m{i}", Micros.None, "21.5"))]);
        var output = new FixedWriter();
        for (var i = 0; i < 200; i++)
        {
            table.Apply(block);
            table.TryRead(0, "m7"u8, output, out _);
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            table.Apply(block);
            table.TryRead(0, "m7"u8, output, out _);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public async Task Readers_see_whole_readings_while_the_table_grows_and_changes()
    {
        using var table = new DeviceTable(1, 100_000);
        using var stop = new CancellationTokenSource();
        table.Apply(Blocks.Of(0, 0, T0, ("m0", Micros.None, "0")));
        var reading = Task.Run(() =>
        {
            var seen = 0;
            var random = new Random(3);
            while (!stop.IsCancellationRequested || seen == 0)
            {
                if (Read(table, $"m{random.Next(20_000)}") is not { } found)
                    continue;
                seen++;
                // Every payload is one letter repeated: a torn copy would mix two.
                Assert.True(found.Payload.Distinct().Count() == 1, found.Payload);
            }
        });

        for (var i = 1; i < 40_000; i++)
            table.Apply(Blocks.Of(0, i, T0 + i, ($"m{i % 20_000}", Micros.None, new string((char)('a' + i % 26), 1 + i % 300))));
        await stop.CancelAsync();
        await reading.WaitAsync(TimeSpan.FromSeconds(30));
    }

    internal static (string Payload, ReadingPlace Place)? Read(DeviceTable table, string id, ushort tenant = 0)
    {
        var record = new ArrayBufferWriter<byte>();
        if (!table.TryRead(tenant, Encoding.UTF8.GetBytes(id), record, out var place))
            return null;
        return (Encoding.UTF8.GetString(new ReadingRecord(record.WrittenSpan, place.Sequence, place.ReceivedAt).Payload), place);
    }

    private sealed class FixedWriter : IBufferWriter<byte>
    {
        private readonly byte[] _bytes = new byte[1024];

        public void Advance(int count) { }

        public Memory<byte> GetMemory(int sizeHint = 0) => _bytes;

        public Span<byte> GetSpan(int sizeHint = 0) => _bytes;
    }
}
