using System.Buffers;
using System.Text;
using Millrace.Core;

namespace Millrace.Processing.Latest;

/// <summary>What the table knows of an id.</summary>
public enum DeviceStanding
{
    Unknown,
    Known,

    /// <summary>Removed by somebody; its readings are refused until it is added again.</summary>
    Blocked,
}

/// <summary>A device and when something of it last arrived (µs; 0 for never).</summary>
public readonly record struct DeviceSeen(string Id, long LastSeenAt);

/// <summary>
/// All known devices and their newest readings, in native memory: about 90 bytes per device and text reading. One shard
/// per partition of the log. Updates come from the view that owns the table; reading is safe from any thread and costs a
/// short lock. The number of devices is bounded: beyond <see cref="Max"/> a new id's readings leave no trace here.
/// </summary>
public sealed unsafe class DeviceTable : IDisposable
{
    /// <summary>Buckets looked at in one holding of a shard's lock during walks.</summary>
    private const int WalkBuckets = 512;

    private readonly DeviceShard[] _shards;
    private readonly GroupVisitor _apply;
    private IDeviceRegistry? _registry;
    private long _known;
    private long _blocked;
    private long _refused;
    private long _enrolled;

    public DeviceTable(int partitions, long max)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(partitions, 1);
        _shards = [.. Enumerable.Range(0, partitions).Select(_ => new DeviceShard())];
        Max = max;
        _apply = (shard, records, offsets, hashes, sequence, receivedAt) => shard.Apply(records, offsets, hashes, sequence, receivedAt, this);
    }

    /// <summary>Devices taken at most.</summary>
    public long Max { get; }

    public int Partitions => _shards.Length;

    /// <summary>Devices known and not blocked, over all tenants.</summary>
    public long Count => Interlocked.Read(ref _known);

    public long BlockedCount => Interlocked.Read(ref _blocked);

    /// <summary>Readings that left no trace because the table was full.</summary>
    public long RefusedReadings => Interlocked.Read(ref _refused);

    /// <summary>Native memory held.</summary>
    public long Bytes => _shards.Sum(s => s.Bytes);

    internal DeviceShard[] Shards => _shards;

    /// <summary>
    /// Takes every id of the registry and follows its changes from now on. Called once, before anybody is asked for
    /// admission. What the registry does not hold and a snapshot did stays until it is enrolled.
    /// </summary>
    public void Follow(IDeviceRegistry registry)
    {
        ArgumentNullException.ThrowIfNull(registry);
        _registry = registry;
        registry.Changed += OnChanged;
        foreach (var device in registry.AllIds())
            Ensure(device.Tenant, device.Id, device.Blocked, enrolled: true, device.CountsFrom);
    }

    /// <summary>Takes in a block of the shard's partition, in order; seen ones again without effect. One caller at a time.</summary>
    public void Apply(LogBlock block)
    {
        ArgumentNullException.ThrowIfNull(block);
        VisitGroups(block, _apply);
    }

    /// <summary>Shows a block's records in groups whose buckets are on their way from memory, with the shard's lock held.</summary>
    internal void VisitGroups(LogBlock block, GroupVisitor visit)
    {
        var shard = _shards[block.Partition];
        Span<int> offsets = stackalloc int[DeviceShard.Group];
        Span<ulong> hashes = stackalloc ulong[DeviceShard.Group];
        var rest = block.Records.Span;
        var (sequence, receivedAt, offset) = (block.FirstSequence, block.FirstReceivedAt, 0);
        fixed (byte* records = rest)
        {
            while (true)
            {
                var count = 0;
                while (count < DeviceShard.Group && ReadingRecord.TryMeasure(rest[offset..], out var length))
                {
                    var record = new ReadingRecord(rest.Slice(offset, length), 0, 0);
                    offsets[count] = offset;
                    hashes[count] = DeviceIds.Hash(record.Tenant, record.Id);
                    shard.PrefetchBucket(hashes[count]);
                    count++;
                    offset += length;
                }

                if (count == 0)
                    return;
                lock (shard.Gate)
                    visit(shard, records, offsets[..count], hashes[..count], sequence, receivedAt);
                sequence += count;
                receivedAt += count;
            }
        }
    }

    /// <summary>Copies the newest reading of a device as its record; false when it has none or is blocked.</summary>
    public bool TryRead(ushort tenant, ReadOnlySpan<byte> id, IBufferWriter<byte> record, out ReadingPlace place)
    {
        ArgumentNullException.ThrowIfNull(record);
        var shard = ShardOf(tenant, id, out var hash, out var partition);
        place = default;
        // Room is made outside the lock; a record that grew meanwhile is simply asked for again.
        var room = 512;
        while (true)
        {
            var target = record.GetSpan(room);
            lock (shard.Gate)
            {
                var entry = shard.Find(tenant, id, hash);
                if (entry is null || (entry->State & (EntryState.HasReading | EntryState.Blocked)) != EntryState.HasReading)
                    return false;
                var bytes = DeviceShard.RecordOf(entry);
                room = bytes.Length;
                if (room <= target.Length)
                {
                    bytes.CopyTo(target);
                    place = new ReadingPlace(partition, entry->Sequence, entry->ReceivedAt);
                }
            }

            if (room > target.Length)
                continue;
            record.Advance(room);
            return true;
        }
    }

    public DeviceStanding Standing(ushort tenant, ReadOnlySpan<byte> id)
    {
        var shard = ShardOf(tenant, id, out var hash, out _);
        lock (shard.Gate)
        {
            var entry = shard.Find(tenant, id, hash);
            return entry is null ? DeviceStanding.Unknown
                : (entry->State & EntryState.Blocked) != 0 ? DeviceStanding.Blocked : DeviceStanding.Known;
        }
    }

    /// <summary>When something of the device last arrived (µs), also if it was late; null when never.</summary>
    public long? LastSeen(ushort tenant, ReadOnlySpan<byte> id)
    {
        var shard = ShardOf(tenant, id, out var hash, out _);
        lock (shard.Gate)
        {
            var entry = shard.Find(tenant, id, hash);
            return entry is null || (entry->State & EntryState.Blocked) != 0 || entry->LastSeenAt == 0 ? null : entry->LastSeenAt;
        }
    }

    /// <summary>
    /// A page of the devices not heard since <paramref name="before"/> (µs), the longest silent first, those never heard
    /// at the very front. Walks the table once, about 50 ms per million devices, and keeps no more than the page.
    /// </summary>
    /// <param name="after">The last device of the page before, or null.</param>
    public IReadOnlyList<DeviceSeen> Silent(ushort tenant, long before, DeviceSeen? after, int limit) =>
        SeenWalk.Run(this, tenant, before, after, limit, lastHeardFirst: false);

    /// <summary>As <see cref="Silent"/>, the last heard first.</summary>
    public IReadOnlyList<DeviceSeen> LastHeard(ushort tenant, long before, DeviceSeen? after, int limit) =>
        SeenWalk.Run(this, tenant, before, after, limit, lastHeardFirst: true);

    /// <summary>Devices heard at or after <paramref name="since"/> (µs). Walks the table once, as <see cref="Silent"/> does.</summary>
    public long CountHeard(ushort tenant, long since)
    {
        long heard = 0;
        foreach (var shard in _shards)
        {
            var before = heard;
            // A shard that grew meanwhile is counted anew.
            while (!Walk(shard, Look, CancellationToken.None))
                heard = before;
        }

        return heard;

        void Look(EntryHead* entry)
        {
            if ((entry->State & EntryState.Blocked) == 0 && entry->LastSeenAt >= since && new ReadingRecord(DeviceShard.RecordOf(entry), 0, 0).Tenant == tenant)
                heard++;
        }
    }

    /// <summary>Copies of the newest readings of at most <paramref name="max"/> devices, spread over the table: by the hash of their ids.</summary>
    public IReadOnlyList<byte[]> Sample(ushort tenant, int max)
    {
        List<byte[]> records = [];
        foreach (var shard in _shards)
        {
            var end = Math.Min(max, records.Count + ((max + _shards.Length - 1) / _shards.Length));
            for (uint bucket = 0; bucket < shard.Buckets && records.Count < end; bucket += WalkBuckets)
            {
                lock (shard.Gate)
                {
                    for (var i = bucket; i < Math.Min(bucket + WalkBuckets, shard.Buckets) && records.Count < end; i++)
                    {
                        var entry = shard.EntryIn(i);
                        if (entry is null || (entry->State & (EntryState.HasReading | EntryState.Blocked)) != EntryState.HasReading)
                            continue;
                        var bytes = DeviceShard.RecordOf(entry);
                        if (new ReadingRecord(bytes, 0, 0).Tenant == tenant)
                            records.Add(bytes.ToArray());
                    }
                }
            }
        }

        return records;
    }

    /// <summary>Makes a device known, or changes whether it is blocked.</summary>
    public void Ensure(ushort tenant, ReadOnlySpan<byte> id, bool blocked) => Ensure(tenant, id, blocked, enrolled: false);

    public void Dispose()
    {
        if (_registry is not null)
            _registry.Changed -= OnChanged;
        foreach (var shard in _shards)
            shard.Dispose();
    }

    /// <summary>Devices the registry holds, without blocked ones.</summary>
    internal long EnrolledCount => Interlocked.Read(ref _enrolled);

    /// <summary>Told after the registry's transaction.</summary>
    internal void MarkEnrolled(ushort tenant, ReadOnlySpan<byte> id)
    {
        var shard = ShardOf(tenant, id, out var hash, out _);
        lock (shard.Gate)
            shard.Ensure(tenant, id, hash, this, null, enrolled: true);
    }

    internal bool TryAddKnown()
    {
        if (Interlocked.Increment(ref _known) <= Max)
            return true;
        Interlocked.Decrement(ref _known);
        Interlocked.Increment(ref _refused);
        return false;
    }

    internal void AddKnown(int devices) => Interlocked.Add(ref _known, devices);

    internal void AddEnrolled(int devices) => Interlocked.Add(ref _enrolled, devices);

    internal void AddBlocked(int devices) => Interlocked.Add(ref _blocked, devices);

    /// <summary>Shows every entry of a shard to <paramref name="visit"/>, in slices under the lock; updates go on between them.</summary>
    /// <returns>False when the buckets moved meanwhile: start over.</returns>
    /// <param name="between">Called between slices, without the lock.</param>
    internal static bool Walk(DeviceShard shard, EntryVisitor visit, CancellationToken cancel, Action? between = null)
    {
        var generation = shard.Generation;
        for (uint bucket = 0; ;)
        {
            cancel.ThrowIfCancellationRequested();
            lock (shard.Gate)
            {
                if (shard.Generation != generation)
                    return false;
                var end = Math.Min(bucket + WalkBuckets, shard.Buckets);
                for (; bucket < end; bucket++)
                {
                    var entry = shard.EntryIn(bucket);
                    if (entry is not null)
                        visit(entry);
                }

                if (bucket == shard.Buckets)
                    return true;
            }

            between?.Invoke();
        }
    }

    /// <param name="countsFrom">When a removed device was added again, µs, or 0.</param>
    internal void Ensure(ushort tenant, ReadOnlySpan<byte> id, bool blocked, bool enrolled, long countsFrom = 0)
    {
        var shard = ShardOf(tenant, id, out var hash, out _);
        lock (shard.Gate)
        {
            shard.Ensure(tenant, id, hash, this, blocked, enrolled);
            if (countsFrom > 0 && !blocked)
                shard.CountFrom(tenant, id, hash, countsFrom);
        }
    }

    private void OnChanged(DeviceEvent device)
    {
        Span<byte> id = stackalloc byte[DeviceIds.LengthMax];
        if (Encoding.UTF8.TryGetBytes(device.Id, id, out var length))
            Ensure(device.Tenant, id[..length], device.Blocked, enrolled: true, device.CountsFrom);
    }

    private DeviceShard ShardOf(ushort tenant, ReadOnlySpan<byte> id, out ulong hash, out int partition)
    {
        hash = DeviceIds.Hash(tenant, id);
        partition = DeviceIds.PartitionOf(hash, _shards.Length);
        return _shards[partition];
    }
}

/// <summary>Sees one entry; called with the shard's lock held.</summary>
internal unsafe delegate void EntryVisitor(EntryHead* entry);

/// <summary>Sees a group of records of one shard; called with the shard's lock held.</summary>
internal unsafe delegate void GroupVisitor(
    DeviceShard shard, byte* records, ReadOnlySpan<int> offsets, ReadOnlySpan<ulong> hashes, long firstSequence, long firstReceivedAt);
