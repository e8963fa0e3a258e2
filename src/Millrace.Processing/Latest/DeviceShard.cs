using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Millrace.Core;

namespace Millrace.Processing.Latest;

/// <summary>What is known of a device besides its newest reading.</summary>
[Flags]
internal enum EntryState : byte
{
    None = 0,

    /// <summary>The record is a reading; otherwise it only carries the id.</summary>
    HasReading = 1,

    /// <summary>Removed by somebody: nothing is shown or taken until it is added again.</summary>
    Blocked = 2,

    /// <summary>The registry holds it.</summary>
    Enrolled = 4,

    /// <summary>Added again after it was removed: what arrived before that leaves no trace.</summary>
    AddedAgain = 8,
}

/// <summary>In front of every record in the table; 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EntryHead
{
    public int Capacity;
    public EntryState State;
    public long Sequence;
    public long ReceivedAt;

    /// <summary>Arrival of whatever came last, also when it was late and did not become the newest.</summary>
    public long LastSeenAt;
}

/// <summary>
/// The devices of one partition: open addressing over 8-byte buckets (16 bits of hash, 48 bits of address), entries in
/// native memory. Hot: updates come in groups of 16, whose buckets and entries are prefetched before they are touched.
/// All methods take <see cref="Gate"/> themselves or say that the caller holds it.
/// </summary>
internal sealed unsafe class DeviceShard : IDisposable
{
    internal const int Group = 16;
    private const int BucketsMin = 64;
    private const ulong AddressMask = (1UL << 48) - 1;

    private readonly EntrySlabs _slabs = new();

    /// <summary>By hash of the device: when it was added again after a removal, µs. Few devices ever are.</summary>
    private readonly Dictionary<ulong, long> _countsFrom = [];
    private ulong* _buckets;
    private uint _mask;
    private int _entries;

    public DeviceShard() => AllocateBuckets(BucketsMin);

    public Lock Gate { get; } = new();

    public int Entries => Volatile.Read(ref _entries);

    /// <summary>Raised when buckets move; a walk that sees it change starts over.</summary>
    public int Generation { get; private set; }

    public uint Buckets => _mask + 1;

    public long Bytes => _slabs.Bytes + Buckets * 8L;

    /// <summary>Takes in a group of records, in order. The caller holds the gate.</summary>
    public void Apply(
        byte* records, ReadOnlySpan<int> offsets, ReadOnlySpan<ulong> hashes, long firstSequence, long firstReceivedAt, DeviceTable table)
    {
        foreach (var hash in hashes)
        {
            var word = _buckets[(uint)hash & _mask];
            if (word != 0 && Sse.IsSupported)
            {
                Sse.Prefetch0((byte*)(word & AddressMask));
                Sse.Prefetch0((byte*)(word & AddressMask) + 64);
            }
        }

        for (var i = 0; i < hashes.Length; i++)
        {
            var bytes = records + offsets[i];
            var record = new ReadingRecord(new ReadOnlySpan<byte>(bytes, *(int*)bytes), firstSequence + i, firstReceivedAt + i);
            Put(in record, hashes[i], table);
        }
    }

