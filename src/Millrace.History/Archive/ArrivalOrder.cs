using System.Buffers;
using System.Numerics;

namespace Millrace.History.Archive;

/// <summary>
/// The order of readings by arrival. A comparing sort would be most of a replay's time: arrivals of a few hours differ in 35 bits, so
/// that arrival and place fit in one number, which is sorted digit by digit. Hot.
/// </summary>
internal static class ArrivalOrder
{
    private const int DigitBits = 8;
    private const int Digits = 1 << DigitBits;

    /// <summary>The places of the first <paramref name="count"/> arrivals, in rising order; in a rented array.</summary>
    public static int[] Of(ReadOnlySpan<long> arrivals, int count)
    {
        arrivals = arrivals[..count];
        var places = ArrayPool<int>.Shared.Rent(count);
        var (least, greatest) = (long.MaxValue, long.MinValue);
        foreach (var arrival in arrivals)
            (least, greatest) = (Math.Min(least, arrival), Math.Max(greatest, arrival));
        var placeBits = 64 - BitOperations.LeadingZeroCount((ulong)count);
        if (count > 0 && 64 - BitOperations.LeadingZeroCount((ulong)(greatest - least)) + placeBits <= 64)
            SortPacked(arrivals, least, greatest, placeBits, places);
        else
            SortCompared(arrivals, places);
        return places;
    }

    private static void SortPacked(ReadOnlySpan<long> arrivals, long least, long greatest, int placeBits, int[] places)
    {
        var keys = ArrayPool<ulong>.Shared.Rent(arrivals.Length);
        var other = ArrayPool<ulong>.Shared.Rent(arrivals.Length);
        for (var i = 0; i < arrivals.Length; i++)
            keys[i] = ((ulong)(arrivals[i] - least) << placeBits) | (uint)i;

        // The places need no sorting: they rise from the start, and each pass keeps what is equal in its order.
        Span<int> next = stackalloc int[Digits];
        for (var shift = placeBits; shift < 64 && (ulong)(greatest - least) >> (shift - placeBits) != 0; shift += DigitBits)
        {
            next.Clear();
            foreach (var key in keys.AsSpan(0, arrivals.Length))
                next[(byte)(key >> shift)]++;
            for (int digit = 0, sum = 0; digit < Digits; digit++)
                (next[digit], sum) = (sum, sum + next[digit]);
            foreach (var key in keys.AsSpan(0, arrivals.Length))
                other[next[(byte)(key >> shift)]++] = key;
            (keys, other) = (other, keys);
        }

        var mask = (1UL << placeBits) - 1;
        for (var i = 0; i < arrivals.Length; i++)
            places[i] = (int)(keys[i] & mask);
        ArrayPool<ulong>.Shared.Return(keys);
        ArrayPool<ulong>.Shared.Return(other);
    }

    private static void SortCompared(ReadOnlySpan<long> arrivals, int[] places)
    {
        var keys = arrivals.ToArray();
        for (var i = 0; i < keys.Length; i++)
            places[i] = i;
        Array.Sort(keys, places, 0, keys.Length);
    }
}
