using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Metrics;
using Millrace.Web.Security;

namespace Millrace.Web;

/// <summary>What the routes share, besides the parts they were given.</summary>
internal sealed class ServerState : IDisposable
{
    private readonly CancellationTokenSource _leaving = new();

    public ServerState(WebOptions options, WebParts parts)
    {
        Options = options;
        Parts = parts;
        StartedAt = parts.Time.Now();
        Sessions = new Sessions(parts.Tokens, parts.Time);
        Authenticator = new Authenticator(options.Mode, parts.Tokens, Sessions.Find);
        Telemetry = new TelemetryEndpoint(
            new TelemetryOptions { BodyBytesMax = options.BodyBytesMax, ReadingBytesMax = options.ReadingBytesMax, QueueBytes = options.QueueBytes },
            parts.Log, LedgerOf(parts), parts.Decoder, parts.Admission, parts.DeadLetters, Authenticator);
    }

    public WebOptions Options { get; }

    public WebParts Parts { get; }

    public Sessions Sessions { get; }

    public SignInLock SignInLock => field ??= new SignInLock(Parts.Time);

    public Authenticator Authenticator { get; }

    public TelemetryEndpoint Telemetry { get; }

    public MeterSink Meters { get; } = new();

    public long StartedAt { get; }

    /// <summary>The bound endpoints by name, once they are bound.</summary>
    public IReadOnlyList<(string Name, string Endpoint)> Endpoints { get; set; } = [];

    /// <summary>Fires when the server stops: streams end, so that draining does not wait for them.</summary>
    public CancellationToken Leaving => _leaving.Token;

    public void Leave() => _leaving.Cancel();

    public void Dispose()
    {
        _leaving.Dispose();
        Meters.Dispose();
    }

    private static ListenerLedger LedgerOf(WebParts parts) =>
        parts.Ledgers.FirstOrDefault(l => l.Listener == ListenerId.Http)
        ?? throw new ArgumentException("The ledgers lack that of HTTP.", nameof(parts));
}
