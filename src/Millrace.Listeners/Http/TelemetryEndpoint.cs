using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.ObjectPool;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Listeners.Http;

/// <summary>
/// Takes readings posted over HTTP: one object, an array, lines of JSON, XML or a form. Answers when every accepted
/// reading is on stable storage. Hot: the state of a request is pooled.
/// </summary>
public sealed class TelemetryEndpoint
{
    /// <summary>Seconds after which a refused sender should come again: when behind, and when the log stands still.</summary>
    private const int RetryWhenBehindSeconds = 1;
    private const int RetryWhenRefusedSeconds = 10;

    private readonly Authenticator _authenticator;
    private readonly ListenerLedger _ledger;
    private readonly IDeadLetters _deadLetters;
    private readonly BodyBudget _budget;
    private readonly DefaultObjectPool<TelemetryRequest> _requests;

    public TelemetryEndpoint(
        TelemetryOptions options, IReadingLog log, ListenerLedger ledger, Decoder decoder, IAdmission admission,
        IDeadLetters deadLetters, Authenticator authenticator)
    {
        Options = options;
        Log = log;
        Decoder = decoder;
        Admission = admission;
        _authenticator = authenticator;
        _ledger = ledger;
        _deadLetters = deadLetters;
        _budget = new BodyBudget(options.QueueBytes);
        // The budget is what bounds us; a record is at most a little larger than its text, so the log never has to refuse.
        Appender = log.OpenAppender(ledger, options.QueueBytes * 2);
        _requests = new DefaultObjectPool<TelemetryRequest>(new RequestPolicy(this), maximumRetained: 512);
    }

    internal TelemetryOptions Options { get; }

    internal IReadingLog Log { get; }

    internal ILogAppender Appender { get; }

    internal Decoder Decoder { get; }

    internal IAdmission Admission { get; }

    /// <summary>Takes the readings of a request; <paramref name="device"/> is the device its path names, or null.</summary>
    public async Task PostAsync(HttpContext context, string? device)
    {
        var who = _authenticator.Identify(context);
        if (who is null || !_authenticator.MaySend(who))
        {
            Refuse(who is null ? RejectReason.Unauthenticated : RejectReason.NotAllowed, device);
            await (who is null ? Authenticator.RefuseUnknownAsync(context) : Authenticator.RefuseRoleAsync(context, who, "operate"));
            return;
        }

        var type = BodyTypes.Of(context.Request.ContentType);
        if (type == BodyType.Unsupported || IsEncoded(context.Request))
        {
            Refuse(RejectReason.UnsupportedFormat, device);
            await Problem.UnsupportedTypeAsync(
                context, "application/json, application/x-ndjson, application/xml or application/x-www-form-urlencoded, in UTF-8 and without a Content-Encoding");
            return;
        }

        if (context.Request.ContentLength > Options.BodyBytesMax)
        {
            Refuse(RejectReason.TooLarge, device);
            await TooLargeAsync(context, null);
            return;
        }

        if (Log.State != LogState.Accepting)
        {
            await LogRefusesAsync(context, Log.State, Log.StateDetail, null);
            return;
        }

        var request = _requests.Get();
        try
        {
            var outcome = await request.TakeAsync(context, type, Authenticator.SenderOf(who), device);
            await AnswerAsync(context, request, outcome);
        }
        finally
        {
            await request.SettleAsync();
            _requests.Return(request);
        }
    }

    /// <summary>Runs the decoding and answering code without storing or counting anything, so that the first burst is fast.</summary>
    public void WarmUp()
    {
        var request = _requests.Get();
        request.WarmUp();
        _requests.Return(request);
    }

    /// <summary>Keeps and counts what was refused before or while it was read.</summary>
    internal void Reject(RejectReason reason, ushort tenant, string? device, string? detail, ReadOnlySpan<byte> payload)
    {
        _ledger.CountRejected(reason);
        _deadLetters.Keep(ListenerId.Http, reason, tenant, device, detail, payload);
    }

    internal void CountReceived(long readings) => _ledger.CountReceived(readings);

    internal BodyBudget Budget => _budget;

    /// <summary>A whole request refused unread counts as one reading: more is not known of it.</summary>
    private void Refuse(RejectReason reason, string? device)
    {
        _ledger.CountReceived(1);
        Reject(reason, 0, device, null, default);
    }

    private static bool IsEncoded(HttpRequest request) =>
        request.Headers.ContentEncoding is { Count: > 0 } encoding && !string.Equals(encoding[0], "identity", StringComparison.OrdinalIgnoreCase);

    private Task AnswerAsync(HttpContext context, TelemetryRequest request, TelemetryOutcome outcome) => outcome switch
    {
        TelemetryOutcome.Taken when request.Accepted > 0 || request.RejectedCount == 0 => request.WriteAcceptedAsync(context),
        TelemetryOutcome.Taken when request.OnlyTooLarge => TooLargeAsync(context, request),
        TelemetryOutcome.Taken => AllBadAsync(context, request),
        TelemetryOutcome.TooLarge => TooLargeAsync(context, request),
        TelemetryOutcome.Behind => Problem.RetryLaterAsync(
            context, StatusCodes.Status429TooManyRequests, "behind", "The server is behind",
            "More readings are waiting for the disk than the server may hold.", RetryWhenBehindSeconds, request.WriteCounts),
        TelemetryOutcome.BrokenOff => BrokenOffAsync(context, request),
        TelemetryOutcome.LogRefused => LogRefusesAsync(context, request.RefusedBy?.State ?? LogState.Failed, request.RefusedBy?.Message, request),
        _ => Task.CompletedTask,                      // the caller went away: nobody is there to answer
    };

    private Task TooLargeAsync(HttpContext context, TelemetryRequest? request) =>
        Problem.WriteAsync(
            context, StatusCodes.Status413PayloadTooLarge, "too_large", "The body or a reading in it is too large",
            $"A body may have {Options.BodyBytesMax} bytes and one reading {Options.ReadingBytesMax}.",
            "Send smaller requests, or raise Http:BodyBytesMax or Codecs:PayloadBytesMax.", request is null ? null : request.WriteCounts);

    private static Task BrokenOffAsync(HttpContext context, TelemetryRequest request) =>
        Problem.WriteAsync(
            context, request.Break?.StatusCode ?? StatusCodes.Status400BadRequest, "broken_off", "The body did not come to its end",
            request.Break?.Message ?? "The body broke off.", "Send it again; the readings counted as accepted are stored.", request.WriteCounts);

    private static Task AllBadAsync(HttpContext context, TelemetryRequest request) =>
        Problem.WriteAsync(
            context, StatusCodes.Status400BadRequest, "no_reading_accepted", "None of the readings can be taken", request.FirstFault,
            "The reasons are explained in docs/api.md; rejected readings are kept and listed at /api/v1/dead-letters.", request.WriteCounts);

    private static Task LogRefusesAsync(HttpContext context, LogState state, string? detail, TelemetryRequest? request) =>
        Problem.RetryLaterAsync(
            context, StatusCodes.Status503ServiceUnavailable, state == LogState.Full ? "log_full" : "log_failed",
            "The event log takes no readings", detail ?? "The event log does not accept readings at the moment.",
            RetryWhenRefusedSeconds, request is null ? null : request.WriteCounts);

    private sealed class RequestPolicy(TelemetryEndpoint endpoint) : PooledObjectPolicy<TelemetryRequest>
    {
        public override TelemetryRequest Create() => new(endpoint);

        public override bool Return(TelemetryRequest request)
        {
            request.Reset();
            return true;
        }
    }
}
