namespace Millrace.History.Payloads;

/// <summary>A JSON number in parts: mantissa × 10^-scale, when it has no exponent and at most eighteen digits. Hot.</summary>
internal readonly record struct JsonNumber(long Mantissa, int Digits, int Scale, bool IsNegative, bool HasExponent)
{
    /// <summary>So many digits a double always gives back.</summary>
    private const int DoubleDigits = 15;

    private static readonly double[] PowersOfTen =
        [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

    /// <summary>The double nearest to the text, where that is found by one division; false for long numbers and those with an exponent.</summary>
    public bool TryToDouble(out double value)
    {
        if (HasExponent || Digits > DoubleDigits || Scale > DoubleDigits)
        {
            value = 0;
            return false;
        }

        // Both are exact as doubles, so their quotient is the double nearest to the text.
        value = Scale == 0 ? Mantissa : Mantissa / PowersOfTen[Scale];
        value = IsNegative ? -value : value;
        return true;
    }

    /// <summary>Reads the number that begins at <paramref name="at"/> and steps behind it; false when there is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> json, ref int at, out JsonNumber number)
    {
        number = default;
        var i = at;
        var isNegative = i < json.Length && json[i] == '-';
        i += isNegative ? 1 : 0;
        var first = i;
        var (mantissa, digits, scale) = (0L, 0, 0);
        for (; i < json.Length && json[i] is >= (byte)'0' and <= (byte)'9'; i++)
            Take(json[i], ref mantissa, ref digits);
        if (i == first || (json[first] == '0' && i > first + 1))
            return false;

        if (i < json.Length && json[i] == '.')
        {
            var point = i++;
            for (; i < json.Length && json[i] is >= (byte)'0' and <= (byte)'9'; i++)
                Take(json[i], ref mantissa, ref digits);
            scale = i - point - 1;
            if (scale == 0)
                return false;
        }

        var hasExponent = i < json.Length && json[i] is (byte)'e' or (byte)'E';
        if (hasExponent)
        {
            i++;
            i += i < json.Length && json[i] is (byte)'+' or (byte)'-' ? 1 : 0;
            var power = i;
            while (i < json.Length && json[i] is >= (byte)'0' and <= (byte)'9')
                i++;
            if (i == power)
                return false;
        }

        at = i;
        number = new JsonNumber(mantissa, digits, scale, isNegative, hasExponent);
        return true;

        static void Take(byte digit, ref long mantissa, ref int digits)
        {
            // Zeros before the first other digit are none of its digits; beyond eighteen the mantissa is not used.
            if (digits > 0 || digit != '0')
                digits++;
            if (digits <= 18)
                mantissa = (mantissa * 10) + (digit - '0');
        }
    }
}
