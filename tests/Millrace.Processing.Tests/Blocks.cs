using System.Text;
using Millrace.Core;

namespace Millrace.Processing.Tests;

/// <summary>Blocks of records as the log would hand them out.</summary>
internal static class Blocks
{
    public static LogBlock Of(int partition, long firstSequence, long firstReceivedAt, params (string Id, long DeviceTime, string Payload)[] readings)
    {
        var bytes = new List<byte>();
        foreach (var (id, time, payload) in readings)
            bytes.AddRange(Record(0, id, time, payload));
        return new LogBlock(partition, firstSequence, readings.Length, firstReceivedAt, bytes.ToArray());
    }

    public static byte[] Record(ushort tenant, string id, long deviceTime, string payload)
    {
        var (key, value) = (Encoding.UTF8.GetBytes(id), Encoding.UTF8.GetBytes(payload));
        var record = new byte[ReadingRecord.Measure(key.Length, 0, value.Length)];
        ReadingRecord.Write(record, tenant, key, ListenerId.Udp, PayloadFormat.Text, ReadingFlags.None, deviceTime, [], value);
        return record;
    }

    public static int PartitionOf(string id, int partitions) =>
        DeviceIds.PartitionOf(DeviceIds.Hash(0, Encoding.UTF8.GetBytes(id)), partitions);

    /// <summary>Ids of one partition, so that they can share a block.</summary>
    public static string[] IdsIn(int partition, int partitions, int count) =>
        [.. Enumerable.Range(0, int.MaxValue).Select(i => $"m{i}").Where(id => PartitionOf(id, partitions) == partition).Take(count)];
}
