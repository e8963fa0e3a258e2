using System.Text.Json;
using System.Text.RegularExpressions;

namespace Millrace.Registry.Alerts;

/// <summary>What a result row says about its alert: key, device and message.</summary>
public static partial class AlertKeys
{
    private static readonly string[] DeviceColumns = ["id", "deviceId"];

    /// <summary>Reads a row of an alert output.</summary>
    /// <param name="key">The key columns; empty: one alert for the whole rule.</param>
    /// <param name="message">A text in which <c>{column}</c> stands for the row's value; empty: the rule's name.</param>
    public static (string Key, string? Device, string Message) Read(ReadOnlyMemory<byte> row, string rule, IReadOnlyList<string> key, string message)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(message);
        using var document = JsonDocument.Parse(row);
        var root = document.RootElement;
        var values = key.Select(k => Find(root, k) is { } v ? v.Clone() : default(JsonElement?)).ToArray();
        var device = DeviceColumns.Select(c => Find(root, c)).FirstOrDefault(v => v is not null) ?? values.FirstOrDefault();
        var text = message.Length == 0
            ? rule
            : Placeholder().Replace(message, m => Find(root, m.Groups[1].Value) is { } value ? Text(value) : m.Value);
        return (JsonSerializer.Serialize(values), device is { } found ? Text(found) : null, text);
    }

    private static JsonElement? Find(JsonElement row, string name)
    {
        if (row.TryGetProperty(name, out var exact))
            return exact;
        foreach (var property in row.EnumerateObject())
        {
            if (property.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
                return property.Value;
        }

        return null;
    }

    private static string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    [GeneratedRegex(@"\{([^{}]+)\}")]
    private static partial Regex Placeholder();
}
