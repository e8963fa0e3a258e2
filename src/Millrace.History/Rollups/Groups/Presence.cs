using System.Numerics;

namespace Millrace.History.Rollups.Groups;

/// <summary>
/// Which devices were heard in which quarter-hour: a bit for each device, by its number. A million devices that all report are 12 MB a day.
/// Not for several threads.
/// </summary>
internal sealed class Presence
{
    private readonly SortedList<long, ulong[]> _quarters = [];
    private ulong[] _newest = [];
    private long _newestStart = long.MinValue;

    public IEnumerable<KeyValuePair<long, ulong[]>> Quarters => _quarters;

    /// <summary>Hot.</summary>
    /// <param name="start">The quarter-hour's beginning, µs UTC.</param>
    public void Mark(long start, int device)
    {
        var bits = start == _newestStart && device >> 6 < _newest.Length ? _newest : Grow(start, device);
        bits[device >> 6] |= 1UL << device;
    }

    /// <summary>Takes in bits that were kept elsewhere.</summary>
    public void Mark(long start, ReadOnlySpan<ulong> bits)
    {
        if (bits.IsEmpty)
            return;
        var held = Grow(start, bits.Length * 64 - 1);
        for (var i = 0; i < bits.Length; i++)
            held[i] |= bits[i];
    }

    /// <summary>Adds the devices heard in the stretch to <paramref name="into"/>.</summary>
    public void Collect(long from, long to, Presence into)
    {
        foreach (var (start, bits) in _quarters)
        {
            if (start >= from && start < to)
                into.Mark(0, bits);
        }
    }

    /// <summary>The devices of all quarter-hours together.</summary>
    public IEnumerable<int> Devices()
    {
        foreach (var bits in _quarters.Values)
        {
            for (var i = 0; i < bits.Length; i++)
            {
                for (var rest = bits[i]; rest != 0; rest &= rest - 1)
                    yield return i * 64 + BitOperations.TrailingZeroCount(rest);
            }
        }
    }

    public void Clear()
    {
        _quarters.Clear();
        (_newest, _newestStart) = ([], long.MinValue);
    }

    private ulong[] Grow(long start, int device)
    {
        var bits = _quarters.GetValueOrDefault(start) ?? [];
        if (device >> 6 >= bits.Length)
            Array.Resize(ref bits, Math.Max((device >> 6) + 1, bits.Length * 5 / 4));
        _quarters[start] = bits;
        (_newest, _newestStart) = (bits, start);
        return bits;
    }
}
