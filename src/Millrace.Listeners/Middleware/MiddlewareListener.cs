using System.Buffers;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Listeners.Http;
using Decoder = Millrace.Codecs.Decoder;

namespace Millrace.Listeners.Middleware;

/// <summary>
/// The producer/worker/consumer middleware on its own port. One process is balancer and worker at once: producers are
/// given this process as their worker, consumers are answered directly. See README.md beside this file.
/// </summary>
public sealed class MiddlewareListener : IListener, IAsyncDisposable
{
    private const string ReadPath = "/get_data/";
    private const string RegisterPath = "/register/";
    private const string BalancerPath = "/balancer/";
    private const int ProducersMax = 100_000;
    private const int WorkersMax = 1000;

    private readonly MiddlewareOptions _options;
    private readonly TimeProvider _time;
    private readonly PlainHost _host;
    private readonly Authenticator _authenticator;
    private readonly RequestGuard _guard;
    private readonly AddressRates? _rates;
    private readonly HeartbeatIntake _intake;
    private readonly ConsumerReads _reads;
    private readonly ContactBook _producers = new(ProducersMax);
    private readonly ContactBook _workers = new(WorkersMax);
    private readonly ILogger _log;

    public MiddlewareListener(
        MiddlewareOptions options, IReadingLog log, ListenerLedger ledger, Decoder decoder, IAdmission admission, IDeadLetters deadLetters,
        ILatestReadings latest, SecurityMode mode, ITokenStore? tokens, TimeProvider time, ILoggerFactory logs)
    {
        _options = options;
        _time = time;
        _log = logs.CreateLogger("Millrace.Listeners.Middleware");
        _authenticator = new Authenticator(mode, tokens, allowAnonymous: options.AllowAnonymous);
        _guard = new RequestGuard(options.AllowedHosts, options.Endpoint.Address.Equals(IPAddress.Any) ? [] : [options.Endpoint.Address.ToString()]);
        _rates = AddressRates.Of(options.RequestsPerAddressPerSecond, time);
        _intake = new HeartbeatIntake(
            options, log, ledger, decoder, admission, deadLetters, _authenticator, producer => _producers.Touch(producer, time.Now()));
        _reads = new ConsumerReads(log, latest);
        _host = new PlainHost(options.Endpoint, options.ConnectionsMax, options.HeartbeatBytesMax + 1, "Listeners:Middleware:Endpoint", HandleAsync, logs);
    }

    public string Name => "middleware";

    public string Endpoint => _host.Endpoint;

