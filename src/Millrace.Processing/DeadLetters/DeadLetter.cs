using Millrace.Core;

namespace Millrace.Processing.DeadLetters;

/// <summary>Something that could not become a reading, or an event a job could not take, with why.</summary>
/// <param name="Number">Increases by one per letter; names it in the API.</param>
/// <param name="At">When it was kept, µs since the epoch.</param>
/// <param name="Reason">A <see cref="RejectReason"/> name, or a job's reason.</param>
/// <param name="Job">The job that could not take it, or null when a listener refused it.</param>
/// <param name="Detail">What is wrong and where, for people.</param>
/// <param name="Payload">The bytes, cut to <see cref="DeadLetterStore.PayloadBytesMax"/>.</param>
/// <param name="PayloadBytes">How long the payload was before it was cut.</param>
public sealed record DeadLetter(
    long Number, long At, string? Listener, string Reason, ushort Tenant, string? Device, string? Job, string? Detail,
    byte[] Payload, int PayloadBytes);

/// <summary>A page request, newest first.</summary>
/// <param name="After">Only letters with a smaller number; null from the newest on.</param>
public sealed record DeadLetterQuery(ushort Tenant, string? Reason, string? Job, string? Listener, long? After, int Limit);
