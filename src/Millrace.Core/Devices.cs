namespace Millrace.Core;

/// <summary>How new ids are treated.</summary>
public enum Enrolment
{
    /// <summary>The first reading of an unknown id enrols it.</summary>
    Open,

    /// <summary>Only devices that were added may send.</summary>
    Registered,
}

/// <summary>A device as the registry keeps it. Times in µs since the epoch.</summary>
/// <param name="Type">Device type, or null.</param>
/// <param name="Attributes">A JSON object as text, or null.</param>
public sealed record Device(
    ushort Tenant, string Id, string? Name, string? Type, IReadOnlyList<string> Tags, string? Attributes, long CreatedAt, bool HasToken);

/// <summary>What a caller may change of a device; null leaves a value as it is.</summary>
public sealed record DeviceChange(string? Name, string? Type, IReadOnlyList<string>? Tags, string? Attributes);

/// <summary>A page request over the devices of one tenant, in id order (or reverse).</summary>
/// <param name="Search">Part of the id or name, matched without regard to case.</param>
/// <param name="After">The last id of the page before, or null.</param>
/// <param name="Skip">So many devices after that are passed over; a search takes no notice of it.</param>
public sealed record DeviceQuery(ushort Tenant, string? Search, string? Tag, string? Type, string? After, int Limit, bool Descending = false, int Skip = 0);

/// <summary>One page of devices.</summary>
/// <param name="Next">Where to go on (<see cref="DeviceQuery.After"/> of the next request), or null at the end. A search may
/// give fewer devices than asked for, even none, and still have a next page: one request does a bounded amount of work.</param>
public sealed record DevicePage(IReadOnlyList<Device> Devices, string? Next);

/// <summary>
/// The durable register of devices. All writes are transactions; reads never load the whole table. Thread-safe.
/// </summary>
public interface IDeviceRegistry
{
    /// <summary>Adds or unblocks a device. Returns false when it was there already (then only the change is applied).</summary>
    bool Add(ushort tenant, string id, DeviceChange change);

    /// <summary>Adds or changes many devices in one transaction; returns how many were new. Unblocks as <see cref="Add"/> does.</summary>
    int AddRange(ushort tenant, IReadOnlyCollection<(string Id, DeviceChange Change)> devices);

    Device? Find(ushort tenant, string id);

    /// <summary>Applies a change; false when the device is unknown.</summary>
    bool Update(ushort tenant, string id, DeviceChange change);

    /// <summary>Removes a device and blocks its id until it is added again; false when unknown.</summary>
    bool Remove(ushort tenant, string id);

    DevicePage List(DeviceQuery query);

    long Count(ushort tenant);

    /// <summary>Enrols ids seen in the log, in one transaction together with the enrolment view's position; known ids are left alone.</summary>
    void Enrol(IReadOnlyCollection<(ushort Tenant, string Id, long FirstSeen)> devices, PositionVector position);

    /// <summary>The position stored by the last <see cref="Enrol"/>, or null.</summary>
    PositionVector? EnrolmentPosition { get; }

    /// <summary>Streams every known id, for the in-memory table at start.</summary>
    IEnumerable<RegisteredId> AllIds();

    /// <summary>Streams the devices that have a type or tags, of all tenants; the others belong to no group but the fleet.</summary>
    IEnumerable<(ushort Tenant, string Id, string? Type, IReadOnlyList<string> Tags)> Grouped();

    /// <summary>Issues a new token for a device that is known, replacing the old one; the text is returned once and stored as SHA-256.</summary>
    string IssueToken(ushort tenant, string id);

    /// <summary>Raised after a device was added, changed, removed or unblocked, so that what is held in memory follows.</summary>
    event Action<DeviceEvent>? Changed;
}

/// <summary>What happened to a device in the registry.</summary>
/// <param name="CountsFrom">When a removed device was added again, µs: what arrived before is not its any more. 0 in all other cases.</param>
public readonly record struct DeviceEvent(ushort Tenant, string Id, bool Blocked, long CountsFrom = 0);

/// <summary>An id of the registry.</summary>
/// <param name="CountsFrom">When it was added again after a removal, µs, or 0.</param>
public readonly record struct RegisteredId(ushort Tenant, byte[] Id, bool Blocked, long CountsFrom = 0);
