using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;

namespace Millrace.Web.Api;

/// <summary>Reads ids from paths and values from queries.</summary>
internal static class RouteValues
{
    /// <summary>The device id of the path. A slash in an id stays encoded on its way through the server, so it is decoded here.</summary>
    public static string DeviceId(this HttpContext context)
    {
        var id = (string?)context.GetRouteValue("id") ?? "";
        return id.Contains("%2F", StringComparison.OrdinalIgnoreCase) ? id.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase) : id;
    }

    public static string? Query(this HttpContext context, string name) =>
        context.Request.Query.TryGetValue(name, out var value) && value.Count > 0 && !string.IsNullOrEmpty(value[0]) ? value[0] : null;

    /// <summary>A limit from the query, clamped to what is allowed; false when it is no number.</summary>
    public static bool TryLimit(this HttpContext context, int fallback, int max, out int limit)
    {
        limit = fallback;
        if (context.Query("limit") is not { } text)
            return true;
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out limit) || limit < 1)
            return false;
        limit = Math.Min(limit, max);
        return true;
    }

    /// <summary>A time as ISO 8601 or Unix milliseconds, in µs; false when it is neither.</summary>
    /// <remarks>A plus sign that nobody encoded arrives as a space.</remarks>
    public static bool TryTime(string text, out long micros) => Micros.TryParse(text.Replace(' ', '+'), out micros) || Micros.TryParse(text, out micros);

    /// <summary>A length of time such as 90, 90s, 15m, 2h or 1d; a bare number is seconds.</summary>
    public static bool TryDuration(string text, out long micros)
    {
        var unit = text.Length > 0 && char.IsAsciiLetter(text[^1]) ? text[^1] : 's';
        var digits = char.IsAsciiLetter(text.Length > 0 ? text[^1] : '0') ? text[..^1] : text;
        var seconds = unit switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 };
        micros = 0;
        if (seconds == 0 || !long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count > 100_000_000)
            return false;
        micros = count * seconds * Micros.PerSecond;
        return true;
    }

    /// <summary>Whether a device id can be one at all.</summary>
    public static bool IsDeviceId(string id) => id.Length is > 0 and <= DeviceIds.LengthMax && DeviceIds.IsValid(Encoding.UTF8.GetBytes(id));
}
