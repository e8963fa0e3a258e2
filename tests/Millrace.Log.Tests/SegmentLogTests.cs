using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Log.Tests;

public sealed class SegmentLogTests
{
    [Fact]
    public async Task What_was_appended_is_read_back_after_a_restart()
    {
        using var folder = new TempFolder();
        var options = TestLog.Small(folder["log"]);
        List<Stored> before;
        await using (var log = await TestLog.OpenAsync(options))
        {
            await log.FillAsync(2000);
            before = log.ReadAll();
        }

        await using var again = await TestLog.OpenAsync(options);

        Assert.Equal(2000, before.Count);
        Assert.Equal(before, again.ReadAll());
        Assert.True(Directory.GetFiles(folder["log"], "*.segment").Length > 3);
    }

    [Fact]
    public async Task Sequences_are_dense_per_partition_and_arrival_orders_the_journal()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));

        await log.FillAsync(500);
        await log.Appender.AppendAsync(log.Batch(Enumerable.Range(0, 300).Select(i => ($"n{i}", "v"))), CancellationToken.None);
        var all = log.ReadAll();

        foreach (var partition in all.GroupBy(r => r.Partition))
            Assert.Equal(Enumerable.Range(0, partition.Count()).Select(i => (long)i), partition.Select(r => r.Sequence));
        Assert.All(all.Zip(all.Skip(1)), pair => Assert.True(pair.First.ReceivedAt < pair.Second.ReceivedAt));
    }

    [Fact]
    public async Task An_append_tells_where_each_reading_lies()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        await log.FillAsync(100);
        var batch = log.Batch(Enumerable.Range(0, 50).Select(i => ($"d{i}", $"{i}")));

        await log.Appender.AppendAsync(batch, CancellationToken.None);

        var all = log.ReadAll().ToDictionary(r => new LogPosition(r.Partition, r.Sequence));
        for (var i = 0; i < 50; i++)
            Assert.Equal(($"d{i}", $"{i}"), (all[batch.PositionOf(i)].Id, all[batch.PositionOf(i)].Value));
        Assert.Equal((150, 150, 0), (log.Ledger.Stored, log.Ledger.Stored + log.Ledger.InFlight, log.Ledger.DroppedTotal));
    }

    [Fact]
    public async Task A_reader_from_any_vector_gets_exactly_the_rest()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        await log.FillAsync(3000);
        var all = log.ReadAll();

        for (var cut = 0; cut <= all.Count; cut += 97)
        {
            var from = new PositionVector(4);
            foreach (var stored in all.Take(cut))
                from[stored.Partition] = stored.Sequence + 1;
            Assert.Equal(all.Skip(cut), log.ReadFrom(from));
        }
    }

    [Fact]
    public async Task The_place_of_a_time_divides_the_log_at_that_arrival()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        for (var i = 0; i < 200; i++)
        {
            await log.Appender.AppendAsync(log.Batch(Enumerable.Range(0, 20).Select(k => ($"m{k % 3}", $"{i}".PadRight(80)))), CancellationToken.None);
            log.Time.Advance(TimeSpan.FromMilliseconds(5));
        }

        var all = log.ReadAll();
        foreach (var at in all.Where((_, i) => i % 41 == 0).Select(r => r.ReceivedAt).Append(0).Append(long.MaxValue / 2))
        {
            var place = log.Log.PositionAt(at);
            Assert.All(all, r => Assert.Equal(r.ReceivedAt >= at, r.Sequence >= place[r.Partition]));
            foreach (var partition in new[] { 0, 2 })
            {
                using var reader = log.Log.OpenReader(partition, at);
                Assert.Equal(all.Where(r => r.Partition == partition && r.ReceivedAt >= at), TestLog.Drain(reader));
            }
        }
    }

    [Fact]
    public async Task A_waiting_reader_is_given_what_becomes_durable()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        using var reader = log.Log.OpenReader(log.Log.Durable);

        var waiting = reader.ReadAsync(CancellationToken.None).AsTask();
        Assert.False(waiting.IsCompleted);
        var position = await log.AppendAsync("m1", "20.5");

        var block = await waiting.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal((position.Partition, position.Sequence), (block.Partition, block.FirstSequence));
    }

    [Fact]
    public async Task A_reader_that_fell_out_of_the_ring_continues_from_disk_and_rejoins()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        await log.FillAsync(10);
        using var reader = log.Log.OpenReader(log.Log.Oldest);
        var seen = 0;
        seen += reader.TryRead()!.Count;

        await log.FillAsync(3000);
        seen += TestLog.Drain(reader).Count;
        await log.FillAsync(7);
        seen += TestLog.Drain(reader).Count;

        Assert.Equal(3017, seen);
        Assert.Null(reader.TakeLost());
        Assert.Equal(log.Log.Durable, reader.Position);
    }

    [Fact]
    public async Task A_clock_that_jumps_back_only_continues_the_stamps()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        await log.FillAsync(3);
        var water = log.Log.ArrivalLowWater;

        log.Time.Set(log.Time.GetUtcNow().AddHours(-1));
        await log.FillAsync(3);

        var stamps = log.ReadAll().Select(r => r.ReceivedAt).ToList();
        Assert.Equal(stamps.Order().Distinct(), stamps);
        Assert.True(stamps[3] > water && stamps[5] - stamps[2] < 1000);
    }

    [Fact]
    public async Task The_low_water_mark_follows_the_clock_while_nothing_arrives()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        await log.FillAsync(3);

        log.Time.Advance(TimeSpan.FromSeconds(10));
        var water = log.Log.ArrivalLowWater;
        await log.FillAsync(1);

        Assert.Equal(log.Time.Now() - 1, water);
        Assert.True(log.ReadAll()[^1].ReceivedAt > water);
    }

    [Fact]
    public async Task An_append_that_nobody_waits_for_is_stored_too()
    {
        using var folder = new TempFolder();
        var options = TestLog.Small(folder["log"]);
        await using (var log = await TestLog.OpenAsync(options))
        {
            for (var i = 0; i < 100; i++)
                Assert.True(log.Appender.TryAppend(log.Batch(("m", $"{i}"))));
            await log.Log.FlushAsync();
            Assert.Equal((100, 0), (log.Ledger.Stored, log.Ledger.InFlight));
            Assert.True(log.Appender.TryAppend(log.Batch(("m", "last"))));
        }

        await using var again = await TestLog.OpenAsync(options);
        Assert.Equal(["98", "99", "last"], again.ReadAll().TakeLast(3).Select(r => r.Value));
    }

    [Fact]
    public async Task A_batch_larger_than_every_bound_goes_in_alone()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        var narrow = log.Log.OpenAppender(new ListenerLedger(ListenerId.Http), 1000);

        await narrow.AppendAsync(log.Batch(Enumerable.Range(0, 300).Select(i => ($"m{i}", new string('x', 1000)))), CancellationToken.None);

        Assert.Equal(300, log.ReadAll().Count);
    }
}
