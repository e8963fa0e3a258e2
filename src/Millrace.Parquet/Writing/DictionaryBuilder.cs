using Millrace.Parquet.Compression;

namespace Millrace.Parquet.Writing;

/// <summary>
/// Finds the distinct values of a chunk, in order of appearance, and gives each value its number. Sorted data repeats its
/// predecessor, so that is asked first. Hot.
/// </summary>
internal sealed class DictionaryBuilder
{
    private int[] _slots = [];
    private int[] _indexes = [];
    private int[] _firsts = new int[256];

    /// <summary>For each value of the chunk, its number in the dictionary.</summary>
    public ReadOnlySpan<int> Indexes(int start, int end) => _indexes.AsSpan(start, end - start);

    /// <summary>For each entry, the first value of the chunk that has it.</summary>
    public ReadOnlySpan<int> Firsts => _firsts.AsSpan(0, Count);

    public int Count { get; private set; }

    /// <summary>False when there are more than <paramref name="entriesMax"/> distinct values.</summary>
    public bool TryBuild(ReadOnlySpan<long> values, int entriesMax)
    {
        Begin(values.Length, entriesMax);
        var (slots, mask) = (_slots, _slots.Length - 1);
        for (var i = 0; i < values.Length; i++)
        {
            var value = values[i];
            if (i > 0 && values[i - 1] == value)
            {
                _indexes[i] = _indexes[i - 1];
                continue;
            }

            var slot = (int)((ulong)value * 0x9E3779B97F4A7C15 >> 32) & mask;
            while (slots[slot] != 0 && values[_firsts[slots[slot] - 1]] != value)
                slot = slot + 1 & mask;

            if (slots[slot] == 0 && !TryAdd(slot, i, entriesMax))
                return false;
            _indexes[i] = slots[slot] - 1;
        }

        return true;
    }

    /// <summary>False when the dictionary would pass a limit of entries or of bytes.</summary>
    public bool TryBuild(ParquetColumnWriter column, int valueCount, int entriesMax, long bytesMax)
    {
        Begin(valueCount, entriesMax);
        var (slots, mask) = (_slots, _slots.Length - 1);
        ReadOnlySpan<byte> previous = default;
        for (var i = 0; i < valueCount; i++)
        {
            var value = column.BytesOf(i);
            if (i > 0 && value.SequenceEqual(previous))
            {
                _indexes[i] = _indexes[i - 1];
                continue;
            }

            previous = value;
            var slot = (int)XxHash64.Compute(value) & mask;
            while (slots[slot] != 0 && !column.BytesOf(_firsts[slots[slot] - 1]).SequenceEqual(value))
                slot = slot + 1 & mask;

            if (slots[slot] == 0)
            {
                bytesMax -= value.Length + 4;
                if (bytesMax < 0 || !TryAdd(slot, i, entriesMax))
                    return false;
            }

            _indexes[i] = slots[slot] - 1;
        }

        return true;
    }

    private void Begin(int valueCount, int entriesMax)
    {
        Count = 0;
        if (_indexes.Length < valueCount)
            _indexes = new int[valueCount];

        var slots = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, entriesMax * 2L + 2));
        if (_slots.Length != slots)
            _slots = new int[slots];
        else
            Array.Clear(_slots);
    }

    private bool TryAdd(int slot, int value, int entriesMax)
    {
        if (Count == entriesMax)
            return false;
        if (Count == _firsts.Length)
            Array.Resize(ref _firsts, Count * 2);

        _firsts[Count] = value;
        _slots[slot] = ++Count;
        return true;
    }
}
