using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

public sealed class DeviceTimeTests
{
    [Theory]
    [InlineData("\"2026-01-15T12:00:00Z\"", "2026-01-15T12:00:00.000000Z")]
    [InlineData("\"2026-01-15T12:00:00.1234567Z\"", "2026-01-15T12:00:00.123456Z")]
    [InlineData("\"2026-01-15T12:00:00,5Z\"", "2026-01-15T12:00:00.500000Z")]
    [InlineData("\"2026-01-15 12:00\"", "2026-01-15T12:00:00.000000Z")]
    [InlineData("\"2026-01-15\"", "2026-01-15T00:00:00.000000Z")]
    [InlineData("\"2026-01-15T20:00:00+08:00\"", "2026-01-15T12:00:00.000000Z")]
    [InlineData("\"2026-01-15T07:30:00-0430\"", "2026-01-15T12:00:00.000000Z")]
    [InlineData("\"20260115T120000Z\"", "2026-01-15T12:00:00.000000Z")]
    [InlineData("\"2024-02-29T23:59:60Z\"", "2024-03-01T00:00:00.000000Z")]
    [InlineData("\"2026-01-14T24:00:00Z\"", "2026-01-15T00:00:00.000000Z")]
    [InlineData("\"2026-01-15T12:00:00\\u005a\"", "2026-01-15T12:00:00.000000Z")]
    [InlineData("1768478400", "2026-01-15T12:00:00.000000Z")]
    [InlineData("1768478400.25", "2026-01-15T12:00:00.250000Z")]
    [InlineData("1768478400123", "2026-01-15T12:00:00.123000Z")]
    [InlineData("1.7684784e9", "2026-01-15T12:00:00.000000Z")]
    [InlineData("\"1768478400\"", "2026-01-15T12:00:00.000000Z")]
    [InlineData("-1", "1969-12-31T23:59:59.000000Z")]
    [InlineData("99999999999", "5138-11-16T09:46:39.000000Z")]
    [InlineData("100000000000", "1973-03-03T09:46:40.000000Z")]
    public void Times_are_ISO_8601_or_Unix_seconds_or_milliseconds(string time, string iso) =>
        Assert.Equal(iso, Micros.ToIso(TimeOf($$"""{"time":{{time}}}""")));

    [Theory]
    [InlineData("\"2026-02-30T00:00:00Z\"")]
    [InlineData("\"2026-13-01\"")]
    [InlineData("\"0000-01-01\"")]
    [InlineData("\"2026-01-15T25:00Z\"")]
    [InlineData("\"2026-01-15T12:60Z\"")]
    [InlineData("\"2026-01-15T12:00:00+24:00\"")]
    [InlineData("\"2026-01-15T12:00:00Zx\"")]
    [InlineData("\"2026-01-15T\"")]
    [InlineData("\"12:30\"")]
    [InlineData("\"\"")]
    [InlineData("1768478400123456")]
    [InlineData("true")]
    [InlineData("{}")]
    public void What_is_no_time_is_refused(string time) =>
        Assert.Equal(RejectReason.InvalidTime, Decoded.Json($$"""{"id":"m","time":{{time}}}""").Reason);

    [Theory]
    [InlineData("""{"ts":3,"timestamp":2,"time":1,"userData":{"time":4}}""", 1)]
    [InlineData("""{"ts":3,"timestamp":2,"userData":{"time":4}}""", 2)]
    [InlineData("""{"ts":3,"userData":{"time":4}}""", 3)]
    [InlineData("""{"userData":{"time":4}}""", 4)]
    [InlineData("""{"time":null,"ts":3}""", 3)]
    public void The_first_name_found_counts(string json, int seconds) => Assert.Equal(seconds * Micros.PerSecond, TimeOf(json));

    [Theory]
    [InlineData("""{"value":1}""")]
    [InlineData("""{"time":null}""")]
    [InlineData("""{"nested":{"time":1}}""")]
    public void Without_a_time_there_is_none(string json) => Assert.Equal(Micros.None, TimeOf(json));

    [Fact]
    public void Every_time_the_library_writes_is_read_to_the_microsecond() =>
        Prop.ForAll<DateTime>(time =>
        {
            var utc = DateTime.SpecifyKind(time, DateTimeKind.Utc);
            return TimeOf($$"""{"time":"{{utc.ToString("O", CultureInfo.InvariantCulture)}}"}""") == Micros.FromDateTime(utc);
        }).QuickCheckThrowOnFailure();

    private static long TimeOf(string json)
    {
        var reading = Decoded.Json(json, "m");
        Assert.Equal(RejectReason.None, reading.Reason);
        return reading.DeviceTime;
    }
}
