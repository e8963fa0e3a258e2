using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Core.Tests;

public sealed class ReadingBatchTests
{
    [Fact]
    public void A_record_reads_back_what_was_written() =>
        Prop.ForAll<ushort, byte[], byte[]>((tenant, properties, payload) =>
        {
            var deviceTime = 1_000_003L * payload.Length - tenant;
            var batch = new ReadingBatch(8);
            batch.Add(tenant, "meter-1"u8, ListenerId.Tcp, PayloadFormat.Json, ReadingFlags.Authenticated, deviceTime, properties, payload);
            var partition = batch.PositionOf(0).Partition;
            var block = new LogBlock(partition, 41, batch.CountOf(partition), 1000, batch.RecordsOf(partition).ToArray());

            foreach (var record in block)
            {
                Assert.Equal((tenant, deviceTime, 41L, 1000L), (record.Tenant, record.DeviceTime, record.Sequence, record.ReceivedAt));
                Assert.Equal("meter-1", Encoding.UTF8.GetString(record.Id));
                Assert.Equal((ListenerId.Tcp, PayloadFormat.Json, ReadingFlags.Authenticated), (record.Listener, record.Format, record.Flags));
                Assert.True(record.Properties.SequenceEqual(properties) && record.Payload.SequenceEqual(payload));
                return true;
            }

            return false;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_device_always_lies_in_the_same_partition()
    {
        // Frozen: these hashes place devices of folders that exist already.
        Assert.Equal(10438076898584538409UL, DeviceIds.Hash(0, "AABB01"u8));
        Assert.Equal(5215962893393038882UL, DeviceIds.Hash(3, "ffffffffffffff01"u8));
        Assert.NotEqual(DeviceIds.Hash(0, "AABB01"u8), DeviceIds.Hash(1, "AABB01"u8));
        var counts = new int[8];
        for (var i = 0; i < 80_000; i++)
            counts[DeviceIds.PartitionOf(DeviceIds.Hash(0, Encoding.ASCII.GetBytes($"meter-{i:D6}")), 8)]++;
        Assert.All(counts, count => Assert.InRange(count, 9_000, 11_000));
    }

    [Fact]
    public void A_block_without_its_first_records_keeps_sequences_and_times()
    {
        var batch = new ReadingBatch(1);
        for (var i = 0; i < 5; i++)
            batch.Add(0, "m"u8, ListenerId.Udp, PayloadFormat.Text, ReadingFlags.None, Micros.None, [], [(byte)('0' + i)]);

        var rest = new LogBlock(0, 10, 5, 100, batch.RecordsOf(0).ToArray()).From(13);

        Assert.Equal((13, 2, 103), (rest.FirstSequence, rest.Count, rest.FirstReceivedAt));
        foreach (var record in rest)
            Assert.Equal(record.Sequence - 10, record.Payload[0] - '0');
    }

    [Fact]
    public void Garbage_is_never_measured_as_a_record() =>
        Prop.ForAll<byte[]>(bytes => !ReadingRecord.TryMeasure(bytes, out var length) || length <= bytes.Length).QuickCheckThrowOnFailure();

    [Fact]
    public void Adding_to_a_warm_batch_allocates_nothing()
    {
        var batch = new ReadingBatch(8);
        Fill(batch);
        batch.Clear();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Fill(batch);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Fill(ReadingBatch batch)
        {
            for (var i = 0; i < 1000; i++)
                batch.Add(0, "meter-000017"u8, ListenerId.Udp, PayloadFormat.Text, ReadingFlags.None, Micros.None, [], "20.5"u8);
        }
    }
}
