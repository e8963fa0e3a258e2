using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Millrace.StreamSql.Values;

/// <summary>ISO 8601 in the forms the language knows, as ticks (100 ns) since 0001-01-01 UTC.</summary>
internal static class IsoTime
{
    /// <summary>Length of <c>yyyy-MM-ddTHH:mm:ss.fffffffZ</c>.</summary>
    public const int TextLength = 28;

    private static readonly long[] FractionUnits = [0, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

    private static readonly int[] DaysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

    /// <summary>
    /// Parses <c>yyyy-MM-dd</c> or <c>yyyy-MM-dd[T| ]hh:mm[:ss[.f{1,9}]]</c> with optional <c>Z</c> or <c>±hh:mm</c>;
    /// digits beyond 100 ns are cut.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out long ticks)
        => (text.Length >= 20 && TryParseUsual(text, out ticks)) || TryParseAny(text, out ticks);

    /// <summary>
    /// <c>yyyy-MM-ddThh:mm:ss[.f{1,7}]Z</c>, which is what devices send: eight characters at a time. False for other forms.
    /// </summary>
    private static bool TryParseUsual(ReadOnlySpan<byte> text, out long ticks)
    {
        ticks = 0;

        // Exclusive or with the form leaves 0 for punctuation and 0 … 9 for digits.
        var date = BinaryPrimitives.ReadUInt64LittleEndian(text) ^ 0x2D30302D30303030;          // 0000-00-
        var time = BinaryPrimitives.ReadUInt64LittleEndian(text[11..]) ^ 0x30303A30303A3030;    // 00:00:00
        var day = BinaryPrimitives.ReadUInt16LittleEndian(text[8..]) ^ 0x3030UL;
        if (!AreDigits(date) || !AreDigits(time) || !AreDigits(day) || text[10] != 'T' || text[^1] != 'Z'
            || (date & 0xFF0000FF00000000) != 0 || (time & 0x0000FF0000FF0000) != 0)
            return false;
        var year = ((int)TwoDigits(date) * 100) + (int)TwoDigits(date >> 16);
        var month = (int)TwoDigits(date >> 40);
        var dayOfMonth = (int)TwoDigits(day);
        var hour = TwoDigits(time);
        var minute = TwoDigits(time >> 24);
        var second = TwoDigits(time >> 48);
        if (year < 1 || month is < 1 or > 12 || dayOfMonth < 1 || dayOfMonth > DaysInMonth(year, month) || hour > 23 || minute > 59 || second > 59)
            return false;

        long fraction = 0;
        if (text.Length > 20)
        {
            var digits = text[20..^1];
            if (text[19] != '.' || digits.Length is 0 or > 7)
                return false;
            foreach (var value in digits)
            {
                var digit = (uint)(value - '0');
                if (digit > 9)
                    return false;
                fraction = (fraction * 10) + digit;
            }

            fraction *= FractionUnits[digits.Length];
        }

        ticks = (DaysTo(year, month, dayOfMonth) * TimeSpan.TicksPerDay)
            + ((long)((hour * 3600) + (minute * 60) + second) * TimeSpan.TicksPerSecond) + fraction;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool AreDigits(ulong bytes) => ((bytes | (bytes + 0x7676767676767676)) & 0x8080808080808080) == 0;

    /// <summary>The number that the two lowest bytes are the digits of.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong TwoDigits(ulong bytes) => ((bytes & 15) * 10) + ((bytes >> 8) & 15);

    private static bool TryParseAny(ReadOnlySpan<byte> text, out long ticks)
    {
        ticks = 0;
        if (text.Length < 10 || text[4] != '-' || text[7] != '-'
            || !Digits(text, 0, 4, out var year) || !Digits(text, 5, 2, out var month) || !Digits(text, 8, 2, out var day))
            return false;
        if (year < 1 || month is < 1 or > 12 || day < 1 || day > DaysInMonth(year, month))
            return false;

        var result = DaysTo(year, month, day) * TimeSpan.TicksPerDay;
        if (text.Length == 10)
        {
            ticks = result;
            return true;
        }

        if (text.Length < 16 || text[10] is not ((byte)'T' or (byte)' ' or (byte)'t') || text[13] != ':'
            || !Digits(text, 11, 2, out var hour) || !Digits(text, 14, 2, out var minute) || hour > 23 || minute > 59)
            return false;
        result += hour * TimeSpan.TicksPerHour + minute * TimeSpan.TicksPerMinute;

        var index = 16;
        if (index < text.Length && text[index] == ':')
        {
            if (!Digits(text, 17, 2, out var second) || second > 59)
                return false;
            result += second * TimeSpan.TicksPerSecond;
            index = 19;
            if (index < text.Length && text[index] == '.')
            {
                var digits = 0;
                var unit = TimeSpan.TicksPerSecond;
                for (index++; index < text.Length && (uint)(text[index] - '0') <= 9; index++, digits++)
                {
                    unit /= 10;
                    result += unit * (text[index] - '0');
                }

                if (digits is 0 or > 9)
                    return false;
            }
        }

        if (index < text.Length)
        {
            if (!Zone(text[index..], out var zone))
                return false;
            result -= zone;
        }

        if (result < 0 || result > DateTime.MaxValue.Ticks)
            return false;
        ticks = result;
        return true;
    }

    private static bool Zone(ReadOnlySpan<byte> text, out long ticks)
    {
        ticks = 0;
        if (text.Length == 1)
            return text[0] is (byte)'Z' or (byte)'z';
        if (text.Length != 6 || text[0] is not ((byte)'+' or (byte)'-') || text[3] != ':'
            || !Digits(text, 1, 2, out var hours) || !Digits(text, 4, 2, out var minutes) || hours > 14 || minutes > 59)
            return false;
        ticks = hours * TimeSpan.TicksPerHour + minutes * TimeSpan.TicksPerMinute;
        if (text[0] == '-')
            ticks = -ticks;
        return true;
    }

    /// <summary>Writes 28 bytes: <c>yyyy-MM-ddTHH:mm:ss.fffffffZ</c>. Times outside the years 1–9999 are clamped.</summary>
    public static void Write(long ticks, Span<byte> target)
    {
        ticks = Math.Clamp(ticks, 0, DateTime.MaxValue.Ticks);
        var date = new DateTime(ticks);
        Put(target, 0, 4, date.Year);
        target[4] = (byte)'-';
        Put(target, 5, 2, date.Month);
        target[7] = (byte)'-';
        Put(target, 8, 2, date.Day);
        target[10] = (byte)'T';
        var rest = ticks % TimeSpan.TicksPerDay;
        Put(target, 11, 2, (int)(rest / TimeSpan.TicksPerHour));
        target[13] = (byte)':';
        Put(target, 14, 2, (int)(rest / TimeSpan.TicksPerMinute % 60));
        target[16] = (byte)':';
        Put(target, 17, 2, (int)(rest / TimeSpan.TicksPerSecond % 60));
        target[19] = (byte)'.';
        Put(target, 20, 7, (int)(rest % TimeSpan.TicksPerSecond));
        target[27] = (byte)'Z';
    }

    public static string ToText(long ticks)
    {
        Span<byte> text = stackalloc byte[TextLength];
        Write(ticks, text);
        return System.Text.Encoding.ASCII.GetString(text);
    }

    private static void Put(Span<byte> target, int offset, int count, int value)
    {
        for (var index = offset + count - 1; index >= offset; index--)
        {
            target[index] = (byte)('0' + value % 10);
            value /= 10;
        }
    }

    private static bool Digits(ReadOnlySpan<byte> text, int offset, int count, out int value)
    {
        value = 0;
        if (offset + count > text.Length)
            return false;
        for (var index = offset; index < offset + count; index++)
        {
            var digit = (uint)(text[index] - '0');
            if (digit > 9)
                return false;
            value = value * 10 + (int)digit;
        }

        return true;
    }

    private static bool IsLeap(int year) => (year & 3) == 0 && (year % 100 != 0 || year % 400 == 0);

    private static int DaysInMonth(int year, int month)
        => month == 2 && IsLeap(year) ? 29 : DaysBefore[month] - DaysBefore[month - 1];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long DaysTo(int year, int month, int day)
    {
        var before = year - 1;
        var days = before * 365L + before / 4 - before / 100 + before / 400 + DaysBefore[month - 1] + day - 1;
        return month > 2 && IsLeap(year) ? days + 1 : days;
    }
}
