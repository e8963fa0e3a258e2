using System.Collections.Concurrent;
using System.Text;
using Millrace.Core;

namespace Millrace.History.Rollups.Groups;

/// <summary>
/// Which groups a device's readings count for: what the register says when the reading is taken in. Devices have numbers of their own, in the
/// order in which they were met. Changes of the register may come from any thread; everything else is for one.
/// </summary>
internal sealed class GroupMembers : IDisposable
{
    /// <summary>Groups kept for a tenant; beyond it a tag is used as a label for single devices, and its trend is that device's.</summary>
    public const int GroupsMax = 1000;

    private readonly IDeviceRegistry _registry;
    private readonly Dictionary<ulong, int> _numbers = [];
    private readonly List<(ulong Hash, ushort Tenant)> _devices = [];
    private readonly List<int[]?> _groups = [];
    private readonly Dictionary<ushort, int[]> _plain = [];
    private readonly List<GroupSeries> _series = [];
    private readonly Dictionary<GroupSeries, int> _places = [];
    private readonly Dictionary<ushort, int> _counts = [];
    private readonly Dictionary<string, int[]> _sets = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<DeviceEvent> _changes = new();

    public GroupMembers(IDeviceRegistry registry)
    {
        _registry = registry;
        registry.Changed += _changes.Enqueue;
    }

    /// <summary>Every group met so far; its place is its number.</summary>
    public IReadOnlyList<GroupSeries> Series => _series;

    /// <summary>Devices met so far, by their numbers.</summary>
    public IReadOnlyList<(ulong Hash, ushort Tenant)> Devices => _devices;

    /// <summary>Set when a tenant has more groups than are kept.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Starts from devices met before, in the order of their numbers, and what the register says of them now.</summary>
    public void Load(IEnumerable<(ulong Hash, ushort Tenant)> devices)
    {
        _numbers.Clear();
        _devices.Clear();
        _groups.Clear();
        foreach (var (hash, tenant) in devices)
            Add(hash, tenant);
        foreach (var (tenant, id, type, tags) in _registry.Grouped())
            Set(tenant, id, SetOf(tenant, type, tags));
    }

    /// <summary>Takes in what changed in the register since.</summary>
    public void Refresh()
    {
        while (_changes.TryDequeue(out var change))
        {
            var device = change.Blocked ? null : _registry.Find(change.Tenant, change.Id);
            // A removed device belongs to nothing any more; what it said before stays where it was counted.
            Set(change.Tenant, change.Id, device is null ? [] : SetOf(change.Tenant, device.Type, device.Tags));
        }
    }

    /// <summary>A device's number; a new one when it was not met before. Hot.</summary>
    public int NumberOf(ushort tenant, ReadOnlySpan<byte> id)
    {
        var hash = DeviceIds.Hash(tenant, id);
        return _numbers.TryGetValue(hash, out var number) ? number : Add(hash, tenant);
    }

    /// <summary>The groups a device's readings count for. Hot.</summary>
    public int[] GroupsOf(int device) => _groups[device] ?? PlainOf(_devices[device].Tenant);

    public int PlaceOf(GroupSeries series)
    {
        if (_places.TryGetValue(series, out var place))
            return place;
        var count = _counts.GetValueOrDefault(series.Tenant);
        if (count >= GroupsMax)
        {
            IsFull = true;
            return -1;
        }

        _counts[series.Tenant] = count + 1;
        _series.Add(series);
        _places.Add(series, _series.Count - 1);
        return _series.Count - 1;
    }

    /// <summary>How many of a tenant's devices belong to each group now, by the groups' places: one walk for all groups.</summary>
    public long[] Count(ushort tenant, IEnumerable<int> devices)
    {
        var counts = new long[_series.Count];
        foreach (var device in devices)
        {
            if (_devices[device].Tenant != tenant)
                continue;
            foreach (var place in GroupsOf(device))
                counts[place]++;
        }

        return counts;
    }

    /// <summary>Devices that belong to each group now; the register knows more of the fleet than have reported.</summary>
    public long[] Known(ushort tenant)
    {
        PlainOf(tenant);
        var counts = Count(tenant, Enumerable.Range(0, _devices.Count));
        counts[_places[new GroupSeries(tenant, GroupKind.Fleet, "")]] = _registry.Count(tenant);
        return counts;
    }

    public void Dispose() => _registry.Changed -= _changes.Enqueue;

    /// <summary>The groups of a device that the register says nothing of.</summary>
    private int[] PlainOf(ushort tenant)
    {
        if (!_plain.TryGetValue(tenant, out var plain))
            _plain.Add(tenant, plain = SetOf(tenant, null, []));
        return plain;
    }

    private int Add(ulong hash, ushort tenant)
    {
        _numbers.Add(hash, _devices.Count);
        _devices.Add((hash, tenant));
        _groups.Add(null);
        return _devices.Count - 1;
    }

    private void Set(ushort tenant, string id, int[] groups) => _groups[NumberOf(tenant, Encoding.UTF8.GetBytes(id))] = groups;

    /// <summary>Devices in the same groups share one list.</summary>
    private int[] SetOf(ushort tenant, string? type, IReadOnlyList<string> tags)
    {
        var key = $"{tenant}\0{type}\0{string.Join('\0', tags)}";
        if (_sets.TryGetValue(key, out var known))
            return known;

        IEnumerable<GroupSeries> series =
        [
            new(tenant, GroupKind.Fleet, ""), new(tenant, GroupKind.Type, type ?? ""), .. tags.Distinct().Select(tag => new GroupSeries(tenant, GroupKind.Tag, tag)),
        ];
        int[] set = [.. series.Select(PlaceOf).Where(place => place >= 0)];
        _sets.Add(key, set);
        return set;
    }
}
