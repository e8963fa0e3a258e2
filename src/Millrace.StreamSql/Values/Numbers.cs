using System.Buffers.Text;
using System.Globalization;

namespace Millrace.StreamSql.Values;

/// <summary>Numbers as text: JSON tokens and strings that are used as numbers.</summary>
internal static class Numbers
{
    // Powers of ten that a double holds exactly: mantissa × or ÷ one of them is rounded once, hence correctly.
    private static readonly double[] ExactPowers =
    [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
        1e21, 1e22,
    ];

    /// <summary>Converts a valid JSON number token: bigint when it has neither fraction nor exponent and fits, else float.</summary>
    /// <returns>False when the number is beyond what a double holds.</returns>
    public static bool TryParse(ReadOnlySpan<byte> text, out Value value)
    {
        ulong mantissa = 0;
        var digits = 0;
        var fraction = 0;
        var negative = false;
        var index = 0;
        if (text.Length > 0 && text[0] == '-')
        {
            negative = true;
            index = 1;
        }

        for (; index < text.Length && (uint)(text[index] - '0') <= 9; index++, digits++)
            mantissa = unchecked(mantissa * 10 + (uint)(text[index] - '0'));

        if (index == text.Length)
        {
            if (digits <= 18)
            {
                value = Value.Of(negative ? -(long)mantissa : (long)mantissa);
                return true;
            }

            return TryParseSlowly(text, whole: true, out value);
        }

        if (text[index] == '.')
        {
            for (index++; index < text.Length && (uint)(text[index] - '0') <= 9; index++, fraction++)
                mantissa = unchecked(mantissa * 10 + (uint)(text[index] - '0'));
        }

        if (index == text.Length && digits + fraction <= 15)
        {
            var number = mantissa / ExactPowers[fraction];
            value = Value.Of(negative ? -number : number);
            return true;
        }

        return TryParseSlowly(text, whole: false, out value);
    }

    private static bool TryParseSlowly(ReadOnlySpan<byte> text, bool whole, out Value value)
    {
        if (whole && Utf8Parser.TryParse(text, out long integer, out var used) && used == text.Length)
        {
            value = Value.Of(integer);
            return true;
        }

        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number))
        {
            value = Value.Of(number);
            return true;
        }

        value = Value.Null;
        return false;
    }

    /// <summary>Parses what CAST(text AS float) accepts: optional blanks and sign, plain or exponent form.</summary>
    public static bool TryParseText(ReadOnlySpan<byte> text, out Value value)
    {
        text = text.Trim((byte)' ');
        if (TryParseWhole(text, out var whole))
        {
            value = Value.Of(whole);
            return true;
        }

        if (IsFloatText(text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            && double.IsFinite(number))
        {
            value = Value.Of(number);
            return true;
        }

        value = Value.Null;
        return false;
    }

    /// <summary>Parses what CAST(text AS bigint) accepts: optional blanks, sign, digits.</summary>
    public static bool TryParseWhole(ReadOnlySpan<byte> text, out long value)
    {
        text = text.Trim((byte)' ');
        var digits = text.Length > 0 && text[0] is (byte)'+' or (byte)'-' ? text[1..] : text;
        value = 0;
        if (digits.Length == 0 || digits.IndexOfAnyExceptInRange((byte)'0', (byte)'9') >= 0)
            return false;
        if (text[0] == '+')
            text = digits;
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
    }

    private static bool IsFloatText(ReadOnlySpan<byte> text)
    {
        var index = text.Length > 0 && text[0] is (byte)'+' or (byte)'-' ? 1 : 0;
        var digits = 0;
        for (; index < text.Length && char.IsAsciiDigit((char)text[index]); index++)
            digits++;
        if (index < text.Length && text[index] == '.')
        {
            for (index++; index < text.Length && char.IsAsciiDigit((char)text[index]); index++)
                digits++;
        }

        if (digits == 0)
            return false;
        if (index < text.Length && text[index] is (byte)'e' or (byte)'E')
        {
            index++;
            if (index < text.Length && text[index] is (byte)'+' or (byte)'-')
                index++;
            var exponent = index;
            while (index < text.Length && char.IsAsciiDigit((char)text[index]))
                index++;
            if (index == exponent)
                return false;
        }

        return index == text.Length;
    }
}
