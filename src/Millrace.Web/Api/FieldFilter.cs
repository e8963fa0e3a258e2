using System.Buffers;
using System.Text.Json;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Listeners.Http;

namespace Millrace.Web.Api;

/// <summary>Keeps only the named fields of a reading's data; a dot goes into objects. One request's, not thread-safe.</summary>
internal sealed class FieldFilter
{
    private const int FieldsMax = 64;

    private readonly string[] _fields;
    private readonly ArrayBufferWriter<byte> _whole = new(1024);

    private FieldFilter(string[] fields) => _fields = fields;

    /// <summary>The filter of a comma-separated list; null when nothing is listed.</summary>
    public static FieldFilter? Parse(string? list)
    {
        return Names(list) is { } fields ? new FieldFilter(fields) : null;
    }

    /// <summary>The names of a comma-separated list; null when nothing is listed.</summary>
    public static string[]? Names(string? list)
    {
        var fields = list?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return fields is { Length: > 0 } ? [.. fields.Distinct().Take(FieldsMax)] : null;
    }

    public void Write(in ReadingRecord record, IBufferWriter<byte> output)
    {
        _whole.ResetWrittenCount();
        PayloadView.WriteJson(in record, _whole);
        Write(_whole.WrittenMemory, output);
    }

    /// <param name="view">A payload's JSON view.</param>
    public void Write(ReadOnlyMemory<byte> view, IBufferWriter<byte> output)
    {
        using var data = JsonDocument.Parse(view, new JsonDocumentOptions { MaxDepth = 300 });
        using var json = new Utf8JsonWriter(output, JsonText.WriterOptions);
        json.WriteStartObject();
        foreach (var field in _fields)
        {
            if (TryFind(data.RootElement, field, out var value))
            {
                json.WritePropertyName(field);
                value.WriteTo(json);
            }
        }

        json.WriteEndObject();
    }

    private static bool TryFind(JsonElement from, string field, out JsonElement value)
    {
        if (from.ValueKind == JsonValueKind.Object && from.TryGetProperty(field, out value))
            return true;
        value = default;
        var dot = field.IndexOf('.');
        return dot > 0 && from.ValueKind == JsonValueKind.Object && from.TryGetProperty(field.AsSpan(0, dot), out var inner)
            && TryFind(inner, field[(dot + 1)..], out value);
    }
}
