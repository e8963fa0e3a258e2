using System.Numerics;

namespace Millrace.History.Rollups.Stored;

/// <summary>
/// A double in few bytes and to the last bit: as the difference of its decimal digits from those of a number near to it, or, where it has no short
/// decimal form, as its own bits without the zeros at their end (docs/formats/rollups.md).
/// </summary>
internal static class StoredNumber
{
    public const int ScaleMax = 9;

    private const double DigitsMax = 1e15;
    private const int MantissaBits = 52;

    private static readonly double[] Powers = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

    /// <summary>The number without its point, when it has at most <paramref name="scale"/> digits behind it and fifteen in all.</summary>
    public static bool TryDigits(double value, int scale, out long digits)
    {
        digits = 0;
        var shifted = value * Powers[scale];
        if (!(Math.Abs(shifted) <= DigitsMax))
            return false;

        digits = (long)Math.Round(shifted);
        return BitConverter.DoubleToInt64Bits(digits / Powers[scale]) == BitConverter.DoubleToInt64Bits(value);
    }

    /// <param name="near">Digits of a number that is likely near; becomes this one's where it has some.</param>
    public static void Write(ByteWriter output, double value, int scale, ref long near)
    {
        if (TryDigits(value, scale, out var digits) && Int128.Abs(digits - (Int128)near) < long.MaxValue / 4)
        {
            var difference = digits - near;
            output.Varint((ulong)(difference << 1 ^ difference >> 63) << 1);
            near = digits;
            return;
        }

        var bits = BitConverter.DoubleToUInt64Bits(value);
        var mantissa = bits & ((1UL << MantissaBits) - 1);
        var zeros = BitOperations.TrailingZeroCount(mantissa | 1UL << MantissaBits);
        output.Varint(mantissa >> zeros << 1 | 1);
        output.Varint(bits >> MantissaBits << 6 | (uint)zeros);
    }

    /// <inheritdoc cref="Write"/>
    /// <exception cref="InvalidDataException">The bytes are no number.</exception>
    public static double Read(ref ByteReader input, int scale, ref long near)
    {
        var value = input.Varint();
        if ((value & 1) == 0)
        {
            value >>= 1;
            near += (long)(value >> 1) ^ -(long)(value & 1);
            return near / Powers[scale];
        }

        var rest = input.Varint();
        var zeros = (int)(rest & 63);
        if (zeros > MantissaBits || rest >> 6 > 0xFFF)
            throw new InvalidDataException("The roll-up holds a number that is none.");
        return BitConverter.UInt64BitsToDouble(rest >> 6 << MantissaBits | (value >> 1 << zeros & ((1UL << MantissaBits) - 1)));
    }
}
