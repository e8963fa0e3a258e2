using Millrace.Codecs;
using Millrace.Core;
using Millrace.Processing.DeadLetters;

namespace Millrace.Web.Api;

/// <summary>
/// Decodes kept payloads again as their listener would have, and stores those that are readings now. They are received
/// anew in the books, because their rejection stands.
/// </summary>
internal sealed class Redrive(WebParts parts)
{
    private readonly ListenerLedger _ledger = parts.Ledgers.First(l => l.Listener == ListenerId.Http);

    /// <param name="named">
    /// Whether the caller named these letters, or their reason. What a listener refused for want of a token, or of the right to speak for
    /// that device, becomes a reading only then, never along with others.
    /// </param>
    /// <exception cref="LogUnavailableException">The log does not accept; nothing was taken out.</exception>
    public async Task<(int Accepted, int Rejected)> RunAsync(OpenLetters open, IReadOnlyList<DeadLetter> letters, Principal who, bool named)
    {
        var batch = new ReadingBatch(parts.Log.PartitionCount);
        List<long> taken = [];
        var rejected = 0;
        foreach (var letter in letters)
        {
            if ((named || !IsUntrusted(letter)) && TryAdd(batch, letter, who))
                taken.Add(letter.Number);
            else
                rejected++;
        }

        if (batch.Count > 0)
        {
            _ledger.CountReceived(batch.Count);
            await parts.Log.OpenAppender(_ledger, long.MaxValue).AppendAsync(batch, CancellationToken.None);
        }

        open.Close(taken);
        return (taken.Count, rejected);
    }

    private static bool IsUntrusted(DeadLetter letter) =>
        letter.Job is null && letter.Reason is var reason
        && (reason == RejectReason.Unauthenticated.Name() || reason == RejectReason.NotAllowed.Name());

    private bool TryAdd(ReadingBatch batch, DeadLetter letter, Principal who)
    {
        if (letter.Job is { } job)
            return TryAddEvent(batch, letter, job, who);
        // Cut payloads cannot be what was sent.
        if (letter.PayloadBytes > letter.Payload.Length || !ListenerNames.TryParse(letter.Listener ?? "", out var listener))
            return false;
        ReadOnlySpan<byte> payload = letter.Payload;
        var known = letter.Device is null ? default : System.Text.Encoding.UTF8.GetBytes(letter.Device).AsSpan();
        Span<byte> idBuffer = stackalloc byte[Decoder.IdBufferBytes];
        if (Decode(listener, payload, known, idBuffer, out var reading) != RejectReason.None)
            return false;
        var sender = new Sender(letter.Tenant, Authenticated: false, default);
        if (letter.Tenant != who.Tenant || parts.Admission.Admit(in sender, reading.Id) != RejectReason.None)
            return false;
        batch.Add(letter.Tenant, reading.Id, listener, reading.Format, ReadingFlags.None, reading.DeviceTime, default, reading.Payload);
        return true;
    }

    /// <summary>An event was a reading already: it comes again marked for its job, and other jobs and the history leave it alone.</summary>
    private bool TryAddEvent(ReadingBatch batch, DeadLetter letter, string job, Principal who)
    {
        if (letter.PayloadBytes > letter.Payload.Length || letter.Payload.Length == 0 || letter.Device is not { } device || letter.Tenant != who.Tenant)
            return false;
        var id = System.Text.Encoding.UTF8.GetBytes(device);
        var sender = new Sender(letter.Tenant, Authenticated: false, default);
        if (parts.Admission.Admit(in sender, id) != RejectReason.None)
            return false;
        // At the time it had: an event driven again is no newer than it was.
        Span<byte> idBuffer = stackalloc byte[Decoder.IdBufferBytes];
        var time = parts.Decoder.Json(letter.Payload, id, idBuffer, out var reading) == RejectReason.None && reading.DeviceTime != Micros.None ? reading.DeviceTime : letter.At;
        var properties = new System.Buffers.ArrayBufferWriter<byte>();
        ReadingProperties.Append(properties, ReadingProperties.Job, System.Text.Encoding.UTF8.GetBytes(job));
        batch.Add(
            letter.Tenant, id, ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, time, properties.WrittenSpan, letter.Payload);
        return true;
    }

    private RejectReason Decode(
        ListenerId listener, ReadOnlySpan<byte> payload, ReadOnlySpan<byte> known, Span<byte> idBuffer, out DecodedReading reading)
    {
        var trimmed = payload.TrimStart(" \t\r\n"u8);
        if (trimmed.Length > 0 && trimmed[0] == (byte)'<')
            return parts.Decoder.Xml(payload, known, idBuffer, out reading);
        if (trimmed.Length > 0 && trimmed[0] == (byte)'{')
            return parts.Decoder.Json(payload, known, idBuffer, out reading);
        var reason = listener is ListenerId.Udp or ListenerId.Tcp
            ? parts.Decoder.TextLine(payload, out reading)
            : parts.Decoder.Form(payload, known, idBuffer, out reading);
        return reason;
    }
}
