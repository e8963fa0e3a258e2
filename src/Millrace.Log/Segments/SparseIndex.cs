using System.Buffers.Binary;
using Millrace.Core;
using Millrace.Log.Format;

namespace Millrace.Log.Segments;

/// <summary>One block of a partition: where it lies in its segment file and what it begins with.</summary>
internal readonly record struct IndexEntry(long Sequence, long ReceivedAt, long Offset);

/// <summary>
/// Finds places in one segment without reading it: the first block of each partition and one per 64 KiB of it after that
/// (docs/formats/log.md). Thread-safe: the active segment's index grows while it is read.
/// </summary>
internal sealed class SparseIndex(int partitions)
{
    private const int SpacingBytes = 64 << 10;
    private const int FixedBytes = 48;
    private const int EntryBytes = 24;
    private const ushort Version = 1;

    private readonly Lock _gate = new();
    private readonly List<IndexEntry>[] _entries = [.. Enumerable.Range(0, partitions).Select(_ => new List<IndexEntry>())];
    private readonly long[] _bytesSince = new long[partitions];

    private static ReadOnlySpan<byte> Magic => "MILLRIDX"u8;

    public void Add(in BlockHeader block, long offset)
    {
        lock (_gate)
        {
            var entries = _entries[block.Partition];
            ref var since = ref _bytesSince[block.Partition];
            if (entries.Count == 0 || since >= SpacingBytes)
            {
                entries.Add(new IndexEntry(block.FirstSequence, block.FirstReceivedAt, offset));
                since = 0;
            }

            since += block.TotalLength;
        }
    }

    /// <summary>Forgets what lies at or behind an offset at which the file was cut.</summary>
    public void Cut(long offset)
    {
        lock (_gate)
        {
            for (var p = 0; p < partitions; p++)
            {
                _entries[p].RemoveAll(e => e.Offset >= offset);
                _bytesSince[p] = SpacingBytes;
            }
        }
    }

    /// <summary>The last entry of the partition at or before the sequence, else its first, else null.</summary>
    public IndexEntry? AtSequence(int partition, long sequence)
    {
        lock (_gate)
            return Last(_entries[partition], sequence, static (entry, sequence) => entry.Sequence <= sequence) ?? First(partition);
    }

    /// <summary>The last entry of the partition that began before the time, or null when none did.</summary>
    public IndexEntry? BeforeTime(int partition, long receivedAt)
    {
        lock (_gate)
            return Last(_entries[partition], receivedAt, static (entry, time) => entry.ReceivedAt < time);
    }

    /// <summary>A place at or before the first block that a reader at <paramref name="from"/> wants.</summary>
    /// <param name="end">The vector at the segment's end.</param>
    /// <returns>Null when it wants nothing of this segment.</returns>
    public long? OffsetFor(PositionVector from, PositionVector end)
    {
        long? offset = null;
        for (var p = 0; p < partitions; p++)
        {
            if (from[p] < end[p] && AtSequence(p, from[p]) is { } entry && !(offset <= entry.Offset))
                offset = entry.Offset;
        }

        return offset;
    }

    public byte[] ToBytes(ulong salt, long basePosition, long segmentLength, long lastReceivedAt, PositionVector end)
    {
        lock (_gate)
        {
            var bytes = new byte[FixedBytes + (12 * partitions) + (EntryBytes * _entries.Sum(e => e.Count))];
            Magic.CopyTo(bytes);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), Version);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), (ushort)partitions);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), salt);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), basePosition);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(32), segmentLength);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(40), lastReceivedAt);
            Vectors.Write(end, bytes.AsSpan(FixedBytes));
            var rest = bytes.AsSpan(FixedBytes + (8 * partitions));
            foreach (var entries in _entries)
            {
                BinaryPrimitives.WriteInt32LittleEndian(rest, entries.Count);
                rest = rest[4..];
            }

            foreach (var entry in _entries.SelectMany(e => e))
            {
                BinaryPrimitives.WriteInt64LittleEndian(rest, entry.Sequence);
                BinaryPrimitives.WriteInt64LittleEndian(rest[8..], entry.ReceivedAt);
                BinaryPrimitives.WriteInt64LittleEndian(rest[16..], entry.Offset);
                rest = rest[EntryBytes..];
            }

            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Checksum(bytes));
            return bytes;
        }
    }

    /// <summary>Null when the bytes are not the whole index of exactly this segment.</summary>
    public static SparseIndex? Read(ReadOnlySpan<byte> bytes, int partitions, ulong salt, long basePosition, long segmentLength)
    {
        var head = FixedBytes + (12 * partitions);
        if (bytes.Length < head || !bytes.StartsWith(Magic)
            || BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]) != Version
            || BinaryPrimitives.ReadUInt16LittleEndian(bytes[10..]) != partitions
            || BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]) != salt
            || BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]) != basePosition
            || BinaryPrimitives.ReadInt64LittleEndian(bytes[32..]) != segmentLength
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]) != Checksum(bytes))
            return null;

        var index = new SparseIndex(partitions);
        var rest = bytes[head..];
        for (var p = 0; p < partitions; p++)
        {
            var count = BinaryPrimitives.ReadInt32LittleEndian(bytes[(FixedBytes + (8 * partitions) + (4 * p))..]);
            for (var i = 0; i < count && rest.Length >= EntryBytes; i++, rest = rest[EntryBytes..])
            {
                index._entries[p].Add(new IndexEntry(
                    BinaryPrimitives.ReadInt64LittleEndian(rest),
                    BinaryPrimitives.ReadInt64LittleEndian(rest[8..]),
                    BinaryPrimitives.ReadInt64LittleEndian(rest[16..])));
            }
        }

        return index;
    }

    private IndexEntry? First(int partition) => _entries[partition].Count > 0 ? _entries[partition][0] : null;

    private static IndexEntry? Last(List<IndexEntry> entries, long key, Func<IndexEntry, long, bool> holds)
    {
        var (low, high) = (0, entries.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (holds(entries[middle], key))
                low = middle + 1;
            else
                high = middle;
        }

        return low > 0 ? entries[low - 1] : null;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes) =>
        Crc32C.Finish(Crc32C.Continue(Crc32C.Continue(Crc32C.Start, bytes[..12]), bytes[16..]));
}
