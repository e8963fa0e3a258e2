using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

internal enum DatePart
{
    Year,
    Quarter,
    Month,
    DayOfYear,
    Day,
    Week,
    Weekday,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
}

/// <summary>Date functions; everything in UTC. A part comes as a bigint literal that the binder made of its name.</summary>
internal static class DateFunctions
{
    private static readonly string[] MonthNames =
    [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ];

    private static readonly Dictionary<string, DatePart> Parts = new(StringComparer.OrdinalIgnoreCase)
    {
        ["year"] = DatePart.Year,
        ["yy"] = DatePart.Year,
        ["yyyy"] = DatePart.Year,
        ["years"] = DatePart.Year,
        ["quarter"] = DatePart.Quarter,
        ["qq"] = DatePart.Quarter,
        ["q"] = DatePart.Quarter,
        ["quarters"] = DatePart.Quarter,
        ["month"] = DatePart.Month,
        ["mm"] = DatePart.Month,
        ["m"] = DatePart.Month,
        ["months"] = DatePart.Month,
        ["dayofyear"] = DatePart.DayOfYear,
        ["dy"] = DatePart.DayOfYear,
        ["y"] = DatePart.DayOfYear,
        ["day"] = DatePart.Day,
        ["dd"] = DatePart.Day,
        ["d"] = DatePart.Day,
        ["days"] = DatePart.Day,
        ["week"] = DatePart.Week,
        ["wk"] = DatePart.Week,
        ["ww"] = DatePart.Week,
        ["weeks"] = DatePart.Week,
        ["weekday"] = DatePart.Weekday,
        ["dw"] = DatePart.Weekday,
        ["w"] = DatePart.Weekday,
        ["hour"] = DatePart.Hour,
        ["hh"] = DatePart.Hour,
        ["hours"] = DatePart.Hour,
        ["minute"] = DatePart.Minute,
        ["mi"] = DatePart.Minute,
        ["n"] = DatePart.Minute,
        ["minutes"] = DatePart.Minute,
        ["second"] = DatePart.Second,
        ["ss"] = DatePart.Second,
        ["s"] = DatePart.Second,
        ["seconds"] = DatePart.Second,
        ["millisecond"] = DatePart.Millisecond,
        ["ms"] = DatePart.Millisecond,
        ["milliseconds"] = DatePart.Millisecond,
        ["microsecond"] = DatePart.Microsecond,
        ["mcs"] = DatePart.Microsecond,
        ["microseconds"] = DatePart.Microsecond,
    };

