using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Millrace.Jobs.Scheduling;

/// <summary>
/// Five fields as in crontab(5): minute, hour, day of month, month, day of week, in the time of a zone. Lists, ranges, steps and
/// English names are taken; when both day fields are given a day that fits either is due. A local time that a clock change skips is due
/// when the change is over; one that comes twice is due the first time.
/// </summary>
internal sealed class CronSchedule
{
    /// <summary>29 February on one weekday comes back within this.</summary>
    private const int YearsMax = 40;

    private static readonly string[] Months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    private static readonly string[] Weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

    private readonly ulong _minutes;
    private readonly ulong _hours;
    private readonly ulong _days;
    private readonly ulong _months;
    private readonly ulong _weekdays;
    private readonly bool _anyDay;
    private readonly bool _anyWeekday;
    private readonly TimeZoneInfo _zone;

    private CronSchedule(ulong[] fields, bool anyDay, bool anyWeekday, TimeZoneInfo zone)
    {
        (_minutes, _hours, _days, _months, _weekdays) = (fields[0], fields[1], fields[2], fields[3], fields[4]);
        (_anyDay, _anyWeekday, _zone) = (anyDay, anyWeekday, zone);
    }

    /// <summary>Reads five fields; false with one sentence when they make no sense or are never due.</summary>
    public static bool TryParse(string text, TimeZoneInfo zone, [NotNullWhen(true)] out CronSchedule? schedule, out string error)
    {
        schedule = null;
        var words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length != 5)
        {
            error = $"'{text}' has {words.Length} fields; minute, hour, day, month and weekday are expected, such as '0 * * * *'";
            return false;
        }

        var fields = new ulong[5];
        if (!TryField(words[0], 0, 59, [], 0, out fields[0], out error) || !TryField(words[1], 0, 23, [], 0, out fields[1], out error)
            || !TryField(words[2], 1, 31, [], 0, out fields[2], out error) || !TryField(words[3], 1, 12, Months, 1, out fields[3], out error)
            || !TryField(words[4], 0, 7, Weekdays, 0, out fields[4], out error))
        {
            return false;
        }

        // Sunday is 0 and 7.
        fields[4] = (fields[4] | (fields[4] >> 7)) & 0x7F;
        var parsed = new CronSchedule(fields, words[2][0] == '*', words[4][0] == '*', zone);
        if (parsed.Next(new DateTime(2024, 1, 1, 0, 0, 0, DateTimeKind.Utc)) is null)
        {
            error = $"'{text}' is never due";
            return false;
        }

        schedule = parsed;
        return true;
    }

    /// <summary>The first time due after <paramref name="after"/>, in UTC; null when there is none for decades.</summary>
    public DateTime? Next(DateTime after)
    {
        var local = TimeZoneInfo.ConvertTimeFromUtc(after, _zone);
        // A clock change may have turned local time back: begin before it and pass over what is not later.
        var at = Minute(local).AddHours(-3);
        for (var last = at.Year + YearsMax; at.Year <= last && at.Year < 9999;)
        {
            if (!Has(_months, at.Month))
                at = new DateTime(at.Year, at.Month, 1).AddMonths(1);
            else if (!IsDay(at))
                at = at.Date.AddDays(1);
            else if (!Has(_hours, at.Hour))
                at = at.Date.AddHours(at.Hour + 1);
            else if (!Has(_minutes, at.Minute))
                at = at.AddMinutes(1);
            else if (ToUtc(at) is var due && due > after)
                return due;
            else
                at = at.AddMinutes(1);
        }

        return null;
    }

    /// <summary>The last time due before <paramref name="before"/>, in UTC; null when there was none for decades.</summary>
    public DateTime? Previous(DateTime before)
    {
        foreach (var reach in (ReadOnlySpan<int>)[1, 25, 24 * 33, 24 * 370, 24 * 366 * YearsMax])
        {
            if (before < DateTime.MinValue.AddHours(reach + 48))
                return null;
            DateTime? found = null;
            for (var at = Next(before.AddHours(-reach)); at < before; at = Next(at.Value))
                found = at;
            if (found is not null)
                return found;
        }

        return null;
    }

    private static DateTime Minute(DateTime time) => new(time.Year, time.Month, time.Day, time.Hour, time.Minute, 0);

    private static bool Has(ulong set, int value) => (set >> value & 1) != 0;

    private bool IsDay(DateTime local)
    {
        var (day, weekday) = (Has(_days, local.Day), Has(_weekdays, (int)local.DayOfWeek));
        return _anyDay || _anyWeekday ? day && weekday : day || weekday;
    }

    private DateTime ToUtc(DateTime local)
    {
        while (_zone.IsInvalidTime(local))
            local = local.AddMinutes(1);
        var offset = _zone.IsAmbiguousTime(local) ? _zone.GetAmbiguousTimeOffsets(local).Max() : _zone.GetUtcOffset(local);
        return DateTime.SpecifyKind(local - offset, DateTimeKind.Utc);
    }

    private static bool TryField(string text, int least, int most, string[] names, int firstName, out ulong set, out string error)
    {
        (set, error) = (0, "");
        foreach (var item in text.Split(','))
        {
            var slash = item.IndexOf('/');
            var (range, step) = slash < 0 ? (item, 1) : (item[..slash], Number(item[(slash + 1)..], [], 0));
            var dash = range.IndexOf('-');
            var (from, to) = range == "*" ? (least, most)
                : dash < 0 ? (Number(range, names, firstName), slash < 0 ? Number(range, names, firstName) : most)
                : (Number(range[..dash], names, firstName), Number(range[(dash + 1)..], names, firstName));
            if (from < least || to > most || from > to || step < 1)
            {
                error = $"'{item}' is no value, range or step of {least} to {most}";
                return false;
            }

            for (var value = from; value <= to; value += step)
                set |= 1UL << value;
        }

        return true;
    }

    /// <summary>A number or a name's number, −1 for anything else.</summary>
    private static int Number(string text, string[] names, int firstName) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number
        : Array.FindIndex(names, n => n.Equals(text, StringComparison.OrdinalIgnoreCase)) is >= 0 and var index ? index + firstName : -1;
}
