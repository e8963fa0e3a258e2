using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Jobs.Scheduling;

namespace Millrace.Jobs.Tests.Scheduling;

public sealed class CronScheduleTests
{
    [Theory]
    [InlineData("0 * * * *", "UTC", "2026-01-15T12:00:00", "2026-01-15T13:00:00")]
    [InlineData("0 * * * *", "UTC", "2026-01-15T11:59:59", "2026-01-15T12:00:00")]
    [InlineData("*/15 8-9 * * *", "UTC", "2026-01-15T09:45:00", "2026-01-16T08:00:00")]
    [InlineData("5,35 * * * *", "UTC", "2026-01-15T12:05:00", "2026-01-15T12:35:00")]
    [InlineData("0 0 1 * *", "UTC", "2026-01-31T12:00:00", "2026-02-01T00:00:00")]
    [InlineData("0 0 29 2 *", "UTC", "2026-01-01T00:00:00", "2028-02-29T00:00:00")]
    [InlineData("0 6 * * mon-fri", "UTC", "2026-01-16T06:00:00", "2026-01-19T06:00:00")]
    [InlineData("0 6 * * 7", "UTC", "2026-01-15T00:00:00", "2026-01-18T06:00:00")]
    [InlineData("0 0 13 * fri", "UTC", "2026-02-01T00:00:00", "2026-02-06T00:00:00")]
    [InlineData("0 0 1 jan *", "UTC", "2026-01-15T00:00:00", "2027-01-01T00:00:00")]
    [InlineData("0 3 * * *", "Europe/Berlin", "2026-01-15T00:00:00", "2026-01-15T02:00:00")]
    [InlineData("0 3 * * *", "Europe/Berlin", "2026-07-15T00:00:00", "2026-07-15T01:00:00")]
    [InlineData("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-29T01:00:00")] // 02:30 is skipped that night
    [InlineData("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00", "2026-10-25T00:30:00")] // 02:30 comes twice
    [InlineData("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-26T01:30:00")]
    public void The_next_time_is_the_first_that_fits(string fields, string zone, string after, string due) =>
        Assert.Equal(Time(due), Parse(fields, zone).Next(Time(after)));

    [Theory]
    [InlineData("0 * * * *", "2026-01-15T13:00:00", "2026-01-15T12:00:00")]
    [InlineData("0 0 * * *", "2026-01-15T00:00:00", "2026-01-14T00:00:00")]
    [InlineData("0 0 29 2 *", "2028-02-29T00:00:00", "2024-02-29T00:00:00")]
    public void The_time_before_is_the_last_that_fits(string fields, string before, string due) =>
        Assert.Equal(Time(due), Parse(fields, "UTC").Previous(Time(before)));

    [Theory]
    [InlineData("* * * *", "4 fields")]
    [InlineData("60 * * * *", "0 to 59")]
    [InlineData("* * 0 * *", "1 to 31")]
    [InlineData("5-1 * * * *", "5-1")]
    [InlineData("*/0 * * * *", "*/0")]
    [InlineData("* * * noon *", "noon")]
    [InlineData("0 0 31 2 *", "never due")]
    public void What_makes_no_sense_is_told(string fields, string part)
    {
        Assert.False(CronSchedule.TryParse(fields, TimeZoneInfo.Utc, out _, out var error));
        Assert.Contains(part, error);
    }

    [Fact]
    public void Next_goes_through_every_minute_that_fits_and_no_other()
    {
        // Judged minute by minute, without the product's jumps.
        Prop.ForAll(Gen.Choose(0, 59).ToArbitrary(), Gen.Choose(0, 23).ToArbitrary(), Gen.Choose(1, 28).ToArbitrary(), (minute, hour, day) =>
        {
            var schedule = Parse($"{minute}-{minute} {hour},{(hour + 5) % 24} {day},{(day + 3) % 28 + 1} * *", "UTC");
            var at = Time("2026-01-01T00:00:00").AddSeconds(-1);
            List<DateTime> got = [];
            while (schedule.Next(at) is { } due && due < Time("2026-03-01T00:00:00"))
                got.Add(at = due);
            var expected = Enumerable.Range(0, 59 * 1440).Select(m => Time("2026-01-01T00:00:00").AddMinutes(m))
                .Where(t => t.Minute == minute && (t.Hour == hour || t.Hour == (hour + 5) % 24) && (t.Day == day || t.Day == (day + 3) % 28 + 1));
            return got.SequenceEqual(expected);
        }).QuickCheckThrowOnFailure();
    }

    private static CronSchedule Parse(string fields, string zone)
    {
        Assert.True(CronSchedule.TryParse(fields, TimeZoneInfo.FindSystemTimeZoneById(zone), out var schedule, out var error), error);
        return schedule;
    }

    private static DateTime Time(string text) => DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);
}
