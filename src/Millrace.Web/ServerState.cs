using System.Buffers;
using System.Text;
using Millrace.Core;
using Millrace.History.Types;
using Millrace.Listeners.Http;
using Millrace.Web.Api;
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
        Types = parts.Types ?? new DeviceTypes(Path.Combine(options.DataFolder, "device-types"));
        Sessions = new Sessions(parts.Tokens, parts.Time);
        Authenticator = new Authenticator(options.Mode, parts.Tokens, Sessions.Find);
        Telemetry = new TelemetryEndpoint(
            new TelemetryOptions { BodyBytesMax = options.BodyBytesMax, ReadingBytesMax = options.ReadingBytesMax, QueueBytes = options.QueueBytes },
            parts.Log, LedgerOf(parts), parts.Decoder, parts.Admission, parts.DeadLetters, Authenticator);
    }

    public WebOptions Options { get; }

    public WebParts Parts { get; }

    public DeviceTypes Types { get; }

    public Sessions Sessions { get; }

    public SignInLock SignInLock => field ??= new SignInLock(Parts.Time);

    public Authenticator Authenticator { get; }

    public TelemetryEndpoint Telemetry { get; }

    public MeterSink Meters { get; } = new();

    /// <summary>What the server did in the last hour.</summary>
    public Activity Activity => field ??= new Activity(this);

    public long StartedAt { get; }

    /// <summary>The bound endpoints by name, once they are bound.</summary>
    public IReadOnlyList<(string Name, string Endpoint)> Endpoints { get; set; } = [];

    /// <summary>Fires when the server stops: streams end, so that draining does not wait for them.</summary>
    public CancellationToken Leaving => _leaving.Token;

    public void Leave() => _leaving.Cancel();

    /// <summary>A device, also one whose first reading is so fresh that the register does not have it yet.</summary>
    public Device? FindDevice(ushort tenant, string id)
    {
        if (Parts.Registry.Find(tenant, id) is { } device)
            return device;
        var fresh = new Device(tenant, id, null, null, [], null, 0, HasToken: false);
        return LatestOf(fresh) is { } latest ? fresh with { CreatedAt = latest.Place.ReceivedAt } : null;
    }

    /// <summary>Where a device's newest reading lies and when it was made, or null.</summary>
    public Latest? LatestOf(Device device)
    {
        var record = new ArrayBufferWriter<byte>(512);
        if (!Parts.Latest.TryRead(device.Tenant, Encoding.UTF8.GetBytes(device.Id), record, out var place))
            return null;
        return new Latest(place, new ReadingRecord(record.WrittenSpan, place.Sequence, place.ReceivedAt).EventTime);
    }

    public void Dispose()
    {
        _leaving.Dispose();
        Meters.Dispose();
    }

    private static ListenerLedger LedgerOf(WebParts parts) =>
        parts.Ledgers.FirstOrDefault(l => l.Listener == ListenerId.Http)
        ?? throw new ArgumentException("The ledgers lack that of HTTP.", nameof(parts));
}
