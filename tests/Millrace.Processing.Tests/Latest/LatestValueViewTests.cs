using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Processing.Latest;
using Millrace.Testing;

namespace Millrace.Processing.Tests.Latest;

public sealed class LatestValueViewTests : IDisposable
{
    private const long T0 = 1_700_000_000_000_000;
    private const int Partitions = 2;

    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TempFolder _folder = new();
    private readonly MemoryLog _log = new(Partitions);
    private readonly ManualTime _time = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_restart_has_every_value_and_reads_on_where_it_stopped()
    {
        var (ids0, ids1) = (Blocks.IdsIn(0, Partitions, 50), Blocks.IdsIn(1, Partitions, 50));
        using (var table = new DeviceTable(Partitions, 1000))
        {
            var view = await OpenAsync(table);
            await view.ApplyAsync(Blocks.Of(0, 0, T0, [.. ids0.Select(id => (id, Micros.None, "v" + id))]), None);
            await view.ApplyAsync(Blocks.Of(1, 0, T0 + 100, [.. ids1.Select(id => (id, Micros.None, "v" + id))]), None);
            table.Ensure(0, "registered-only"u8, blocked: false);
            await view.CheckpointAsync(view.Position.Copy(), None);
        }

        using var restored = new DeviceTable(Partitions, 1000);
        var again = await OpenAsync(restored);

        Assert.Equal(new PositionVector([50L, 50L]), again.Position);
        Assert.All(ids0.Concat(ids1), id => Assert.Equal("v" + id, DeviceTableTests.Read(restored, id)!.Value.Payload));
        Assert.Equal((101, DeviceStanding.Known), (restored.Count, restored.Standing(0, "registered-only"u8)));
        Assert.Equal(T0 + 1, restored.LastSeen(0, System.Text.Encoding.UTF8.GetBytes(ids0[1])));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task A_device_added_again_shows_nothing_of_before_whatever_a_restart_reads_again(bool savedBefore, bool savedAfter)
    {
        var id = Blocks.IdsIn(0, Partitions, 1)[0];
        var key = System.Text.Encoding.UTF8.GetBytes(id);
        // The older reading has the later time: it would win if it counted.
        var old = Blocks.Of(0, 0, T0, (id, T0 + Micros.PerSecond, "old"));
        var fresh = Blocks.Of(0, 1, T0 + 100, (id, T0 - Micros.PerSecond, "new"));
        using (var table = new DeviceTable(Partitions, 1000))
        {
            var view = await OpenAsync(table);
            await view.ApplyAsync(old, None);
            if (savedBefore)
                await view.CheckpointAsync(view.Position.Copy(), None);
            table.Ensure(0, key, blocked: true);
            table.Ensure(0, key, blocked: false, enrolled: true, countsFrom: T0 + 50);
            await view.ApplyAsync(old, None);
            Assert.Null(DeviceTableTests.Read(table, id));
            await view.ApplyAsync(fresh, None);
            if (savedAfter)
                await view.CheckpointAsync(new PositionVector([0L, 0L]), None);
        }

        using var restored = new DeviceTable(Partitions, 1000);
        var again = await OpenAsync(restored);
        restored.Ensure(0, key, blocked: false, enrolled: true, countsFrom: T0 + 50);
        var atStart = DeviceTableTests.Read(restored, id)?.Payload;
        await again.ApplyAsync(old, None);
        var afterOld = DeviceTableTests.Read(restored, id)?.Payload;
        var heard = restored.LastSeen(0, key);
        await again.ApplyAsync(fresh, None);

        Assert.Equal(savedAfter ? "new" : null, atStart);
        Assert.Equal(savedAfter ? "new" : null, afterOld);
        Assert.Equal(savedAfter ? T0 + 100 : null, heard);
        Assert.Equal("new", DeviceTableTests.Read(restored, id)!.Value.Payload);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.999)]
    public async Task A_torn_snapshot_falls_back_to_the_one_before(double keep)
    {
        var id = Blocks.IdsIn(0, Partitions, 1)[0];
        await SaveTwiceAsync(id);
        var newest = Directory.GetFiles(_folder.Path, "latest-0000-*").Order().Last();
        using (var file = File.OpenWrite(newest))
            file.SetLength((long)(file.Length * keep));

        using var table = new DeviceTable(Partitions, 1000);
        var view = await OpenAsync(table);

        Assert.Equal(1, view.Position[0]);
        Assert.NotNull(DeviceTableTests.Read(table, id));
    }

    [Fact]
    public async Task Any_flipped_bit_is_noticed()
    {
        var id = Blocks.IdsIn(0, Partitions, 1)[0];
        await SaveTwiceAsync(id);
        var newest = Directory.GetFiles(_folder.Path, "latest-0000-*").Order().Last();
        var good = File.ReadAllBytes(newest);
        for (var at = 0; at < good.Length; at++)
        {
            var bad = (byte[])good.Clone();
            bad[at] ^= 0x10;
            File.WriteAllBytes(newest, bad);
            using var table = new DeviceTable(Partitions, 1000);
            Assert.Equal(1, (await OpenAsync(table)).Position[0]);
        }
    }

