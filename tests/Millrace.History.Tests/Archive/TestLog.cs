using System.Text;
using Millrace.Core;

namespace Millrace.History.Tests.Archive;

/// <summary>A log in memory: blocks that were appended, to be read from any position.</summary>
internal sealed class TestLog(int partitions) : IReadingLog
{
    private readonly List<LogBlock> _blocks = [];
    private readonly PositionVector _next = new(partitions);
    private long _receivedAt = 1_772_323_200_000_000;

    public int PartitionCount => partitions;

    public LogState State => LogState.Accepting;

    public string? StateDetail => null;

    public PositionVector Durable => _next.Copy();

    public PositionVector Oldest => new(partitions);

    public long ArrivalLowWater => _receivedAt;

    public List<(string Device, long Time, long ReceivedAt, int Partition, long Sequence, ushort Tenant, string Json)> Readings { get; } = [];

    public IReadOnlyList<LogBlock> Blocks => _blocks;

    /// <summary>Appends readings of one partition as a block; times are relative to the arrival.</summary>
    public LogBlock Append(int partition, params (string Device, long TimeOffset, string Json, ushort Tenant)[] readings)
    {
        var bytes = new List<byte>();
        var (first, receivedAt) = (_next[partition], _receivedAt);
        foreach (var (device, offset, json, tenant) in readings)
        {
            var (id, payload) = (Encoding.UTF8.GetBytes(device), Encoding.UTF8.GetBytes(json));
            var record = new byte[ReadingRecord.Measure(id.Length, 0, payload.Length)];
            ReadingRecord.Write(record, tenant, id, ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, _receivedAt + offset, [], payload);
            bytes.AddRange(record);
            Readings.Add((device, _receivedAt + offset, _receivedAt, partition, _next[partition], tenant, json));
            _next[partition]++;
            _receivedAt++;
        }

        _receivedAt += 1000;
        var block = new LogBlock(partition, first, readings.Length, receivedAt, bytes.ToArray());
        _blocks.Add(block);
        return block;
    }

    public ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax) => throw new NotSupportedException();

    public ILogReader OpenReader(PositionVector from) => new Reader(this, from.Copy());

    public PositionVector PositionAt(long receivedAt)
    {
        var at = _next.Copy();
        foreach (var reading in Readings.Where(reading => reading.ReceivedAt >= receivedAt))
            at[reading.Partition] = Math.Min(at[reading.Partition], reading.Sequence);
        return at;
    }

    private sealed class Reader(TestLog log, PositionVector position) : ILogReader
    {
        private int _block;

        public PositionVector Position => position;

        public LogBlock? TryRead()
        {
            while (_block < log._blocks.Count)
            {
                var block = log._blocks[_block++].From(position[log._blocks[_block - 1].Partition]);
                if (block.Count == 0)
                    continue;
                position[block.Partition] = block.NextSequence;
                return block;
            }

            return null;
        }

        public ValueTask<LogBlock> ReadAsync(CancellationToken cancel) => throw new NotSupportedException("Nobody appends meanwhile.");

        public LostRange? TakeLost() => null;

        public void Dispose()
        {
        }
    }
}
