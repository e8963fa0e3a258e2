using System.Buffers;
using System.Text;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.History.Archive;

namespace Millrace.History.Queries;

/// <summary>
/// A device's readings by their own time, out of the archive and what the log holds beyond it. The archive's position is the cut: what
/// lies before it comes from files, the rest from the log, so no reading comes twice. Thread-safe.
/// </summary>
/// <param name="archive">Null: there is none, and the log alone is read.</param>
public sealed class DeviceReadings(IReadingLog log, ArchiveReader? archive)
{
    /// <summary>Readings with from ≤ time &lt; to, in order of time, then of the log.</summary>
    /// <remarks>A reading whose clock is wrong by more than the archive takes for a day's is among them, at the time it says.</remarks>
    public IEnumerable<ArchivedReading> Read(ushort tenant, string device, long from, long to, ReadBudget budget)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(budget);
        var cut = Cut;
        var tail = Tail(tenant, device, cut, from, to, budget);
        return cut is null
            ? tail
            : Merge(archive!.ReadDevice(tenant, device, from, to, budget).Where(reading => reading.Sequence < cut[reading.Partition]), tail, budget);
    }

    /// <summary>The archive; null when there is none.</summary>
    internal ArchiveReader? Archive => archive;

    /// <summary>What lies before is in the archive's files, the rest in the log; null when all is in the log.</summary>
    internal PositionVector? Cut => archive?.Held;

    /// <summary>A device's readings that the log holds beyond the cut, in order of time.</summary>
    internal List<ArchivedReading> Tail(ushort tenant, string device, PositionVector? cut, long from, long to, ReadBudget budget)
    {
        var id = Encoding.UTF8.GetBytes(device);
        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(tenant, id), log.PartitionCount);
        return Tail(id, partition, cut?[partition] ?? StartInLog(partition, from), from, to, tenant, device, budget);
    }

    /// <summary>No event time is further ahead of the arrival than this, so nothing earlier in the log can be wanted.</summary>
    private long StartInLog(int partition, long from) =>
        log.PositionAt(Math.Max(from, Micros.Min + Micros.DeviceTimeAheadMax) - Micros.DeviceTimeAheadMax)[partition];

    private List<ArchivedReading> Tail(byte[] id, int partition, long start, long from, long to, ushort tenant, string device, ReadBudget budget)
    {
        // Only the device's partition is of interest: in the others there is nothing left to read.
        var durable = log.Durable.Copy();
        var end = durable[partition];
        var readings = new List<ArchivedReading>();
        if (start >= end)
            return readings;

        durable[partition] = start;
        using var reader = log.OpenReader(durable);
        while (reader.TryRead() is { } block)
        {
            if (block.Partition != partition)
                continue;
            foreach (var record in block)
            {
                if (record.EventTime >= from && record.EventTime < to && record.Tenant == tenant && record.Id.SequenceEqual(id) && !record.IsForOneJob)
                    readings.Add(Copy(record, device, partition));
            }

            budget.Count(block.Records.Length);
            if (block.NextSequence >= end)
                break;
            if (budget.IsSpent)
            {
                budget.IsBehind = true;
                break;
            }
        }

        readings.Sort(ReadingOrder.ByTime);
        return readings;
    }

    private static ArchivedReading Copy(in ReadingRecord record, string device, int partition)
    {
        var json = new ArrayBufferWriter<byte>(record.Payload.Length + 64);
        PayloadView.WriteJson(record, json);
        return new ArchivedReading(record.Tenant, device, record.EventTime, record.ReceivedAt, partition, record.Sequence, json.WrittenMemory);
    }

    private static IEnumerable<ArchivedReading> Merge(
        IEnumerable<ArchivedReading> files, List<ArchivedReading> tail, ReadBudget budget)
    {
        var next = 0;
        foreach (var reading in files)
        {
            while (next < tail.Count && ReadingOrder.ByTime.Compare(tail[next], reading) < 0)
                yield return tail[next++];
            yield return reading;
        }

        while (next < tail.Count && !(tail[next].Time >= budget.StoppedBefore))
            yield return tail[next++];
    }
}
