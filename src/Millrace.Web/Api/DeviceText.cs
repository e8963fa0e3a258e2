using System.Text.Json;
using Millrace.Core;
using Millrace.Web.Hosting;

namespace Millrace.Web.Api;

/// <summary>Devices as JSON, in and out.</summary>
internal static class DeviceText
{
    private const int NameMax = 256;
    private const int TypeMax = 64;
    private const int TagMax = 64;
    private const int TagsMax = 32;
    private const int AttributesMax = 16 << 10;

    public static void Write(Utf8JsonWriter json, Device device, ReadingPlace? latest, long? eventTime)
    {
        json.WriteString("id"u8, device.Id);
        json.WriteOptional("name"u8, device.Name);
        json.WriteOptional("type"u8, device.Type);
        json.WriteStartArray("tags"u8);
        foreach (var tag in device.Tags)
            json.WriteStringValue(tag);
        json.WriteEndArray();
        json.WritePropertyName("attributes"u8);
        if (string.IsNullOrEmpty(device.Attributes))
            json.WriteNullValue();
        else
            json.WriteRawValue(device.Attributes);
        json.WriteTime("createdAt"u8, device.CreatedAt);
        json.WriteBoolean("hasToken"u8, device.HasToken);
        if (latest is { } place)
            json.WriteTime("lastSeen"u8, place.ReceivedAt);
        else
            json.WriteNull("lastSeen"u8);
        if (eventTime is { } time)
            json.WriteTime("time"u8, time);
        else
            json.WriteNull("time"u8);
    }

    /// <summary>Reads what a caller may change; <paramref name="fault"/> says what is wrong with it.</summary>
    public static bool TryRead(JsonElement body, out DeviceChange change, out string fault)
    {
        change = new DeviceChange(null, null, null, null);
        fault = "";
        if (!body.TryText("name", out var name) || name?.Length > NameMax)
            fault = $"'name' has to be a string of at most {NameMax} characters.";
        else if (!body.TryText("type", out var type) || type?.Length > TypeMax)
            fault = $"'type' has to be a string of at most {TypeMax} characters.";
        else if (!TryTags(body, out var tags))
            fault = $"'tags' has to be an array of at most {TagsMax} strings of 1 to {TagMax} characters.";
        else if (!TryAttributes(body, out var attributes))
            fault = $"'attributes' has to be an object of at most {AttributesMax} bytes.";
        else
            change = new DeviceChange(name, type, tags, attributes);
        return fault.Length == 0;
    }

    private static bool TryTags(JsonElement body, out IReadOnlyList<string>? tags)
    {
        tags = null;
        if (!body.TryGetProperty("tags", out var member) || member.ValueKind == JsonValueKind.Null)
            return true;
        if (member.ValueKind != JsonValueKind.Array || member.GetArrayLength() > TagsMax)
            return false;
        List<string> read = [];
        foreach (var item in member.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.String || item.GetString() is not { Length: > 0 and <= TagMax } tag)
                return false;
            if (!read.Contains(tag))
                read.Add(tag);
        }

        tags = read;
        return true;
    }

    private static bool TryAttributes(JsonElement body, out string? attributes)
    {
        attributes = null;
        if (!body.TryGetProperty("attributes", out var member) || member.ValueKind == JsonValueKind.Null)
            return true;
        if (member.ValueKind != JsonValueKind.Object || member.GetRawText() is not { Length: <= AttributesMax } text)
            return false;
        attributes = text;
        return true;
    }
}
