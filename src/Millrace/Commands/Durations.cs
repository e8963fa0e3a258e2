using System.Globalization;

namespace Millrace.Commands;

/// <summary>Times as people write them on a command line: 500ms, 30s, 10m, 1h; a bare number is seconds.</summary>
internal static class Durations
{
    private static readonly (string Suffix, double Seconds)[] Units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("", 1)];

    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = default;
        foreach (var (suffix, seconds) in Units)
        {
            if (!text.EndsWith(suffix, StringComparison.Ordinal))
                continue;
            var number = text.AsSpan(0, text.Length - suffix.Length);
            if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) || value * seconds > 1e8)
                return false;
            duration = TimeSpan.FromSeconds(value * seconds);
            return true;
        }

        return false;
    }
}
