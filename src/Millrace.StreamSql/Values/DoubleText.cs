using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;

namespace Millrace.StreamSql.Values;

/// <summary>
/// The shortest decimal text that reads back as the same double, as the runtime's "R" format writes it. Hot: an average has
/// seventeen digits as a rule, and the runtime takes longer to write it than a window to compute it. The digits are found as
/// in R. Giulietti, "The Schubfach way to render doubles" (2020).
/// </summary>
internal static class DoubleText
{
    /// <summary>Longest text.</summary>
    public const int LengthMax = 32;

    /// <summary>From here on the runtime writes an exponent.</summary>
    public const double ExponentFrom = 1e15;

    /// <summary>10^0 … 10^22: those that numbers without an exponent need. Scaled to 128 bits they are exact.</summary>
    private const int PowersCount = 23;

    private static readonly (ulong High, ulong Low)[] Powers = NewPowers();

    /// <summary>Writes a finite number; returns the number of bytes.</summary>
    public static int Write(double value, Span<byte> target)
    {
        var bits = BitConverter.DoubleToUInt64Bits(value);
        var magnitude = Math.Abs(value);

        // Outside of these the runtime writes an exponent, except for 0.
        if (bits == 0)
        {
            target[0] = (byte)'0';
            return 1;
        }

        if (magnitude is < 1e-4 or >= ExponentFrom)
        {
            value.TryFormat(target, out var written, "R", CultureInfo.InvariantCulture);
            return written;
        }

        // What a sensor sends has few decimals. At most fifteen digits that read back as the value are the shortest.
        var thousandths = (ulong)(magnitude * 1000 + 0.5);
        var length = bits >> 63 == 0 ? 0 : 1;
        target[0] = (byte)'-';
        if (thousandths < 1_000_000_000_000_000 && thousandths / 1000.0 == magnitude)
            return length + WriteDigits(target[length..], thousandths, -3);
        var (digits, exponent) = Shortest(bits);
        return length + WriteDigits(target[length..], digits, exponent);
    }

    /// <summary>Writes digits × 10^exponent without an exponent and without zeros at the end of a fraction.</summary>
    private static int WriteDigits(Span<byte> target, ulong digits, int exponent)
    {
        while (exponent < 0 && digits % 10 == 0)
        {
            digits /= 10;
            exponent++;
        }

        Span<byte> text = stackalloc byte[20];
        var start = text.Length;
        for (; digits >= 100; digits /= 100)
        {
            start -= 2;
            BinaryPrimitives.WriteUInt16LittleEndian(text[start..], Pair((uint)(digits % 100)));
        }

        if (digits >= 10)
        {
            start -= 2;
            BinaryPrimitives.WriteUInt16LittleEndian(text[start..], Pair((uint)digits));
        }
        else
        {
            text[--start] = (byte)('0' + digits);
        }

        text = text[start..];
        if (exponent >= 0)
        {
            text.CopyTo(target);
            target.Slice(text.Length, exponent).Fill((byte)'0');
            return text.Length + exponent;
        }

        var whole = text.Length + exponent;
        if (whole > 0)
        {
            text[..whole].CopyTo(target);
            target[whole] = (byte)'.';
            text[whole..].CopyTo(target[(whole + 1)..]);
            return text.Length + 1;
        }

        target[..(2 - whole)].Fill((byte)'0');
        target[1] = (byte)'.';
        text.CopyTo(target[(2 - whole)..]);
        return 2 - whole + text.Length;
    }

    private static ushort Pair(uint value) => (ushort)('0' + (value / 10) + (('0' + (value % 10)) << 8));

    /// <summary>The shortest digits within the interval that rounds to the value, of those the nearest to it.</summary>
    private static (ulong Digits, int Exponent) Shortest(ulong bits)
    {
        var fraction = bits & 0xFFFFFFFFFFFFF;
        var mantissa = fraction | (1UL << 52);
        var binary = ((int)(bits >> 52) & 0x7FF) - 1075;

        // Below a power of two the neighbour is nearer by half.
        var isPower = fraction == 0;
        var lowest = (mantissa * 4) - (isPower ? 1UL : 2UL);
        var exponent = isPower ? ((binary * 1262611) - 524031) >> 22 : (binary * 1262611) >> 22;
        var shift = binary + ((-exponent * 1741647) >> 19) + 1;
        var power = Powers[-exponent];
        var odd = mantissa & 1;
        var low = RoundToOdd(power, lowest << shift) + odd;
        var middle = RoundToOdd(power, (mantissa * 4) << shift);
        var high = RoundToOdd(power, ((mantissa * 4) + 2) << shift) - odd;

        var digits = middle / 4;
        if (digits >= 10)
        {
            var shorter = digits / 10;
            var below = low <= shorter * 40;
            var above = (shorter * 40) + 40 <= high;
            if (below != above)
                return (shorter + (above ? 1UL : 0UL), exponent + 1);
        }

        var isBelow = low <= digits * 4;
        var isAbove = (digits * 4) + 4 <= high;
        if (isBelow != isAbove)
            return (digits + (isAbove ? 1UL : 0UL), exponent);
        var half = (digits * 4) + 2;
        return (digits + (middle > half || (middle == half && (digits & 1) == 1) ? 1UL : 0UL), exponent);
    }

    /// <summary>The product's top 64 of 192 bits; the lowest says whether anything below it was left.</summary>
    private static ulong RoundToOdd((ulong High, ulong Low) power, ulong factor)
    {
        var carry = Math.BigMul(power.Low, factor, out _);
        var top = Math.BigMul(power.High, factor, out var rest);
        var sum = rest + carry;
        if (sum < rest)
            top++;
        return top | (sum > 1 ? 1UL : 0UL);
    }

    private static (ulong High, ulong Low)[] NewPowers()
    {
        var result = new (ulong, ulong)[PowersCount];
        for (var power = 0; power < result.Length; power++)
        {
            var ten = BigInteger.Pow(10, power);
            var scaled = ten << (128 - (int)ten.GetBitLength());
            result[power] = ((ulong)(scaled >> 64), (ulong)(scaled & ulong.MaxValue));
        }

        return result;
    }
}
