using System.Globalization;
using Millrace.Codecs.Json;
using Millrace.Core;

namespace Millrace.Codecs.Formats;

/// <summary>Device times: ISO 8601, Unix seconds or Unix milliseconds. Hot: allocates nothing.</summary>
internal static class DeviceTimes
{
    /// <summary>
    /// Unix numbers below this are seconds, from it on milliseconds: as seconds it is the year 5138, as milliseconds
    /// March 1973, and no meter lives near either.
    /// </summary>
    public const decimal MillisecondsFrom = 100_000_000_000m;

    /// <summary>Reads a time from text: ISO 8601, or digits as a Unix time.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out long micros)
    {
        text = JsonText.Trim(text);
        return JsonText.IsNumber(text) ? TryUnix(text, out micros) : TryIso(text, out micros);
    }

    /// <summary>Reads a JSON number as a Unix time; fractions count down to the microsecond.</summary>
    public static bool TryUnix(ReadOnlySpan<byte> number, out long micros)
    {
        micros = 0;
        if (!decimal.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var value))
            return false;
        // Bounded before it is scaled: the product of an absurd number would overflow.
        if (Math.Abs(value) > 1e15m)
            return false;
        var scaled = decimal.Truncate(value * (Math.Abs(value) < MillisecondsFrom ? 1_000_000 : 1000));
        if (scaled is < Micros.Min or > Micros.Max)
            return false;
        micros = (long)scaled;
        return true;
    }

    /// <summary>
    /// Reads YYYY-MM-DD, optionally with T or a space and hh:mm[:ss[.fraction]] and Z or ±hh[:mm]; the basic form without
    /// separators too. Without an offset the time is UTC.
    /// </summary>
    public static bool TryIso(ReadOnlySpan<byte> text, out long micros)
    {
        micros = 0;
        var rest = text;
        if (!TakeNumber(ref rest, 4, out var year))
            return false;
        var extended = Take(ref rest, (byte)'-');
        if (!TakeNumber(ref rest, 2, out var month) || (extended && !Take(ref rest, (byte)'-')) || !TakeNumber(ref rest, 2, out var day))
            return false;
        if (year < 1 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month))
            return false;
        micros = Micros.FromDateTime(new DateTime(year, month, day, 0, 0, 0, DateTimeKind.Utc));
        if (rest.IsEmpty)
            return true;

        if (!(Take(ref rest, (byte)'T') || Take(ref rest, (byte)'t') || Take(ref rest, (byte)' ')) || !TryClock(ref rest, out var ofDay))
            return false;
        if (!TryOffset(rest, out var offset))
            return false;
        micros += ofDay - offset;
        return micros is >= Micros.Min and <= Micros.Max;
    }

    private static bool TryClock(ref ReadOnlySpan<byte> rest, out long ofDay)
    {
        ofDay = 0;
        if (!TakeNumber(ref rest, 2, out var hour))
            return false;
        var extended = Take(ref rest, (byte)':');
        if (!TakeNumber(ref rest, 2, out var minute))
            return false;
        var second = 0;
        long fraction = 0;
        if (extended ? Take(ref rest, (byte)':') : rest.Length > 0 && char.IsAsciiDigit((char)rest[0]))
        {
            if (!TakeNumber(ref rest, 2, out second))
                return false;
            if ((Take(ref rest, (byte)'.') || Take(ref rest, (byte)',')) && !TakeFraction(ref rest, out fraction))
                return false;
        }

        // 24:00 is the end of the day; a leap second counts as the first of the next minute.
        if (hour > 24 || minute > 59 || second > 60 || (hour == 24 && (minute | second) != 0))
            return false;
        ofDay = (((hour * 60L) + minute) * Micros.PerMinute) + (second * Micros.PerSecond) + fraction;
        return true;
    }

    private static bool TryOffset(ReadOnlySpan<byte> rest, out long offset)
    {
        offset = 0;
        if (rest.IsEmpty)
            return true;
        if (Take(ref rest, (byte)'Z') || Take(ref rest, (byte)'z'))
            return rest.IsEmpty;
        var east = Take(ref rest, (byte)'+');
        if (!east && !Take(ref rest, (byte)'-'))
            return false;
        if (!TakeNumber(ref rest, 2, out var hours))
            return false;
        _ = Take(ref rest, (byte)':');
        var minutes = 0;
        if (!rest.IsEmpty && !TakeNumber(ref rest, 2, out minutes))
            return false;
        offset = ((hours * 60L) + minutes) * (east ? Micros.PerMinute : -Micros.PerMinute);
        return rest.IsEmpty && hours <= 23 && minutes <= 59;
    }

    private static bool TakeFraction(ref ReadOnlySpan<byte> rest, out long micros)
    {
        micros = 0;
        var digits = 0;
        for (; digits < rest.Length && char.IsAsciiDigit((char)rest[digits]); digits++)
        {
            if (digits < 6)
                micros = (micros * 10) + rest[digits] - '0';
        }

        for (var i = digits; i < 6; i++)
            micros *= 10;
        rest = rest[digits..];
        return digits > 0;
    }

    private static bool Take(ref ReadOnlySpan<byte> rest, byte expected)
    {
        if (rest.IsEmpty || rest[0] != expected)
            return false;
        rest = rest[1..];
        return true;
    }

    private static bool TakeNumber(ref ReadOnlySpan<byte> rest, int digits, out int value)
    {
        value = 0;
        if (rest.Length < digits)
            return false;
        foreach (var b in rest[..digits])
        {
            if (!char.IsAsciiDigit((char)b))
                return false;
            value = (value * 10) + b - '0';
        }

        rest = rest[digits..];
        return true;
    }
}
