using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Millrace.History.Archive;

/// <summary>Puts a payload's JSON view together again from column values and rest.</summary>
internal static class PayloadJoiner
{
    private static readonly JsonWriterOptions Options = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = 300,
    };

    public static void Write(IReadOnlyList<FieldValue> values, ReadOnlySpan<byte> rest, IBufferWriter<byte> output)
    {
        if (values.Count == 0 && !rest.IsEmpty)
        {
            output.Write(rest); // Also how a payload that no column could hold comes back, byte for byte.
            return;
        }

        var root = rest.IsEmpty
            ? []
            : JsonNode.Parse(rest, documentOptions: new JsonDocumentOptions { MaxDepth = 300 })!.AsObject();
        foreach (var value in values)
            Put(root, value);

        using var writer = new Utf8JsonWriter(output, Options);
        root.WriteTo(writer);
    }

    private static void Put(JsonObject root, in FieldValue value)
    {
        var members = FieldNames.Split(value.Column);
        var at = root;
        foreach (var member in members.AsSpan(0, members.Length - 1))
        {
            if (at[member] is not JsonObject inner)
                at[member] = inner = [];
            at = inner;
        }

        at[members[^1]] = value.Kind switch
        {
            Parquet.ParquetKind.Double => JsonValue.Create(value.Number),
            Parquet.ParquetKind.Boolean => JsonValue.Create(value.Flag),
            _ => JsonValue.Create(value.Text),
        };
    }
}
