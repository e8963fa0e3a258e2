using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Millrace.History.Archive;

/// <summary>Puts a payload's JSON view together from what columns hold of it and a rest that reaches into the same objects.</summary>
internal static class PayloadJoiner
{
    private const int DepthMax = 300;

    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = DepthMax };

    public static void Write(ReadOnlySpan<byte> values, ReadOnlySpan<byte> rest, IBufferWriter<byte> output)
    {
        var root = Parse(values);
        Join(root, Parse(rest));
        using var writer = new Utf8JsonWriter(output, Options);
        root.WriteTo(writer);
    }

    private static JsonObject Parse(ReadOnlySpan<byte> json) =>
        JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { MaxDepth = DepthMax })!.AsObject();

    private static void Join(JsonObject into, JsonObject from)
    {
        foreach (var (name, value) in from.ToList())
        {
            if (value is JsonObject inner && into[name] is JsonObject known)
            {
                Join(known, inner);
                continue;
            }

            from.Remove(name);
            into[name] = value;
        }
    }
}
