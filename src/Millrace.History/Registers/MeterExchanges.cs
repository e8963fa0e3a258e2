using System.Globalization;
using System.Text.Json;
using Millrace.Core;

namespace Millrace.History.Registers;

/// <summary>The exchanges that a device's attributes record: {"exchanges":[{"time","field","finalOld","firstNew"}]}.</summary>
public static class MeterExchanges
{
    /// <summary>Those of one register; an entry that is none is passed over.</summary>
    /// <param name="attributes">A JSON object as text, or null.</param>
    public static List<MeterExchange> Of(string? attributes, string field)
    {
        var exchanges = new List<MeterExchange>();
        if (attributes is null)
            return exchanges;

        using var json = JsonDocument.Parse(attributes);
        if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("exchanges", out var list) || list.ValueKind != JsonValueKind.Array)
            return exchanges;

        foreach (var entry in list.EnumerateArray())
        {
            if (entry.ValueKind == JsonValueKind.Object && IsOf(entry, field) && TimeOf(entry) is { } time)
                exchanges.Add(new MeterExchange(time, Number(entry, "finalOld"), Number(entry, "firstNew") ?? 0));
        }

        return exchanges;
    }

    /// <summary>Without a field the exchange is that of all registers.</summary>
    private static bool IsOf(JsonElement entry, string field) =>
        !entry.TryGetProperty("field", out var named) || (named.ValueKind == JsonValueKind.String && named.GetString() == field);

    private static long? TimeOf(JsonElement entry) =>
        entry.TryGetProperty("time", out var time) && time.ValueKind == JsonValueKind.String
        && DateTimeOffset.TryParse(time.GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at)
            ? Micros.FromDateTime(at.UtcDateTime)
            : null;

    private static decimal? Number(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetDecimal(out var number) ? number : null;
}
