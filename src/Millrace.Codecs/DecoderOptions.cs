namespace Millrace.Codecs;

/// <summary>How the bytes of a gas meter are read.</summary>
public enum GasMeterVariant
{
    /// <summary>Unsigned big-endian thousandths: what the meters mean.</summary>
    Standard,

    /// <summary>What a published article printed: wrong, and kept only so that its example can be reproduced.</summary>
    Article,
}

/// <summary>Bounds and choices of the decoder.</summary>
public sealed record DecoderOptions
{
    /// <summary>Variant for gas-meter documents. Default: standard.</summary>
    public GasMeterVariant GasMeter { get; init; } = GasMeterVariant.Standard;

    /// <summary>Largest payload of one reading in bytes (64 to 1 MiB). Default: 256 KiB, as much as event hubs take.</summary>
    public int PayloadBytesMax { get; init; } = 256 << 10;

    /// <summary>Deepest nesting of JSON or XML (1 to 64). Default: 64, what other JSON readers take by default.</summary>
    public int DepthMax { get; init; } = 64;

    /// <summary>Most members of one JSON object, and most elements and attributes of one XML document or fields of a form
    /// (1 to 65,536). Default: 1,024.</summary>
    public int FieldsMax { get; init; } = 1024;

    /// <summary>Every mistake at once; none means the options can be used.</summary>
    public IEnumerable<string> Validate()
    {
        if (PayloadBytesMax is < 64 or > 1 << 20)
            yield return $"PayloadBytesMax: {PayloadBytesMax} is outside 64..1048576";
        if (DepthMax is < 1 or > 64)
            yield return $"DepthMax: {DepthMax} is outside 1..64";
        if (FieldsMax is < 1 or > 65_536)
            yield return $"FieldsMax: {FieldsMax} is outside 1..65536";
    }
}
