using Millrace.Core;

namespace Millrace.Testing;

/// <summary>A register that knows of no device.</summary>
public sealed class NoDevices : IDeviceRegistry
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

    public IEnumerable<RegisteredId> AllIds() => [];

    public IEnumerable<(ushort Tenant, string Id, string? Type, IReadOnlyList<string> Tags)> Grouped() => [];

    public string IssueToken(ushort tenant, string id) => throw new NotSupportedException();
}
