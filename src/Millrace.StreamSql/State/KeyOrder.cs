using System.Buffers.Binary;

namespace Millrace.StreamSql.State;

/// <summary>
/// Sorts the keys of several maps by their bytes. Keys of one query begin alike (tag, name of the fleet), so the bytes that
/// all have in common are skipped and the next eight decide as one number; only what is then still equal is compared in full.
/// </summary>
internal sealed class KeyOrder
{
    private ulong[] prefixes = [];
    private long[] items = [];

    /// <summary>Sorts all keys of all maps; the result holds map and number of each key, valid until the next call.</summary>
    public ReadOnlySpan<long> Sort(IReadOnlyList<KeyMap> maps)
    {
        var count = 0;
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
                prefixes[next] = Prefix(maps[map].KeyAt(number), skip);
                items[next++] = Item(map, number);
            }
        }

        Array.Sort(prefixes, items, 0, count);
        SortRuns(maps, count);
        return items.AsSpan(0, count);
    }

    public static int MapOf(long item) => (int)(item >> 32);

    public static int NumberOf(long item) => (int)item;

    private static long Item(int map, int number) => ((long)map << 32) | (uint)number;

    private static int CommonBytes(IReadOnlyList<KeyMap> maps)
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

    private void SortRuns(IReadOnlyList<KeyMap> maps, int count)
    {
        for (var start = 0; start < count;)
        {
            var end = start + 1;
            while (end < count && prefixes[end] == prefixes[start])
                end++;
            if (end - start > 1)
            {
                items.AsSpan(start, end - start).Sort((a, b) =>
                    maps[MapOf(a)].KeyAt(NumberOf(a)).SequenceCompareTo(maps[MapOf(b)].KeyAt(NumberOf(b))));
            }

            start = end;
        }
    }
}
