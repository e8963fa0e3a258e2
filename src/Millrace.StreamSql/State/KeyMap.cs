using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>
/// Encoded keys → dense numbers 0, 1, 2 …, in order of first appearance. Hot. Open addressing over 4-byte slots; keys lie
/// behind each other in 64 KiB blocks, so a key costs its bytes plus about 18 and the collector sees a few large arrays.
/// </summary>
internal sealed class KeyMap
{
    private const int BlockBits = 16;
    private const int BlockBytes = 1 << BlockBits;
    private const int ChunkBits = 12;
    private const int ChunkMask = (1 << ChunkBits) - 1;

    private readonly List<byte[]> blocks = [];
    private readonly List<byte[]> large = [];
    private readonly List<(uint Hash, int Place)[]> entries = [];
    private int[] slots = NewSlots(16);
    private int used;          // bytes used of the last block
    private int block = -1;

    public int Count { get; private set; }

    /// <summary>Bytes held, for memory estimates.</summary>
    public long HeldBytes
        => (blocks.Count * (long)BlockBytes) + (slots.Length * 4L) + ((long)entries.Count << (ChunkBits + 3)) + large.Sum(l => (long)l.Length);

    public static uint HashOf(ReadOnlySpan<byte> key) => (uint)KeyWriter.Hash(key);

    public int Find(ReadOnlySpan<byte> key, uint hash)
    {
        var mask = slots.Length - 1;
        for (var slot = (int)hash & mask; ; slot = (slot + 1) & mask)
        {
            var entry = slots[slot];
            if (entry < 0)
                return -1;
            if (HashAt(entry) == hash && KeyAt(entry).SequenceEqual(key))
                return entry;
        }
    }

    public int GetOrAdd(ReadOnlySpan<byte> key, uint hash, out bool added)
    {
        var mask = slots.Length - 1;
        var slot = (int)hash & mask;
        for (; ; slot = (slot + 1) & mask)
        {
            var entry = slots[slot];
            if (entry < 0)
                break;
            if (HashAt(entry) == hash && KeyAt(entry).SequenceEqual(key))
            {
                added = false;
                return entry;
            }
        }

        added = true;
        var number = Count++;
        if ((number >> ChunkBits) >= entries.Count)
            entries.Add(new (uint, int)[entries.Count == 0 && Count < 8 ? 1 << ChunkBits : 1 << ChunkBits]);
        entries[number >> ChunkBits][number & ChunkMask] = (hash, Store(key));
        slots[slot] = number;
        if (Count * 3L > slots.Length * 2L)
            Rehash(slots.Length * 2);
        return number;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint HashAt(int entry) => entries[entry >> ChunkBits][entry & ChunkMask].Hash;

    public ReadOnlySpan<byte> KeyAt(int entry)
    {
        var (bytes, offset, length) = Locate(entry);
        return bytes.AsSpan(offset, length);
    }

    /// <summary>Where the key of an entry lies: for decoding its values without a copy.</summary>
    public (byte[] Bytes, int Offset, int Length) Locate(int entry)
    {
        var place = entries[entry >> ChunkBits][entry & ChunkMask].Place;
        if (place < 0)
            return (large[~place], 0, large[~place].Length);
        var bytes = blocks[place >> BlockBits];
        var offset = place & (BlockBytes - 1);
        return (bytes, offset + 2, BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(offset)));
    }

    private int Store(ReadOnlySpan<byte> key)
    {
        if (key.Length > BlockBytes / 4 || block >= short.MaxValue - 1)
        {
            large.Add(key.ToArray());
            return ~(large.Count - 1);
        }

        if (block < 0 || used + key.Length + 2 > BlockBytes)
        {
            block++;
            used = 0;
            if (block == blocks.Count)
                blocks.Add(new byte[BlockBytes]);
        }

        var place = (block << BlockBits) | used;
        BinaryPrimitives.WriteUInt16LittleEndian(blocks[block].AsSpan(used), (ushort)key.Length);
        key.CopyTo(blocks[block].AsSpan(used + 2));
        used += key.Length + 2;
        return place;
    }

    private void Rehash(int size)
    {
        slots = NewSlots(size);
        var mask = size - 1;
        for (var entry = 0; entry < Count; entry++)
        {
            var slot = (int)HashAt(entry) & mask;
            while (slots[slot] >= 0)
                slot = (slot + 1) & mask;
            slots[slot] = entry;
        }
    }

    private static int[] NewSlots(int size)
    {
        var result = new int[size];
        Array.Fill(result, -1);
        return result;
    }

    /// <summary>Forgets all keys and keeps the memory.</summary>
    public void Clear()
    {
        Count = 0;
        block = -1;
        used = 0;
        large.Clear();
        Array.Fill(slots, -1);
    }
}
