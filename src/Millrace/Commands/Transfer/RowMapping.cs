using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Millrace.Core;

namespace Millrace.Commands.Transfer;

/// <summary>One row of a file on its way: as the object to send, or what is wrong with it.</summary>
/// <param name="Number">Line or row in the file, from 1.</param>
internal readonly record struct ImportRow(long Number, byte[]? Json, string? Fault);

/// <summary>Makes readings of rows: id and time by their names, everything else as it is.</summary>
internal sealed class RowMapping(string? idName, string? timeName)
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonDocumentOptions Reading = new() { MaxDepth = 64 };
    private static readonly string[] IdNames = ["id", "deviceId", "device"];
    private static readonly string[] TimeNames = ["time", "timestamp", "ts"];

    /// <summary>What an export adds to a reading and the server will give anew.</summary>
    private static readonly string[] Given = ["receivedAt", "sequence", "partition"];

    public string? IdName => idName;

    public string? TimeName => timeName;

    public ImportRow Map(long number, ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, Reading);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Map(number, document.RootElement)
                : new ImportRow(number, null, "is not a JSON object");
        }
        catch (JsonException)
        {
            return new ImportRow(number, null, "is not JSON");
        }
    }

    private ImportRow Map(long number, JsonElement row)
    {
        if (!TryFind(row, idName, IdNames, out var id) || id.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Number))
            return new ImportRow(number, null, $"has no device: no member {idName ?? string.Join(", ", IdNames)}");
        var hasTime = TryFind(row, timeName, TimeNames, out var time);
        if (timeName is not null && !hasTime)
            return new ImportRow(number, null, $"has no member {timeName}");
        string? iso = null;
        if (hasTime && time.Value.ValueKind == JsonValueKind.String)
        {
            if (!Micros.TryParse(time.Value.GetString()!, out var micros))
                return new ImportRow(number, null, $"has a {time.Name} that is not a time: {time.Value.GetString()}");
            iso = Micros.ToIso(micros);
        }

        var output = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(output, Options))
        {
            json.WriteStartObject();
            if (id.Value.ValueKind == JsonValueKind.String)
                json.WriteString("id"u8, id.Value.GetString());
            else
                json.WriteString("id"u8, id.Value.GetRawText());
            if (iso is not null)
                json.WriteString("time"u8, iso);
            else if (hasTime && time.Value.ValueKind == JsonValueKind.Number)
                WriteAs(json, "time", time.Value);
            WriteRest(json, row, id.Name, hasTime ? time.Name : null);
            json.WriteEndObject();
        }

        return new ImportRow(number, output.WrittenSpan.ToArray(), null);
    }

    private static void WriteRest(Utf8JsonWriter json, JsonElement row, string id, string? time)
    {
        var isExport = Given.All(name => row.TryGetProperty(name, out _));
        foreach (var member in row.EnumerateObject())
        {
            if (member.Name == id || member.Name == time || member.Name is "id" or "time" || (isExport && Given.Contains(member.Name)))
                continue;
            if (!isExport || member.Name != "data" || member.Value.ValueKind != JsonValueKind.Object)
            {
                if (member.Value.ValueKind != JsonValueKind.Null)
                    WriteAs(json, member.Name, member.Value);
                continue;
            }

            foreach (var inner in member.Value.EnumerateObject().Where(inner => inner.Name is not ("id" or "time")))
                WriteAs(json, inner.Name, inner.Value);
        }
    }

    private static void WriteAs(Utf8JsonWriter json, string name, JsonElement value)
    {
        json.WritePropertyName(name);
        value.WriteTo(json);
    }

    private static bool TryFind(JsonElement row, string? name, string[] names, out (string Name, JsonElement Value) found)
    {
        foreach (var candidate in name is null ? names : [name])
        {
            if (row.TryGetProperty(candidate, out var value) && value.ValueKind != JsonValueKind.Null)
            {
                found = (candidate, value);
                return true;
            }
        }

        found = default;
        return false;
    }
}
