using Millrace.Parquet.Compression;
using Millrace.Parquet.Encodings;

namespace Millrace.Parquet.Writing;

/// <summary>
/// Finds the distinct values of a chunk, in order of appearance, and gives each value its number. Sorted data repeats its
/// predecessor, so that is asked first; the table grows with the entries, since most columns have few. Hot.
/// </summary>
internal sealed class DictionaryBuilder
{
    private const int SlotsMin = 1024;

    /// <summary>Where so many values in a row are nearly all different, the others are taken to be so too when there is haste.</summary>
    private const int GlanceEntries = 2048;

    private int[] _slots = [];
    private int[] _indexes = [];
    private int[] _firsts = [];
    private uint[] _hashes = [];
    private int _mask;

    /// <summary>For each value of the chunk, its number in the dictionary.</summary>
    public ReadOnlySpan<int> Indexes(int start, int end) => _indexes.AsSpan(start, end - start);

    /// <summary>For each entry, the first value of the chunk that has it.</summary>
    public ReadOnlySpan<int> Firsts => _firsts.AsSpan(0, Count);

    public int Count { get; private set; }

    /// <summary>Whether to give up at once where the first values promise nothing.</summary>
    public bool IsHasty { get; set; }

    /// <summary>False when there are more than <paramref name="entriesMax"/> distinct values.</summary>
    public bool TryBuild(ReadOnlySpan<long> values, int entriesMax)
    {
        Begin(values.Length);
        var (slots, mask, indexes) = (_slots, _mask, _indexes);
        for (var i = 0; i < values.Length; i++)
        {
            var value = values[i];
            if (i > 0 && values[i - 1] == value)
            {
                indexes[i] = indexes[i - 1];
                continue;
            }

            var hash = (uint)((ulong)value * 0x9E3779B97F4A7C15 >> 32);
            var slot = (int)hash & mask;
            while (slots[slot] != 0 && values[_firsts[slots[slot] - 1]] != value)
                slot = slot + 1 & mask;

            if (slots[slot] != 0)
            {
                indexes[i] = slots[slot] - 1;
                continue;
            }

            if (!TryAdd(slot, i, hash, entriesMax))
                return false;
            indexes[i] = Count - 1;
            (slots, mask) = (_slots, _mask);
        }

        return true;
    }

    /// <summary>False when the dictionary would pass a limit of entries or of bytes.</summary>
    public bool TryBuild(ParquetColumnWriter column, int valueCount, int entriesMax, long bytesMax)
    {
        Begin(valueCount);
        var (slots, mask, indexes) = (_slots, _mask, _indexes);
        ReadOnlySpan<byte> previous = default;
        for (var i = 0; i < valueCount; i++)
        {
            var value = column.BytesOf(i);
            if (i > 0 && value.SequenceEqual(previous))
            {
                indexes[i] = indexes[i - 1];
                continue;
            }

            previous = value;
            var hash = (uint)XxHash64.Compute(value);
            var slot = (int)hash & mask;
            while (slots[slot] != 0 && (_hashes[slots[slot] - 1] != hash || !column.BytesOf(_firsts[slots[slot] - 1]).SequenceEqual(value)))
                slot = slot + 1 & mask;

            if (slots[slot] != 0)
            {
                indexes[i] = slots[slot] - 1;
                continue;
            }

            bytesMax -= value.Length + 4;
            if (bytesMax < 0 || !TryAdd(slot, i, hash, entriesMax))
                return false;
            indexes[i] = Count - 1;
            (slots, mask) = (_slots, _mask);
        }

        return true;
    }

    /// <summary>Gives the buffers back.</summary>
    public void Release()
    {
        Count = 0;
        PooledArray.Release(ref _slots);
        PooledArray.Release(ref _indexes);
        PooledArray.Release(ref _firsts);
        PooledArray.Release(ref _hashes);
    }

    private void Begin(int valueCount)
    {
        Count = 0;
        PooledArray.Reserve(ref _indexes, 0, valueCount);
        Empty(SlotsMin);
    }

    private void Empty(int slots)
    {
        PooledArray.Reserve(ref _slots, 0, slots);
        _slots.AsSpan(0, slots).Clear();
        _mask = slots - 1;
    }

    private bool TryAdd(int slot, int value, uint hash, int entriesMax)
    {
        if (Count == entriesMax || (IsHasty && Count == GlanceEntries && value < GlanceEntries * 17 / 16))
            return false;

        PooledArray.Reserve(ref _firsts, Count, 1);
        PooledArray.Reserve(ref _hashes, Count, 1);
        _firsts[Count] = value;
        _hashes[Count] = hash;
        _slots[slot] = ++Count;
        if (Count * 2 > _mask)
            Grow();
        return true;
    }

    private void Grow()
    {
        Empty((_mask + 1) * 4);
        for (var entry = 0; entry < Count; entry++)
        {
            var slot = (int)_hashes[entry] & _mask;
            while (_slots[slot] != 0)
                slot = slot + 1 & _mask;
            _slots[slot] = entry + 1;
        }
    }
}
