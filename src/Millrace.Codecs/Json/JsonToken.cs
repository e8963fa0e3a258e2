namespace Millrace.Codecs.Json;

internal enum JsonKind : byte
{
    None = 0,
    Null,
    True,
    False,
    Number,
    String,
    Object,
    Array,
}

/// <summary>A value found in a document; for strings the range lies inside the quotes.</summary>
internal readonly record struct JsonToken(JsonKind Kind, int Start, int Length, bool Escaped)
{
    /// <summary>Neither missing nor null: null says that the sender has nothing to say.</summary>
    public bool IsGiven => Kind > JsonKind.Null;

    public ReadOnlySpan<byte> In(ReadOnlySpan<byte> json) => json.Slice(Start, Length);
}
