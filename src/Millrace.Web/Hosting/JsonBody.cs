using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Millrace.Listeners.Http;

namespace Millrace.Web.Hosting;

/// <summary>Reads small JSON bodies, strictly. A refused body has been answered when this returns null.</summary>
internal static class JsonBody
{
    private const int BytesMax = 1 << 20;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

    /// <summary>The body's object.</summary>
    public static async Task<JsonDocument?> ReadObjectAsync(HttpContext context)
    {
        var document = await ReadAsync(context, BytesMax);
        if (document is null || document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        document.Dispose();
        await Problem.BadRequestAsync(context, "The body is JSON but not an object.");
        return null;
    }

    public static async Task<JsonDocument?> ReadAsync(HttpContext context, int bytesMax)
    {
        var body = await ReadBytesAsync(context, bytesMax);
        if (body is null)
            return null;
        try
        {
            return JsonDocument.Parse(body.AsMemory(), Strict);
        }
        catch (JsonException error)
        {
            await Problem.BadRequestAsync(
                context, body.Length == 0
                    ? "The body is empty; JSON is expected."
                    : $"The body is not JSON: line {error.LineNumber + 1}, byte {error.BytePositionInLine}.");
            return null;
        }
    }

    public static async Task<byte[]?> ReadBytesAsync(HttpContext context, int bytesMax)
    {
        var reader = context.Request.BodyReader;
        while (true)
        {
            var read = await reader.ReadAsync(context.RequestAborted);
            if (read.Buffer.Length > bytesMax)
            {
                await Problem.WriteAsync(
                    context, StatusCodes.Status413PayloadTooLarge, "too_large", "The body is too large", $"At most {bytesMax} bytes are taken here.");
                return null;
            }

            if (read.IsCompleted)
            {
                var bytes = read.Buffer.ToArray();
                reader.AdvanceTo(read.Buffer.End);
                return bytes;
            }

            reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    /// <summary>A member that must be a string when it is there.</summary>
    public static bool TryText(this JsonElement body, string name, out string? value)
    {
        value = null;
        if (!body.TryGetProperty(name, out var member) || member.ValueKind == JsonValueKind.Null)
            return true;
        value = member.ValueKind == JsonValueKind.String ? member.GetString() : null;
        return value is not null;
    }
}
