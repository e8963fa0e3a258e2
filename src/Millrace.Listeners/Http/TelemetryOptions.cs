namespace Millrace.Listeners.Http;

/// <summary>How much telemetry one request, and all requests together, may bring.</summary>
public sealed record TelemetryOptions
{
    /// <summary>Largest body in bytes, 1 KiB to 1 GiB (default 16 MiB).</summary>
    public long BodyBytesMax { get; init; } = 16 << 20;

    /// <summary>Largest single reading in bytes (default 256 KiB).</summary>
    public int ReadingBytesMax { get; init; } = 256 << 10;

    /// <summary>Bytes of bodies in memory at once, over all requests, beyond which new ones get 429 (default 64 MiB).</summary>
    public long QueueBytes { get; init; } = 64 << 20;
}
