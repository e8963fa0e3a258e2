using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.Intrinsics.X86;

namespace Millrace.StreamSql.State;

/// <summary>
/// Sorts the keys of several maps by their bytes. Keys of one query begin alike (tag, name of the fleet), so the bytes that
/// all have in common are skipped and the next eight decide as one number; only what is then still equal is compared in full.
/// </summary>
internal sealed class KeyOrder
{
    private const int BucketBits = 11;

    /// <summary>From this many keys on, buckets are faster than comparing.</summary>
    private const int BucketSortMin = 512;

    private readonly int[] buckets = new int[1 << BucketBits];
    private ulong[] prefixes = [];
    private ulong[] otherPrefixes = [];
    private long[] items = [];
    private long[] otherItems = [];
    private readonly Comparison<long> byKey;
    private List<KeyMap> compared = [];
    private int count;

    public KeyOrder()
        => byKey = (a, b) => compared[MapOf(a)].KeyAtPlace(PlaceOf(a)).SequenceCompareTo(compared[MapOf(b)].KeyAtPlace(PlaceOf(b)));

    /// <summary>Map and place of each key as sorted last.</summary>
    public ReadOnlySpan<long> Sorted => items.AsSpan(0, count);

    /// <summary>Sorts all keys of all maps; the result holds map and place of each key, valid until the next call.</summary>
    public ReadOnlySpan<long> Sort(List<KeyMap> maps)
    {
        count = 0;
        foreach (var map in maps)
            count += map.Count;
        if (items.Length < count)
        {
            items = new long[Math.Max(count, items.Length * 2)];
            prefixes = new ulong[items.Length];
        }

        var skip = CommonBytes(maps);
        var next = 0;
        for (var map = 0; map < maps.Count; map++)
        {
            for (var number = 0; number < maps[map].Count; number++)
            {
                var place = maps[map].PlaceOf(number);
                prefixes[next] = Prefix(maps[map].KeyAtPlace(place), skip);
                items[next++] = Item(map, place);
            }
        }

        SortByPrefix();
        SortRuns(maps);
        return Sorted;
    }

    /// <summary>
    /// Sorts items by their prefixes. The bits in which keys differ are few, digits of a number as a rule; gathered into one
    /// number they need two or three passes over buckets.
    /// </summary>
    private void SortByPrefix()
    {
        if (count < BucketSortMin || !Bmi2.X64.IsSupported)
        {
            Array.Sort(prefixes, items, 0, count);
            return;
        }

        var all = ulong.MaxValue;
        var any = 0UL;
        foreach (var prefix in prefixes.AsSpan(0, count))
        {
            all &= prefix;
            any |= prefix;
        }

        // Gathering keeps the order: the bits left out are equal in all.
        var differing = any & ~all;
        foreach (ref var prefix in prefixes.AsSpan(0, count))
            prefix = Bmi2.X64.ParallelBitExtract(prefix, differing);
        if (otherItems.Length != items.Length)
        {
            otherItems = new long[items.Length];
            otherPrefixes = new ulong[items.Length];
        }

        for (var shift = 0; shift < BitOperations.PopCount(differing); shift += BucketBits)
        {
            Distribute(shift);
            (prefixes, otherPrefixes) = (otherPrefixes, prefixes);
            (items, otherItems) = (otherItems, items);
        }
    }

    private void Distribute(int shift)
    {
        var mask = (1 << BucketBits) - 1;
        var next = buckets.AsSpan();
        next.Clear();
        foreach (var prefix in prefixes.AsSpan(0, count))
            next[(int)(prefix >> shift) & mask]++;
        var sum = 0;
        foreach (ref var bucket in next)
        {
            (bucket, sum) = (sum, sum + bucket);
        }

        for (var index = 0; index < count; index++)
        {
            var place = next[(int)(prefixes[index] >> shift) & mask]++;
            otherPrefixes[place] = prefixes[index];
            otherItems[place] = items[index];
        }
    }

    public static int MapOf(long item) => (int)(item >> 32);

    public static int PlaceOf(long item) => (int)item;

    private static long Item(int map, int place) => ((long)map << 32) | (uint)place;

    private static int CommonBytes(List<KeyMap> maps)
    {
        ReadOnlySpan<byte> first = default;
        var common = -1;
        foreach (var map in maps)
        {
            for (var number = 0; number < map.Count; number++)
            {
                var key = map.KeyAt(number);
                if (common < 0)
                {
                    first = key;
                    common = key.Length;
                }
                else
                {
                    common = key[..Math.Min(common, key.Length)].CommonPrefixLength(first);
                }
            }
        }

        return Math.Max(common, 0);
    }

    private static ulong Prefix(ReadOnlySpan<byte> key, int skip)
    {
        key = key[skip..];
        if (key.Length >= 8)
            return BinaryPrimitives.ReadUInt64BigEndian(key);
        ulong prefix = 0;
        for (var index = 0; index < key.Length; index++)
            prefix |= (ulong)key[index] << (56 - (index * 8));
        return prefix;
    }

    private void SortRuns(List<KeyMap> maps)
    {
        compared = maps;
        for (var start = 0; start < count;)
        {
            var end = start + 1;
            while (end < count && prefixes[end] == prefixes[start])
                end++;
            if (end - start > 1)
            {
                items.AsSpan(start, end - start).Sort(byKey);
            }

            start = end;
        }
    }
}
