namespace Millrace.Core;

/// <summary>Keeps what could not become a reading, with its reason. Thread-safe, never blocks the caller, bounded: when it
/// cannot keep the bytes it still counts them.</summary>
public interface IDeadLetters
{
    /// <summary>Keeps a copy of the payload (cut to 64 KiB). The ledger counts the rejection; this only keeps the bytes.</summary>
    /// <param name="device">Text of the device id as far as known, or null.</param>
    /// <param name="detail">What is wrong and where, for people; may be null.</param>
    void Keep(ListenerId listener, RejectReason reason, ushort tenant, string? device, string? detail, ReadOnlySpan<byte> payload);
}