    public static readonly Dictionary<string, ScalarFunction> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
        ["DATEADD"] = new(3, 3, false, DateAdd, FirstIsPart: true),
        ["DATEDIFF"] = new(3, 3, false, DateDiff, FirstIsPart: true),
        ["DATEDIFF_BIG"] = new(3, 3, false, DateDiff, FirstIsPart: true),
        ["DATEPART"] = new(2, 2, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => PartOf(f, (DatePart)a[0].Bits, a[1], out r), FirstIsPart: true),
        ["DATENAME"] = new(2, 2, false, DateName, FirstIsPart: true),
        ["DAY"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => PartOf(f, DatePart.Day, a[0], out r)),
        ["MONTH"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => PartOf(f, DatePart.Month, a[0], out r)),
        ["YEAR"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => PartOf(f, DatePart.Year, a[0], out r)),
        ["EOMONTH"] = new(1, 2, false, EndOfMonth),
        ["DATETIMEFROMPARTS"] = new(7, 7, false, FromParts),
    };

    public static bool TryGetPart(string name, out DatePart part) => Parts.TryGetValue(name, out part);

    /// <summary>Units that have a fixed length, as used by windows and limits.</summary>
    public static bool TryGetTicks(DatePart part, out long ticks)
    {
        ticks = part switch
        {
            DatePart.Day => TimeSpan.TicksPerDay,
            DatePart.Hour => TimeSpan.TicksPerHour,
            DatePart.Minute => TimeSpan.TicksPerMinute,
            DatePart.Second => TimeSpan.TicksPerSecond,
            DatePart.Millisecond => TimeSpan.TicksPerMillisecond,
            DatePart.Microsecond => TimeSpan.TicksPerMicrosecond,
            _ => 0,
        };
        return ticks > 0;
    }

    private static bool TryTime(Frame frame, in Value value, out DateTime time)
    {
        time = default;
        if (!Conversion.TryToTicks(value, out var ticks) || ticks < 0 || ticks > DateTime.MaxValue.Ticks)
        {
            frame.Fail("a value is not a datetime");
            return false;
        }

        time = new DateTime(ticks, DateTimeKind.Utc);
        return true;
    }

    private static void DateAdd(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!ScalarFunctions.TryLong(frame, arguments[1], out var count) || !TryTime(frame, arguments[2], out var time))
            return;
        var part = (DatePart)arguments[0].Bits;
        var months = part switch
        {
            DatePart.Year => 12,
            DatePart.Quarter => 3,
            DatePart.Month => 1,
            _ => 0,
        };
        if (months > 0)
        {
            if (Int128.Abs((Int128)count * months) > 120_000)
            {
                frame.Fail("a datetime outside the years 1 to 9999");
                return;
            }

            var total = ((time.Year * 12) + time.Month - 1) + (int)(count * months);
            if (total < 12 || total >= 120_000)
            {
                frame.Fail("a datetime outside the years 1 to 9999");
                return;
            }

            result = Value.OfTicks(time.AddMonths((int)(count * months)).Ticks);
            return;
        }

        var unit = part switch
        {
            DatePart.Week => TimeSpan.TicksPerDay * 7,
            DatePart.DayOfYear or DatePart.Weekday => TimeSpan.TicksPerDay,
            _ => TryGetTicks(part, out var ticks) ? ticks : 0,
        };
        var sum = (Int128)time.Ticks + ((Int128)count * unit);
        if (sum < 0 || sum > DateTime.MaxValue.Ticks)
            frame.Fail("a datetime outside the years 1 to 9999");
        else
            result = Value.OfTicks((long)sum);
    }

    private static void DateDiff(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryTime(frame, arguments[1], out var from) || !TryTime(frame, arguments[2], out var to))
            return;
        var part = (DatePart)arguments[0].Bits;
        result = Value.Of(Border(part, to) - Border(part, from));
    }

    /// <summary>Number of borders of the part before a time.</summary>
    private static long Border(DatePart part, DateTime time) => part switch
    {
        DatePart.Year => time.Year,
        DatePart.Quarter => (time.Year * 4) + ((time.Month - 1) / 3),
        DatePart.Month => (time.Year * 12) + time.Month,

        // 0001-01-01 is a Monday: the day before is the Sunday that starts its week.
        DatePart.Week => ((time.Ticks / TimeSpan.TicksPerDay) + 1) / 7,
        DatePart.DayOfYear or DatePart.Weekday => time.Ticks / TimeSpan.TicksPerDay,
        _ => time.Ticks / (TryGetTicks(part, out var ticks) ? ticks : 1),
    };

    private static long ValueOf(DatePart part, DateTime time) => part switch
    {
        DatePart.Year => time.Year,
        DatePart.Quarter => ((time.Month - 1) / 3) + 1,
        DatePart.Month => time.Month,
        DatePart.DayOfYear => time.DayOfYear,
        DatePart.Day => time.Day,
        DatePart.Week => ((time.DayOfYear - 1 + (int)new DateTime(time.Year, 1, 1).DayOfWeek) / 7) + 1,
        DatePart.Weekday => (int)time.DayOfWeek + 1,
        DatePart.Hour => time.Hour,
        DatePart.Minute => time.Minute,
        DatePart.Second => time.Second,
        DatePart.Millisecond => time.Millisecond,
        _ => time.Ticks % TimeSpan.TicksPerSecond / TimeSpan.TicksPerMicrosecond,
    };

    private static void PartOf(Frame frame, DatePart part, in Value value, out Value result)
        => result = TryTime(frame, value, out var time) ? Value.Of(ValueOf(part, time)) : Value.Null;

    private static void DateName(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryTime(frame, arguments[1], out var time))
            return;
        var part = (DatePart)arguments[0].Bits;
        result = Value.Of(part switch
        {
            DatePart.Month => MonthNames[time.Month - 1],
            DatePart.Weekday => time.DayOfWeek.ToString(),
            _ => ValueOf(part, time).ToString(System.Globalization.CultureInfo.InvariantCulture),
        });
    }

    private static void EndOfMonth(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        long months = 0;
        if (!TryTime(frame, arguments[0], out var time)
            || (arguments.Length == 2 && !ScalarFunctions.TryLong(frame, arguments[1], out months)))
            return;
        var total = (Int128)((time.Year * 12) + time.Month - 1) + months;
        if (total < 12 || total >= 120_000)
        {
            frame.Fail("a datetime outside the years 1 to 9999");
            return;
        }

        var year = (int)(total / 12);
        var month = (int)(total % 12) + 1;
        result = Value.OfTicks(new DateTime(year, month, DateTime.DaysInMonth(year, month)).Ticks);
    }

    private static void FromParts(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        Span<long> parts = stackalloc long[7];
        for (var index = 0; index < 7; index++)
        {
            if (!ScalarFunctions.TryLong(frame, arguments[index], out parts[index]))
                return;
        }

        if (parts[0] is < 1 or > 9999 || parts[1] is < 1 or > 12
            || parts[2] < 1 || parts[2] > DateTime.DaysInMonth((int)parts[0], (int)parts[1])
            || parts[3] is < 0 or > 23 || parts[4] is < 0 or > 59 || parts[5] is < 0 or > 59 || parts[6] is < 0 or > 999)
        {
            frame.Fail("DATETIMEFROMPARTS with parts that are no datetime");
            return;
        }

        result = Value.OfTicks(new DateTime(
            (int)parts[0], (int)parts[1], (int)parts[2], (int)parts[3], (int)parts[4], (int)parts[5], (int)parts[6]).Ticks);
    }
}