    /// <summary>Asks the memory for the bucket of a hash before it is needed. Needs no gate: a stale address is only useless.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void PrefetchBucket(ulong hash)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(_buckets + ((uint)hash & _mask));
    }

    /// <summary>Takes in one reading. The caller holds the gate.</summary>
    public void Put(in ReadingRecord record, ulong hash, DeviceTable table)
    {
        var bucket = FindBucket(record.Tenant, record.Id, hash);
        if (_buckets[bucket] == 0)
        {
            if (table.TryAddKnown())
                Insert(hash, record.Bytes, new EntryHead
                {
                    State = EntryState.HasReading,
                    Sequence = record.Sequence,
                    ReceivedAt = record.ReceivedAt,
                    LastSeenAt = record.ReceivedAt,
                });
            return;
        }

        var entry = EntryAt(bucket);
        if ((entry->State & (EntryState.Blocked | EntryState.AddedAgain)) != 0 && !Counts(entry, hash, record.ReceivedAt))
            return;
        entry->LastSeenAt = Math.Max(entry->LastSeenAt, record.ReceivedAt);
        if ((entry->State & EntryState.HasReading) != 0 && !IsNewer(in record, entry))
            return;
        entry = Fit(bucket, entry, record.Bytes.Length);
        entry->State |= EntryState.HasReading;
        entry->Sequence = record.Sequence;
        entry->ReceivedAt = record.ReceivedAt;
        record.Bytes.CopyTo(new Span<byte>(entry + 1, record.Bytes.Length));
    }

    /// <summary>Puts back an entry of a snapshot unless something newer is there. The caller holds the gate.</summary>
    public void Restore(in ReadingRecord record, long lastSeenAt, EntryState state, DeviceTable table)
    {
        var hash = DeviceIds.Hash(record.Tenant, record.Id);
        if ((state & EntryState.HasReading) != 0)
            Put(in record, hash, table);
        else
            Ensure(record.Tenant, record.Id, hash, table, null, enrolled: false);
        var bucket = FindBucket(record.Tenant, record.Id, hash);
        if (_buckets[bucket] != 0 && Counts(EntryAt(bucket), hash, lastSeenAt))
            EntryAt(bucket)->LastSeenAt = Math.Max(EntryAt(bucket)->LastSeenAt, lastSeenAt);
    }

    /// <summary>A removed device was added again: what arrived before, and may still come from a snapshot or the log, leaves no trace. The caller holds the gate.</summary>
    public void CountFrom(ushort tenant, ReadOnlySpan<byte> id, ulong hash, long receivedAt)
    {
        var entry = Find(tenant, id, hash);
        _countsFrom[hash] = receivedAt;
        entry->State |= EntryState.AddedAgain;
        if (entry->ReceivedAt < receivedAt)
            entry->State &= ~EntryState.HasReading;
        if (entry->LastSeenAt < receivedAt)
            entry->LastSeenAt = 0;
    }

    private bool Counts(EntryHead* entry, ulong hash, long receivedAt) =>
        (entry->State & EntryState.Blocked) == 0 && ((entry->State & EntryState.AddedAgain) == 0 || receivedAt >= _countsFrom[hash]);

    /// <summary>Makes a device known; <paramref name="blocked"/> null leaves that as it is. The caller holds the gate.</summary>
    /// <param name="enrolled">The registry holds it now.</param>
    public void Ensure(ushort tenant, ReadOnlySpan<byte> id, ulong hash, DeviceTable table, bool? blocked, bool enrolled)
    {
        var entry = Find(tenant, id, hash);
        if (entry is null)
        {
            // What the registry holds is in the table whatever the limit says; the limit keeps further ones out.
            Span<byte> record = stackalloc byte[ReadingRecord.Measure(id.Length, 0, 0)];
            ReadingRecord.Write(record, tenant, id, 0, PayloadFormat.Text, ReadingFlags.None, Micros.None, [], []);
            Insert(hash, record, default);
            table.AddKnown(1);
            entry = Find(tenant, id, hash);
        }

        var before = entry->State;
        var after = before | (enrolled ? EntryState.Enrolled : EntryState.None);
        if (blocked is { } block && block != ((before & EntryState.Blocked) != 0))
        {
            // A blocked device's reading is gone for good; adding the device again starts with none.
            after = (after & EntryState.Enrolled) | (block ? EntryState.Blocked : EntryState.None);
            entry->LastSeenAt = 0;
            table.AddKnown(block ? -1 : 1);
            table.AddBlocked(block ? 1 : -1);
        }

        entry->State = after;
        table.AddEnrolled(CountsAsEnrolled(after) - CountsAsEnrolled(before));
    }

    private static int CountsAsEnrolled(EntryState state) =>
        (state & (EntryState.Enrolled | EntryState.Blocked)) == EntryState.Enrolled ? 1 : 0;

    /// <summary>The entry of a device or null. The caller holds the gate.</summary>
    public EntryHead* Find(ushort tenant, ReadOnlySpan<byte> id, ulong hash)
    {
        var word = _buckets[FindBucket(tenant, id, hash)];
        return word == 0 ? null : (EntryHead*)(word & AddressMask);
    }

    /// <summary>The entry in a bucket or null, for walks. The caller holds the gate.</summary>
    public EntryHead* EntryIn(uint bucket) => (EntryHead*)(_buckets[bucket] & AddressMask);

    public static ReadOnlySpan<byte> RecordOf(EntryHead* entry) => new(entry + 1, *(int*)(entry + 1));

    /// <summary>Makes room for so many entries at once instead of step by step.</summary>
    public void Reserve(int entries)
    {
        lock (Gate)
        {
            var buckets = Buckets;
            while (entries > buckets / 4 * 3)
                buckets *= 2;
            if (buckets > Buckets)
                Rehash(buckets);
        }
    }

    public void Dispose()
    {
        lock (Gate)
        {
            // Empty, not gone: a request that outlived the server's patience may still look here, and finds nothing.
            NativeMemory.Free(_buckets);
            AllocateBuckets(1);
            _entries = 0;
            Generation++;
            _slabs.Dispose();
        }
    }

    private static bool IsNewer(in ReadingRecord record, EntryHead* entry)
    {
        var held = new ReadingRecord(RecordOf(entry), entry->Sequence, entry->ReceivedAt);
        var (time, heldTime) = (record.EventTime, held.EventTime);
        return time > heldTime || time == heldTime && record.Sequence > entry->Sequence;
    }

    private EntryHead* EntryAt(uint bucket) => (EntryHead*)(_buckets[bucket] & AddressMask);

    private void Insert(ulong hash, ReadOnlySpan<byte> record, EntryHead head)
    {
        if (_entries >= Buckets / 4 * 3)
            Rehash(Buckets * 2);
        var bucket = (uint)hash & _mask;
        while (_buckets[bucket] != 0)
            bucket = (bucket + 1) & _mask;
        var entry = (EntryHead*)_slabs.Take(sizeof(EntryHead) + record.Length, out head.Capacity);
        *entry = head;
        record.CopyTo(new Span<byte>(entry + 1, record.Length));
        _buckets[bucket] = Word(hash, entry);
        _entries++;
    }

    /// <summary>Moves an entry where a record of that length fits and not too much is wasted.</summary>
    private EntryHead* Fit(uint bucket, EntryHead* entry, int recordBytes)
    {
        var needed = sizeof(EntryHead) + recordBytes;
        if (needed <= entry->Capacity && needed >= entry->Capacity / 4)
            return entry;
        var moved = (EntryHead*)_slabs.Take(needed, out var capacity);
        *moved = *entry;
        moved->Capacity = capacity;
        _buckets[bucket] = (_buckets[bucket] & ~AddressMask) | (ulong)moved;
        _slabs.Return((byte*)entry, entry->Capacity);
        return moved;
    }

    /// <summary>The bucket of a device, or the empty one where it would go.</summary>
    private uint FindBucket(ushort tenant, ReadOnlySpan<byte> id, ulong hash)
    {
        var tag = TagOf(hash);
        var bucket = (uint)hash & _mask;
        while (true)
        {
            var word = _buckets[bucket];
            if (word == 0)
                return bucket;
            if ((word & ~AddressMask) == tag)
            {
                var bytes = (byte*)((EntryHead*)(word & AddressMask) + 1);
                if (bytes[7] == id.Length && *(ushort*)(bytes + 8) == tenant
                    && new ReadOnlySpan<byte>(bytes + ReadingRecord.HeaderBytes, id.Length).SequenceEqual(id))
                    return bucket;
            }

            bucket = (bucket + 1) & _mask;
        }
    }

    private void Rehash(uint buckets)
    {
        var old = _buckets;
        var count = Buckets;
        AllocateBuckets(buckets);
        for (uint i = 0; i < count; i++)
        {
            if (old[i] == 0)
                continue;
            var bytes = (byte*)((EntryHead*)(old[i] & AddressMask) + 1);
            var hash = DeviceIds.Hash(*(ushort*)(bytes + 8), new ReadOnlySpan<byte>(bytes + ReadingRecord.HeaderBytes, bytes[7]));
            var bucket = (uint)hash & _mask;
            while (_buckets[bucket] != 0)
                bucket = (bucket + 1) & _mask;
            _buckets[bucket] = old[i];
        }

        NativeMemory.Free(old);
        Generation++;
    }

    private void AllocateBuckets(uint buckets)
    {
        _buckets = (ulong*)NativeMemory.AllocZeroed(buckets, sizeof(ulong));
        _mask = buckets - 1;
    }

    /// <summary>The low half of the hash picks the bucket and its top bits the partition: the tag is from between.</summary>
    private static ulong TagOf(ulong hash) => hash << 16 & ~AddressMask;

    private static ulong Word(ulong hash, EntryHead* entry)
    {
        Debug.Assert(((ulong)entry & ~AddressMask) == 0);
        return TagOf(hash) | (ulong)entry;
    }
}
