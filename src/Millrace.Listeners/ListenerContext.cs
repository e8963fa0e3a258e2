using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Listeners;

/// <summary>What every listener works with.</summary>
/// <param name="Log">Where readings become durable.</param>
/// <param name="Admission">Asked for every reading.</param>
/// <param name="DeadLetters">Keeps the bytes of what was refused.</param>
/// <param name="Decoder">Turns bytes into readings.</param>
/// <param name="Time">The clock and its timers.</param>
/// <param name="Security">Whether senders must prove who they are.</param>
public sealed record ListenerContext(
    IReadingLog Log, IAdmission Admission, IDeadLetters DeadLetters, Decoder Decoder, TimeProvider Time, SecurityMode Security);
