using System.Buffers;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Web.Tests;

/// <summary>The newest readings as the rules define them, worked out from the whole log at each question.</summary>
internal sealed class LatestOfLog(MemoryLog log) : ILatestReadings
{
    public PositionVector Position => log.Durable;

    public bool TryRead(ushort tenant, ReadOnlySpan<byte> id, IBufferWriter<byte> record, out ReadingPlace place)
    {
        byte[]? newest = null;
        place = default;
        var time = long.MinValue;
        foreach (var block in log.Blocks)
        {
            foreach (var reading in block)
            {
                if (reading.Tenant != tenant || !reading.Id.SequenceEqual(id) || reading.EventTime < time)
                    continue;
                (newest, time) = (reading.Bytes.ToArray(), reading.EventTime);
                place = new ReadingPlace(block.Partition, reading.Sequence, reading.ReceivedAt);
            }
        }

        if (newest is not null)
            record.Write(newest);
        return newest is not null;
    }

    public ValueTask<bool> ReachAsync(int partition, long next, TimeSpan limit, CancellationToken cancel) => ValueTask.FromResult(true);
}