    /// <inheritdoc/>
    public async ValueTask BindAsync(CancellationToken cancel)
    {
        await _host.StartAsync(cancel);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(TimeSpan.FromMilliseconds(150));
        try
        {
            await LoopbackWarmUp.RunAsync(IPEndPoint.Parse(_host.Endpoint), "/get_data/0", limit.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or System.Net.Sockets.SocketException && !cancel.IsCancellationRequested)
        {
            // Only the first requests are slower for it.
        }
    }

    /// <inheritdoc/>
    public Task RunAsync(CancellationToken stopping) => _host.RunAsync(stopping);

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    private Task HandleAsync(HttpContext context)
    {
        if (_guard.Refuse(context) is { } refusal)
            return refusal;
        if (_rates is not null && !_rates.TryTake(context.Connection.RemoteIpAddress ?? IPAddress.None))
            return Problem.TooManyRequestsAsync(context);
        var path = context.Request.Path.Value ?? "/";
        var isGet = HttpMethods.IsGet(context.Request.Method);
        if (isGet && path.StartsWith(ReadPath, StringComparison.Ordinal))
            return ReadAsync(context, path.AsSpan(ReadPath.Length));
        if (HttpMethods.IsPost(context.Request.Method) && path is "/heartbeat" or "/")
            return _intake.PostAsync(context);
        return HandleOtherAsync(context, path, isGet);
    }

    private Task ReadAsync(HttpContext context, ReadOnlySpan<char> id)
    {
        var who = _authenticator.Identify(context);
        if (who is null or { Role: Role.None })
            return who is { DeviceId: not null } ? Authenticator.RefuseRoleAsync(context, who, "read") : Authenticator.RefuseUnknownAsync(context);
        return _reads.GetAsync(context, who.Tenant, id);
    }

    private Task HandleOtherAsync(HttpContext context, string path, bool isGet)
    {
        var isPost = HttpMethods.IsPost(context.Request.Method);
        var known = path.StartsWith(RegisterPath, StringComparison.Ordinal) ? isGet || isPost
            : path.StartsWith(BalancerPath, StringComparison.Ordinal) ? isPost
            : path is "/workers" or "/producers" && isGet;
        if (!known)
        {
            return Problem.NotFoundAsync(
                context, $"There is no {context.Request.Method} {path}.",
                "Known are POST /heartbeat, GET /get_data/{id}, POST /register/{id}, POST /balancer/{port}, GET /workers and GET /producers.");
        }

        var who = _authenticator.Identify(context);
        if (who is null)
            return Authenticator.RefuseUnknownAsync(context);
        if (path.StartsWith(RegisterPath, StringComparison.Ordinal))
            return _authenticator.MaySend(who) ? RegisterAsync(context, path[RegisterPath.Length..]) : Authenticator.RefuseRoleAsync(context, who, "operate");
        if (path.StartsWith(BalancerPath, StringComparison.Ordinal))
            return who.Role >= Role.Operate ? AnnounceAsync(context, path[BalancerPath.Length..]) : Authenticator.RefuseRoleAsync(context, who, "operate");
        if (who.Role < Role.Read)
            return Authenticator.RefuseRoleAsync(context, who, "read");
        return path == "/workers" ? ListWorkersAsync(context) : ListProducersAsync(context);
    }

    /// <summary>One process: the worker is this one, reached by the name the producer used.</summary>
    private Task RegisterAsync(HttpContext context, string id)
    {
        if (!HeartbeatDocument.IsProducerId(Encoding.UTF8.GetBytes(id)))
        {
            return Problem.WriteAsync(
                context, StatusCodes.Status400BadRequest, "bad_device_id", "The producer's id is none",
                $"'{id}' is no whole number from 1 to 9223372036854775807.", "Register with the producer's number, for example its IMEI.");
        }

        _producers.Touch(id, _time.Now());
        return WriteAsync(context, json => json.WriteString("worker"u8, "http://" + OwnAddress(context)));
    }

    /// <summary>A worker is noted and listed; as long as this process is the only one that stores, no producer is sent to it.</summary>
    private Task AnnounceAsync(HttpContext context, string text)
    {
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port is < 1 or > 65535)
        {
            return Problem.WriteAsync(
                context, StatusCodes.Status400BadRequest, "bad_port", "The port is none", $"'{text}' is no port from 1 to 65535.");
        }

        var remote = context.Connection.RemoteIpAddress ?? IPAddress.Loopback;
        var address = new IPEndPoint(remote.IsIPv4MappedToIPv6 ? remote.MapToIPv4() : remote, port).ToString();
        if (_workers.Touch(address, _time.Now()) is not { } worker)
        {
            return Problem.RetryLaterAsync(
                context, StatusCodes.Status503ServiceUnavailable, "too_many_workers", "No more workers are listed", $"{WorkersMax} are known already.", afterSeconds: 60);
        }

        MiddlewareLog.WorkerAnnounced(_log, address);
        return WriteAsync(context, json =>
        {
            json.WriteNumber("id"u8, worker.Number);
            json.WriteString("address"u8, address);
        });
    }

    private Task ListWorkersAsync(HttpContext context) => WriteAsync(context, json =>
    {
        json.WriteStartArray("workers"u8);
        json.WriteStartObject();
        json.WriteNumber("id"u8, 0);
        json.WriteString("address"u8, OwnAddress(context));
        json.WriteBoolean("serves"u8, true);
        json.WriteString("lastContact"u8, Micros.ToIso(_time.Now()));
        json.WriteNumber("producers"u8, _producers.Contacts.Count());
        json.WriteEndObject();
        foreach (var (address, worker) in _workers.Contacts.OrderBy(w => w.Value.Number))
        {
            json.WriteStartObject();
            json.WriteNumber("id"u8, worker.Number);
            json.WriteString("address"u8, address);
            json.WriteBoolean("serves"u8, false);
            json.WriteString("lastContact"u8, Micros.ToIso(worker.LastAt));
            json.WriteNumber("contacts"u8, worker.Count);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    private Task ListProducersAsync(HttpContext context) => WriteAsync(context, json =>
    {
        json.WriteStartArray("producers"u8);
        foreach (var (id, producer) in _producers.Contacts.OrderBy(p => p.Value.Number))
        {
            json.WriteStartObject();
            json.WriteNumber("id"u8, long.Parse(id, CultureInfo.InvariantCulture));
            json.WriteString("worker"u8, "http://" + OwnAddress(context));
            json.WriteString("lastContact"u8, Micros.ToIso(producer.LastAt));
            json.WriteNumber("contacts"u8, producer.Count);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    private string OwnAddress(HttpContext context) => context.Request.Host.HasValue ? context.Request.Host.Value! : _host.Endpoint;

    private static Task WriteAsync(HttpContext context, Action<Utf8JsonWriter> write)
    {
        var bytes = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(bytes, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        context.Response.ContentType = "application/json";
        context.Response.ContentLength = bytes.WrittenCount;
        context.Response.BodyWriter.Write(bytes.WrittenSpan);
        return Task.CompletedTask;
    }
}
