using System.Text;
using Millrace.Core;

namespace Millrace.Listeners;

/// <summary>
/// Passes refused bytes on to the dead letters, a bounded number a second: junk arrives at line rate, and describing and
/// keeping each piece would cost more than serving everybody else. What is not passed on is still counted by the caller.
/// Thread-safe.
/// </summary>
internal sealed class DeadLetterGate(ListenerContext context, ListenerId listener)
{
    /// <summary>Enough to see every kind of junk, little enough to cost nothing: 64 KiB each at the very most.</summary>
    public const int PerSecondMax = 200;

    private long _second;
    private int _passed;

    public void Keep(RejectReason reason, ReadOnlySpan<byte> id, int errorAt, ReadOnlySpan<byte> payload)
    {
        var second = context.Time.GetTimestamp() / context.Time.TimestampFrequency;
        if (Interlocked.Exchange(ref _second, second) != second)
            Volatile.Write(ref _passed, 0);
        if (Volatile.Read(ref _passed) >= PerSecondMax || Interlocked.Increment(ref _passed) > PerSecondMax)
            return;
        var device = DeviceIds.IsValid(id) ? Encoding.UTF8.GetString(id) : null;
        context.DeadLetters.Keep(listener, reason, 0, device, context.Decoder.Describe(reason, errorAt), payload);
    }
}
