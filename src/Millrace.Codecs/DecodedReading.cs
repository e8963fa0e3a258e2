using Millrace.Core;

namespace Millrace.Codecs;

/// <summary>
/// One decoded reading, or where decoding failed. Spans point into the input or into the caller's id buffer and live as
/// long as those do.
/// </summary>
public ref struct DecodedReading
{
    /// <summary>The device, UTF-8, valid as an id.</summary>
    public ReadOnlySpan<byte> Id { get; internal set; }

    /// <summary>The time the device gave in µs since the epoch, or <see cref="Micros.None"/>.</summary>
    public long DeviceTime { get; internal set; }

    public PayloadFormat Format { get; internal set; }

    /// <summary>The payload exactly as received, without white space around it.</summary>
    public ReadOnlySpan<byte> Payload { get; internal set; }

    /// <summary>After a refusal: the byte of the input at which the fault lies.</summary>
    public int ErrorAt { get; internal set; }
}
