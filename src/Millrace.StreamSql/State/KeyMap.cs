using System.Buffers.Binary;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>
/// Encoded keys → dense numbers 0, 1, 2 …, in order of first appearance. Hot. Open addressing; a slot holds the
/// hash beside the number, so a search touches a key's bytes only when the hashes agree. Keys lie behind each other in 64 KiB
/// blocks: a key costs its bytes plus about 20, and the collector sees a few large arrays.
/// </summary>
internal sealed class KeyMap
{
    private const int BlockBits = 16;
    private const int BlockBytes = 1 << BlockBits;
    private const ulong Empty = ulong.MaxValue;
    private const int FirstBlockBytes = 128;

    private readonly List<byte[]> blocks = [];
    private readonly List<byte[]> large = [];
    private readonly Chunked<int> places = new();
    private ulong[] slots = NewSlots(16);       // hash in the high half, number in the low one; all ones: empty
    private int used;          // bytes used of the last block
    private int block = -1;

    public int Count { get; private set; }

    /// <summary>Bytes held, for memory estimates.</summary>
    public long HeldBytes
        => blocks.Sum(b => (long)b.Length) + (slots.Length * 8L) + places.HeldBytes + large.Sum(l => (long)l.Length);

    public static uint HashOf(ReadOnlySpan<byte> key) => (uint)KeyWriter.Hash(key);

    public int Find(ReadOnlySpan<byte> key, uint hash)
    {
        var mask = slots.Length - 1;
        for (var slot = (int)hash & mask; ; slot = (slot + 1) & mask)
        {
            var found = slots[slot];
            if (found == Empty)
                return -1;
            if ((uint)(found >> 32) == hash && KeyAt((int)found).SequenceEqual(key))
                return (int)found;
        }
    }

    public int GetOrAdd(ReadOnlySpan<byte> key, uint hash, out bool added)
    {
        var mask = slots.Length - 1;
        var slot = (int)hash & mask;
        for (; ; slot = (slot + 1) & mask)
        {
            var found = slots[slot];
            if (found == Empty)
                break;
            if ((uint)(found >> 32) == hash && KeyAt((int)found).SequenceEqual(key))
            {
                added = false;
                return (int)found;
            }
        }

        added = true;
        var number = Count++;
        places.Add(number);
        places.One(number) = Store(key);
        slots[slot] = ((ulong)hash << 32) | (uint)number;
        if (Count * 3L > slots.Length * 2L)
            Grow();
        return number;
    }

    public ReadOnlySpan<byte> KeyAt(int entry)
    {
        var (bytes, offset, length) = Locate(entry);
        return bytes.AsSpan(offset, length);
    }

    /// <summary>Where the key of an entry lies: for decoding its values without a copy.</summary>
    public (byte[] Bytes, int Offset, int Length) Locate(int entry)
    {
        var place = places.One(entry);
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
                blocks.Add(new byte[block == 0 ? FirstBlockBytes : BlockBytes]);
        }

        if (used + key.Length + 2 > blocks[block].Length)
        {
            // Only the first block starts small and grows.
            var larger = blocks[block];
            Array.Resize(ref larger, Math.Min(BlockBytes, Math.Max(larger.Length * 2, used + key.Length + 2)));
            blocks[block] = larger;
        }

        var place = (block << BlockBits) | used;
        BinaryPrimitives.WriteUInt16LittleEndian(blocks[block].AsSpan(used), (ushort)key.Length);
        key.CopyTo(blocks[block].AsSpan(used + 2));
        used += key.Length + 2;
        return place;
    }

    private void Grow()
    {
        var old = slots;
        slots = NewSlots(old.Length * 2);
        var mask = slots.Length - 1;
        foreach (var held in old)
        {
            if (held == Empty)
                continue;
            var slot = (int)(held >> 32) & mask;
            while (slots[slot] != Empty)
                slot = (slot + 1) & mask;
            slots[slot] = held;
        }
    }

    private static ulong[] NewSlots(int size)
    {
        var result = new ulong[size];
        Array.Fill(result, Empty);
        return result;
    }

    /// <summary>Forgets all keys and keeps the memory.</summary>
    public void Clear()
    {
        Count = 0;
        block = -1;
        used = 0;
        large.Clear();
        Array.Fill(slots, Empty);
    }
}