    [Fact]
    public async Task Two_snapshots_are_kept_and_unchanged_shards_are_not_written_again()
    {
        var id = Blocks.IdsIn(0, Partitions, 1)[0];
        using var table = new DeviceTable(Partitions, 1000);
        var view = await OpenAsync(table);
        for (var i = 0; i < 5; i++)
        {
            await view.ApplyAsync(Blocks.Of(0, i, T0 + i, (id, Micros.None, "1")), None);
            await view.CheckpointAsync(view.Position.Copy(), None);
        }

        Assert.Equal(2, Directory.GetFiles(_folder.Path, "latest-0000-*.snapshot").Length);
        Assert.Single(Directory.GetFiles(_folder.Path, "latest-0001-*.snapshot"));
    }

    [Fact]
    public async Task A_snapshot_of_a_log_with_other_partitions_is_not_used()
    {
        await SaveTwiceAsync(Blocks.IdsIn(0, Partitions, 1)[0]);

        using var table = new DeviceTable(4, 1000);
        var view = new LatestValueView(table, _folder.Path, _time, NullLogger<LatestValueView>.Instance);
        await view.OpenAsync(new MemoryLog(4), None);

        Assert.Equal(new PositionVector(4), view.Position);
        Assert.Equal(0, table.Count);
    }

    [Fact]
    public void Whatever_is_saved_is_restored() =>
        Prop.ForAll(
            ArbMap.Default.ArbFor<(NonEmptyString Id, string? Payload)[]>(),
            readings =>
            {
                using var folder = new TempFolder();
                using var table = new DeviceTable(1, 1000);
                var valid = readings.Select(r => (Id: r.Id.Get, Payload: r.Payload ?? ""))
                    .Where(r => DeviceIds.IsValid(System.Text.Encoding.UTF8.GetBytes(r.Id)) && IsText(r.Id) && IsText(r.Payload)).ToArray();
                table.Apply(Blocks.Of(0, 0, T0, [.. valid.Select(r => (r.Id, Micros.None, r.Payload))]));
                new LatestSnapshots(folder.Path, table, NullLogger.Instance).Save(new PositionVector([7L]), None);

                using var restored = new DeviceTable(1, 1000);
                var position = new LatestSnapshots(folder.Path, restored, NullLogger.Instance).Load(None);
                return position[0] == 7 && restored.Count == table.Count
                    && valid.All(r => DeviceTableTests.Read(restored, r.Id) == DeviceTableTests.Read(table, r.Id));
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_snapshot_of_the_first_release_opens()
    {
        // Written by the first release; kept for ever.
        File.Copy(Path.Combine(AppContext.BaseDirectory, "Golden", "latest-snapshot-1.bin"), _folder["latest-0000-000000000001.snapshot"]);
        using var table = new DeviceTable(1, 1000);

        var position = new LatestSnapshots(_folder.Path, table, NullLogger.Instance).Load(None);

        Assert.Equal(42, position[0]);
        Assert.Equal(("20.5", new ReadingPlace(0, 40, T0)), DeviceTableTests.Read(table, "AB12"));
        Assert.Equal(("""{"temp":3}""", new ReadingPlace(0, 41, T0 + 1)), DeviceTableTests.Read(table, "Zähler 7"));
        Assert.Equal(DeviceStanding.Known, table.Standing(0, "quiet"u8));
        Assert.Null(DeviceTableTests.Read(table, "quiet"));
    }

    [Fact]
    public async Task Whoever_wrote_can_wait_until_it_can_be_read()
    {
        using var table = new DeviceTable(Partitions, 1000);
        var view = await OpenAsync(table);
        var id = Blocks.IdsIn(0, Partitions, 1)[0];

        var waiting = view.ReachAsync(0, 1, TimeSpan.FromSeconds(30), None).AsTask();
        Assert.False(waiting.IsCompleted);
        await view.ApplyAsync(Blocks.Of(0, 0, T0, (id, Micros.None, "1")), None);

        Assert.True(await waiting.WaitAsync(TimeSpan.FromSeconds(20)));
    }

    [Fact]
    public async Task Waiting_ends_at_its_limit()
    {
        using var table = new DeviceTable(Partitions, 1000);
        var view = await OpenAsync(table);

        var waiting = view.ReachAsync(0, 1, TimeSpan.FromSeconds(5), None).AsTask();
        _time.Advance(TimeSpan.FromSeconds(6));

        Assert.False(await waiting.WaitAsync(TimeSpan.FromSeconds(20)));
    }

    private static bool IsText(string text) => System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text)) == text;

    private async Task SaveTwiceAsync(string id)
    {
        using var table = new DeviceTable(Partitions, 1000);
        var view = await OpenAsync(table);
        await view.ApplyAsync(Blocks.Of(0, 0, T0, (id, Micros.None, "first")), None);
        await view.CheckpointAsync(view.Position.Copy(), None);
        await view.ApplyAsync(Blocks.Of(0, 1, T0 + 1, (id, Micros.None, "second")), None);
        await view.CheckpointAsync(view.Position.Copy(), None);
    }

    private async Task<LatestValueView> OpenAsync(DeviceTable table)
    {
        var view = new LatestValueView(table, _folder.Path, _time, NullLogger<LatestValueView>.Instance);
        await view.OpenAsync(_log, None);
        return view;
    }
}
