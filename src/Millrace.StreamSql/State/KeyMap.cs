using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>
/// Numbers keys 0, 1, 2 …, in order of first appearance, and keeps a few words with each. Hot. Open addressing; a slot holds
/// the hash beside the place of the key's record, so a search touches a record only when the hashes agree, and with many keys
/// costs two reads from memory. Records lie behind each other in 64 KiB blocks: the collector sees a few large arrays.
/// </summary>
/// <remarks>A record: number (4 bytes), length of the key (4), the words, the key; filled up to 8 bytes.</remarks>
internal sealed class KeyMap(int words = 0, bool isDense = false)
{
    private const int BlockBits = 16;
    private const int BlockBytes = 1 << BlockBits;
    private const ulong Empty = ulong.MaxValue;
    private const int FirstBlockBytes = 128;

    // Slots in use at most. Where keys stay they may be dense: adding one takes longer, finding it hardly does.
    private const double LoadUsual = 2 / 3.0;
    private const double LoadDense = 0.8;

    /// <summary>Places count units of 8 bytes, so that 32 bits reach far.</summary>
    private const int UnitBits = 3;
    private const int UnitsMask = (BlockBytes >> UnitBits) - 1;
    private const int HeaderBytes = 8;

    private readonly int payloadBytes = words * 8;
    private readonly List<byte[]> blocks = [];
    private readonly List<byte[]> spare = [];
    private readonly Chunked<int> places = new();
    private ulong[] slots = NewSlots(16);       // hash in the high half, place in the low one; all ones: empty
    private int used;          // bytes used of the block that grows
    private int growing = -1;

    public int Count { get; private set; }

    /// <summary>Bytes held, for memory estimates.</summary>
    public long HeldBytes
        => blocks.Sum(b => (long)b.Length) + spare.Sum(b => (long)b.Length) + (slots.Length * 8L) + places.HeldBytes;

    public static uint HashOf(ReadOnlySpan<byte> key) => (uint)KeyWriter.Hash(key);

    /// <summary>Number of a key, −1 when it is not there.</summary>
    public int Find(ReadOnlySpan<byte> key, uint hash) => FindPlace(key, hash) is >= 0 and var place ? NumberAt(place) : -1;

    public int GetOrAdd(ReadOnlySpan<byte> key, uint hash, out bool added) => NumberAt(PlaceOf(key, hash, out added));

    /// <summary>Place of a key's record, −1 when it is not there. Places stay until <see cref="Clear"/>.</summary>
    public int FindPlace(ReadOnlySpan<byte> key, uint hash) => slots[SlotOf(key, hash)] is not Empty and var found ? (int)found : -1;

    /// <summary>The slot that holds a key, or the empty one where it belongs.</summary>
    private int SlotOf(ReadOnlySpan<byte> key, uint hash)
    {
        var slots = this.slots;
        var mask = slots.Length - 1;
        for (var slot = (int)hash & mask; ; slot = (slot + 1) & mask)
        {
            var found = slots[slot];
            if (found == Empty || ((uint)(found >> 32) == hash && KeyAtPlace((int)found).SequenceEqual(key)))
                return slot;
        }
    }

    /// <summary>Place of a key's record; a new one's words are 0.</summary>
    public int PlaceOf(ReadOnlySpan<byte> key, uint hash, out bool added)
    {
        var slot = SlotOf(key, hash);
        var found = slots[slot];
        added = found == Empty;
        if (!added)
            return (int)found;
        if (Count + 1 > slots.Length * (isDense ? LoadDense : LoadUsual))
        {
            Grow();
            slot = SlotOf(key, hash);
        }

        var place = Store(key);
        slots[slot] = ((ulong)hash << 32) | (uint)place;
        places.Add(Count);
        places.One(Count++) = place;
        return place;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref byte RecordAt(int place)
        => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(blocks[place >> (BlockBits - UnitBits)]), (place & UnitsMask) << UnitBits);

    public int NumberAt(int place) => Unsafe.ReadUnaligned<int>(ref RecordAt(place));

    public int PlaceOf(int number) => places.One(number);

