using System.Numerics;
using System.Runtime.InteropServices;

namespace Millrace.Processing.Latest;

/// <summary>
/// Native memory for the entries of one shard: classes of capacity cut from 1 MB slabs, freed entries reused by their
/// class. The garbage collector never sees them. Not thread-safe: the shard's lock covers it.
/// </summary>
internal sealed unsafe class EntrySlabs : IDisposable
{
    private const int SlabBytes = 1 << 20;

    /// <summary>Larger entries get memory of their own: cut from slabs they would waste too much of the last one.</summary>
    private const int ClassedMax = 32 << 10;

    /// <summary>Up to here classes are 16 bytes apart, beyond eight to an octave: at most an eighth is wasted.</summary>
    private const int FineMax = 512;

    private const int FineClasses = FineMax / 16 + 1;

    private readonly nint[] _free = new nint[FineClasses + 6 * 8];
    private readonly List<nint> _slabs = [];
    private readonly HashSet<nint> _own = [];
    private byte* _next;
    private int _left;

    /// <summary>Native memory taken from the system.</summary>
    public long Bytes { get; private set; }

    /// <summary>Memory for <paramref name="bytes"/>, aligned to 16; <paramref name="capacity"/> is what it really holds.</summary>
    public byte* Take(int bytes, out int capacity)
    {
        if (bytes > ClassedMax)
            return TakeOwn(bytes, out capacity);
        var number = ClassOf(bytes, out capacity);
        if (_free[number] is not 0 and var free)
        {
            _free[number] = *(nint*)free;
            return (byte*)free;
        }

        if (_left < capacity)
            AddSlab();
        var taken = _next;
        _next += capacity;
        _left -= capacity;
        return taken;
    }

    public void Return(byte* entry, int capacity)
    {
        if (capacity > ClassedMax)
        {
            _own.Remove((nint)entry);
            NativeMemory.AlignedFree(entry);
            Bytes -= capacity;
            return;
        }

        var number = ClassOf(capacity, out _);
        *(nint*)entry = _free[number];
        _free[number] = (nint)entry;
    }

    public void Dispose()
    {
        foreach (var slab in _slabs)
            NativeMemory.AlignedFree((void*)slab);
        foreach (var entry in _own)
            NativeMemory.AlignedFree((void*)entry);
        _slabs.Clear();
        _own.Clear();
    }

    private byte* TakeOwn(int bytes, out int capacity)
    {
        capacity = (bytes + 4095) & ~4095;
        var entry = Allocate(capacity);
        _own.Add((nint)entry);
        return entry;
    }

    private void AddSlab()
    {
        _next = Allocate(SlabBytes);
        _left = SlabBytes;
        _slabs.Add((nint)_next);
    }

    private byte* Allocate(int bytes)
    {
        var memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        // The index keeps 16 bits of hash above the address. Linux gives higher addresses only to those who ask for them.
        if ((ulong)memory >> 48 != 0)
            throw new PlatformNotSupportedException("the system gives memory above 256 TiB of address space");
        Bytes += bytes;
        return memory;
    }

    private static int ClassOf(int bytes, out int capacity)
    {
        if (bytes <= FineMax)
        {
            var number = (bytes + 15) / 16;
            capacity = number * 16;
            return number;
        }

        var shift = BitOperations.Log2((uint)bytes - 1) - 3;
        var steps = ((bytes - 1) >> shift) + 1;              // 9..16 steps of 2^shift
        capacity = steps << shift;
        return FineClasses + (shift - 6) * 8 + (steps - 9);
    }
}
