using System.Globalization;

namespace Millrace.Core;

/// <summary>Microseconds since 1970-01-01T00:00:00Z, the unit of every stored time.</summary>
public static class Micros
{
    /// <summary>Marks a reading that brought no device time.</summary>
    public const long None = long.MinValue;

    public const long PerSecond = 1_000_000;
    public const long PerMinute = 60 * PerSecond;

    /// <summary>A device time further ahead of the arrival than this counts as the arrival time.</summary>
    public const long DeviceTimeAheadMax = 5 * PerMinute;

    /// <summary>Years 0001 to 9999, the range in which a time can be shown.</summary>
    public const long Min = -62_135_596_800_000_000;

    public const long Max = 253_402_300_799_999_999;

    public static long Now(this TimeProvider time) => FromDateTime(time.GetUtcNow().UtcDateTime);

    public static long FromDateTime(DateTime utc) => (utc.Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;

    public static DateTime ToDateTime(long micros) =>
        DateTime.UnixEpoch.AddTicks(Math.Clamp(micros, Min, Max) * TimeSpan.TicksPerMicrosecond);

    /// <summary>ISO 8601 in UTC with six fraction digits and Z.</summary>
    public static string ToIso(long micros) => ToDateTime(micros).ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");

    /// <summary>A time as people write it: ISO 8601, in UTC where it names no zone, or Unix milliseconds.</summary>
    public static bool TryParse(string text, out long micros)
    {
        micros = 0;
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var ms))
        {
            if (ms is < Min / 1000 or > Max / 1000)
                return false;
            micros = ms * 1000;
            return true;
        }

        if (!DateTimeOffset.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time))
        {
            return false;
        }

        micros = FromDateTime(time.UtcDateTime);
        return true;
    }

    /// <summary>
    /// The time that orders readings of a device: its own if it gave one that is not more than five minutes ahead of
    /// the arrival, else the arrival.
    /// </summary>
    public static long EventTime(long deviceTime, long receivedAt) =>
        deviceTime == None || deviceTime > receivedAt + DeviceTimeAheadMax ? receivedAt : deviceTime;
}
