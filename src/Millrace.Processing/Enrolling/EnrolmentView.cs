using System.Text;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Processing.Latest;

namespace Millrace.Processing.Enrolling;

/// <summary>
/// Makes devices of ids that were seen in the log, in batches; the registry stores a batch and the position up to which
/// the log has been looked through in one transaction. Never more than the table's limit, whatever was let in.
/// </summary>
public sealed class EnrolmentView : IReadingView
{
    /// <summary>Ids per transaction: one flush of the registry for so many.</summary>
    private const int BatchIds = 4096;

    private readonly DeviceTable _table;
    private readonly IDeviceRegistry _registry;
    private readonly ILogger _logger;
    private readonly GroupVisitor _collect;
    private readonly Dictionary<(ushort Tenant, string Id), long> _pending;
    private readonly Dictionary<(ushort Tenant, string Id), long>.AlternateLookup<IdBytes> _pendingByBytes;
    private PositionVector _applied = new(0);
    private PositionVector? _stored;

    public EnrolmentView(DeviceTable table, IDeviceRegistry registry, ILogger<EnrolmentView> logger)
    {
        (_table, _registry, _logger) = (table, registry, logger);
        _pending = new Dictionary<(ushort, string), long>(IdComparer.Instance);
        _pendingByBytes = _pending.GetAlternateLookup<IdBytes>();
        unsafe
        {
            _collect = Collect;
        }
    }

    public string Name => "enrolment";

    /// <summary>Ids left out because the limit was reached, since start.</summary>
    public long LeftOut { get; private set; }

    public ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(log);
        _pending.Clear();
        _stored = _registry.EnrolmentPosition;
        if (_stored?.Count != log.PartitionCount)
            _stored = null;
        _applied = _stored?.Copy() ?? new PositionVector(log.PartitionCount);
        return ValueTask.FromResult(_applied.Copy());
    }

    public ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(block);
        _table.VisitGroups(block, _collect);
        _applied[block.Partition] = block.NextSequence;
        if (_pending.Count >= BatchIds)
            Store();
        return ValueTask.CompletedTask;
    }

    public ValueTask IdleAsync(CancellationToken cancel)
    {
        if (_pending.Count > 0)
            Store();
        return ValueTask.CompletedTask;
    }

    public ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
    {
        if (_pending.Count > 0 || !_applied.Equals(_stored))
            Store();
        return ValueTask.CompletedTask;
    }

    /// <summary>Hot: nearly every device is enrolled already. Runs under the shard's lock.</summary>
    private unsafe void Collect(
        DeviceShard shard, byte* records, ReadOnlySpan<int> offsets, ReadOnlySpan<ulong> hashes, long firstSequence, long firstReceivedAt)
    {
        for (var i = 0; i < offsets.Length; i++)
        {
            var bytes = records + offsets[i];
            var record = new ReadingRecord(new ReadOnlySpan<byte>(bytes, *(int*)bytes), firstSequence + i, firstReceivedAt + i);
            var entry = shard.Find(record.Tenant, record.Id, hashes[i]);
            if (entry is null || (entry->State & (EntryState.Enrolled | EntryState.Blocked)) == 0)
                _pendingByBytes.TryAdd(new IdBytes(record.Tenant, record.Id), record.ReceivedAt);
        }
    }

    private void Store()
    {
        var room = Math.Max(0, _table.Max - _table.EnrolledCount);
        var left = (int)Math.Max(0, _pending.Count - room);
        List<(ushort Tenant, string Id, long FirstSeen)> devices =
            [.. _pending.Take(_pending.Count - left).Select(p => (p.Key.Tenant, p.Key.Id, p.Value))];
        _registry.Enrol(devices, _applied);
        _stored = _applied.Copy();
        _pending.Clear();

        Span<byte> id = stackalloc byte[DeviceIds.LengthMax];
        foreach (var device in devices)
            _table.MarkEnrolled(device.Tenant, id[..Encoding.UTF8.GetBytes(device.Id, id)]);
        if (left > 0)
        {
            LeftOut += left;
            EnrollingLog.LimitReached(_logger, _table.Max, left);
        }
    }

    /// <summary>An id as it lies in a record.</summary>
    internal readonly ref struct IdBytes(ushort tenant, ReadOnlySpan<byte> id)
    {
        public ushort Tenant { get; } = tenant;
        public ReadOnlySpan<byte> Id { get; } = id;
    }

    /// <summary>Looks ids up by their bytes, so that a string is made once per new device and not per reading.</summary>
    private sealed class IdComparer : IEqualityComparer<(ushort Tenant, string Id)>, IAlternateEqualityComparer<IdBytes, (ushort Tenant, string Id)>
    {
        public static IdComparer Instance { get; } = new();

        public bool Equals((ushort Tenant, string Id) x, (ushort Tenant, string Id) y) => x == y;

        public int GetHashCode((ushort Tenant, string Id) key)
        {
            Span<byte> id = stackalloc byte[DeviceIds.LengthMax];
            return (int)DeviceIds.Hash(key.Tenant, id[..Encoding.UTF8.GetBytes(key.Id, id)]);
        }

        public bool Equals(IdBytes alternate, (ushort Tenant, string Id) other)
        {
            Span<byte> id = stackalloc byte[DeviceIds.LengthMax];
            return alternate.Tenant == other.Tenant && alternate.Id.SequenceEqual(id[..Encoding.UTF8.GetBytes(other.Id, id)]);
        }

        public int GetHashCode(IdBytes alternate) => (int)DeviceIds.Hash(alternate.Tenant, alternate.Id);

        public (ushort Tenant, string Id) Create(IdBytes alternate) => (alternate.Tenant, Encoding.UTF8.GetString(alternate.Id));
    }
}
