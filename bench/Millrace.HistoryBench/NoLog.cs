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

/// <summary>A register that knows of no device.</summary>
internal sealed class NoDevices : IDeviceRegistry
{
    public event Action<DeviceEvent>? Changed
    {
        add { }
        remove { }
    }

    public PositionVector? EnrolmentPosition => null;

    public bool Add(ushort tenant, string id, DeviceChange change) => false;

    public int AddRange(ushort tenant, IReadOnlyCollection<(string Id, DeviceChange Change)> devices) => 0;

    public Device? Find(ushort tenant, string id) => null;

    public bool Update(ushort tenant, string id, DeviceChange change) => false;

    public bool Remove(ushort tenant, string id) => false;

    public DevicePage List(DeviceQuery query) => new([], null);

    public long Count(ushort tenant) => 0;

    public void Enrol(IReadOnlyCollection<(ushort Tenant, string Id, long FirstSeen)> devices, PositionVector position)
    {
    }

    public IEnumerable<(ushort Tenant, byte[] Id, bool Blocked)> AllIds() => [];

    public IEnumerable<(ushort Tenant, string Id, string? Type, IReadOnlyList<string> Tags)> Grouped() => [];

    public string IssueToken(ushort tenant, string id) => throw new NotSupportedException();
}