    /// <summary>The words kept with a key.</summary>
    public Span<ulong> WordsAt(int place)
        => MemoryMarshal.CreateSpan(ref Unsafe.As<byte, ulong>(ref Unsafe.Add(ref RecordAt(place), HeaderBytes)), words);

    public ReadOnlySpan<byte> KeyAtPlace(int place)
    {
        ref var record = ref RecordAt(place);
        return MemoryMarshal.CreateReadOnlySpan(
            ref Unsafe.Add(ref record, HeaderBytes + payloadBytes), Unsafe.ReadUnaligned<int>(ref Unsafe.Add(ref record, 4)));
    }

    public ReadOnlySpan<byte> KeyAt(int number) => KeyAtPlace(places.One(number));

    /// <summary>Where the key of a record lies: for decoding its values without a copy.</summary>
    public (byte[] Bytes, int Offset) Locate(int place)
        => (blocks[place >> (BlockBits - UnitBits)], ((place & UnitsMask) << UnitBits) + HeaderBytes + payloadBytes);

    /// <summary>Asks for the slot of a key that will be looked up soon.</summary>
    public unsafe void PrefetchSlot(uint hash)
    {
        // The address may move before it is used; then the line was asked for in vain, and nothing else.
        if (Sse.IsSupported)
            Sse.Prefetch0(Unsafe.AsPointer(ref slots[(int)hash & (slots.Length - 1)]));
    }

    /// <summary>Asks for the record that the slot tells of; for the slot itself it should have been asked a while ago.</summary>
    public void PrefetchRecord(uint hash)
    {
        var found = slots[(int)hash & (slots.Length - 1)];
        if (found != Empty)
            PrefetchPlace((int)found);
    }

    /// <summary>Asks for a record that will be used soon.</summary>
    public unsafe void PrefetchPlace(int place)
    {
        if (!Sse.IsSupported)
            return;
        var record = (byte*)Unsafe.AsPointer(ref RecordAt(place));
        Sse.Prefetch0(record);
        Sse.Prefetch0(record + 64);
    }

    private int Store(ReadOnlySpan<byte> key)
    {
        var size = (HeaderBytes + payloadBytes + key.Length + 7) & ~7;
        int place;
        if (size > BlockBytes / 4)
        {
            // A block of its own; the one that grows goes on growing.
            blocks.Add(new byte[Math.Max(size, BlockBytes + 8)]);
            place = (blocks.Count - 1) << (BlockBits - UnitBits);
        }
        else
        {
            if (growing < 0 || used + size > BlockBytes)
                NextBlock();
            if (used + size > blocks[growing].Length)
            {
                // Only the first block starts small.
                var larger = blocks[growing];
                Array.Resize(ref larger, Math.Min(BlockBytes, Math.Max(larger.Length * 2, used + size)));
                blocks[growing] = larger;
            }

            place = (growing << (BlockBits - UnitBits)) | (used >> UnitBits);
            used += size;
        }

        ref var record = ref RecordAt(place);
        Unsafe.WriteUnaligned(ref record, Count);
        Unsafe.WriteUnaligned(ref Unsafe.Add(ref record, 4), key.Length);
        WordsAt(place).Clear();
        key.CopyTo(MemoryMarshal.CreateSpan(ref Unsafe.Add(ref record, HeaderBytes + payloadBytes), key.Length));
        return place;
    }

    private void NextBlock()
    {
        growing = blocks.Count;
        used = 0;
        if (spare.Count > 0)
        {
            blocks.Add(spare[^1]);
            spare.RemoveAt(spare.Count - 1);
        }
        else
        {
            blocks.Add(new byte[blocks.Count == 0 ? FirstBlockBytes : BlockBytes]);
        }
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

    /// <summary>Forgets all keys and keeps the memory, except that of very long keys.</summary>
    public void Clear()
    {
        Count = 0;
        growing = -1;
        used = 0;
        for (var index = blocks.Count - 1; index >= 0; index--)
        {
            if (blocks[index].Length <= BlockBytes)
                spare.Add(blocks[index]);
        }

        blocks.Clear();
        Array.Fill(slots, Empty);
    }
}
