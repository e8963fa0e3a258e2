using Millrace.Core;

namespace Millrace.HistoryBench;

/// <summary>A log that holds nothing: all was archived.</summary>
internal sealed class NoLog(int partitions) : IReadingLog
{
    private PositionVector _durable = new(partitions);

    public int PartitionCount => partitions;

    public LogState State => LogState.Accepting;

    public string? StateDetail => null;

    public PositionVector Durable => _durable;

    public PositionVector Oldest => new(partitions);

    public long ArrivalLowWater => 0;

    public void Move(PositionVector durable) => _durable = durable.Copy();

    public ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax) => throw new NotSupportedException();

    public ILogReader OpenReader(PositionVector from) => throw new NotSupportedException();

    public PositionVector PositionAt(long receivedAt) => _durable.Copy();
}
