using System.Globalization;
using System.Text;

namespace Millrace.History.Archive;

/// <summary>Whether a JSON number survives being held as a double.</summary>
internal static class ExactNumbers
{
    /// <summary>True when the double's shortest text is the same number as the one sent, digit for digit.</summary>
    public static bool TryToDouble(ReadOnlySpan<byte> json, out double value)
    {
        if (!double.TryParse(json, NumberStyles.Float, CultureInfo.InvariantCulture, out value) || !double.IsFinite(value))
            return false;

        Span<byte> shortest = stackalloc byte[40];
        return value.TryFormat(shortest, out var length, "R", CultureInfo.InvariantCulture)
            && Normalize(json) == Normalize(shortest[..length]);
    }

    /// <summary>Sign, digits without zeros at either end, and the exponent of the last one.</summary>
    private static (bool Negative, string Digits, long Exponent) Normalize(ReadOnlySpan<byte> number)
    {
        var digits = new StringBuilder(number.Length);
        var negative = number[0] == '-';
        long exponent = 0;
        var afterPoint = false;
        for (var i = negative ? 1 : 0; i < number.Length; i++)
        {
            var c = (char)number[i];
            if (char.IsAsciiDigit(c))
            {
                digits.Append(c);
                exponent -= afterPoint ? 1 : 0;
            }
            else if (c == '.')
            {
                afterPoint = true;
            }
            else
            {
                if (!long.TryParse(number[(i + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var power)
                    || power is < -100_000 or > 100_000)
                {
                    return (negative, "?", i); // Nothing that a double's own text would equal.
                }

                exponent += power;
                break;
            }
        }

        var text = digits.ToString().TrimStart('0');
        var trimmed = text.TrimEnd('0');
        return trimmed.Length == 0 ? (false, "", 0) : (negative, trimmed, exponent + text.Length - trimmed.Length);
    }
}
