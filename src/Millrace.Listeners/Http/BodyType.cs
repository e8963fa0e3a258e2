namespace Millrace.Listeners.Http;

/// <summary>What a telemetry body is, by its content type and, where that says little, by its first byte.</summary>
internal enum BodyType
{
    Unsupported = 0,

    /// <summary>No type that means anything: the first byte decides.</summary>
    Unstated,
    Json,
    JsonLines,
    Xml,
    Form,
}

internal static class BodyTypes
{
    /// <summary>The type a Content-Type header names. Only UTF-8 is taken.</summary>
    public static BodyType Of(string? contentType)
    {
        // The usual one first: small clients send exactly this.
        if (contentType is "application/json")
            return BodyType.Json;
        if (string.IsNullOrEmpty(contentType))
            return BodyType.Unstated;

        var text = contentType.AsSpan();
        var semicolon = text.IndexOf(';');
        if (semicolon >= 0 && !IsUtf8(text[(semicolon + 1)..]))
            return BodyType.Unsupported;
        var type = (semicolon < 0 ? text : text[..semicolon]).Trim();
        if (Is(type, "application/json") || Is(type, "text/json") || type.EndsWith("+json", StringComparison.OrdinalIgnoreCase))
            return BodyType.Json;
        if (Is(type, "application/x-ndjson") || Is(type, "application/ndjson") || Is(type, "application/jsonl") || Is(type, "application/x-jsonlines"))
            return BodyType.JsonLines;
        if (Is(type, "application/xml") || Is(type, "text/xml") || type.EndsWith("+xml", StringComparison.OrdinalIgnoreCase))
            return BodyType.Xml;
        if (Is(type, "application/x-www-form-urlencoded"))
            return BodyType.Form;
        return BodyType.Unsupported;
    }

    /// <summary>
    /// Settles what the first byte decides: a body of no stated type, and what command-line clients send as a form
    /// although it is JSON.
    /// </summary>
    public static BodyType Settle(BodyType stated, byte first) => (stated, first) switch
    {
        (BodyType.Unstated or BodyType.Form, (byte)'{' or (byte)'[') => BodyType.Json,
        (BodyType.Unstated, (byte)'<') => BodyType.Xml,
        (BodyType.Unstated, _) => BodyType.Json,         // refused there, with the place of the fault
        _ => stated,
    };

    private static bool Is(ReadOnlySpan<char> type, string name) => type.Equals(name, StringComparison.OrdinalIgnoreCase);

    private static bool IsUtf8(ReadOnlySpan<char> parameters)
    {
        var at = parameters.IndexOf("charset=", StringComparison.OrdinalIgnoreCase);
        if (at < 0)
            return true;
        var charset = parameters[(at + "charset=".Length)..];
        var end = charset.IndexOf(';');
        charset = (end < 0 ? charset : charset[..end]).Trim().Trim('"');
        return Is(charset, "utf-8") || Is(charset, "utf8") || Is(charset, "us-ascii");
    }
}
