using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Listeners;
using Millrace.Listeners.Http;
using Millrace.Web.Api;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web;

/// <summary>
/// The HTTP server: telemetry, API, events, metrics and pages over http and, when asked for, https. As a listener it is
/// called http; <see cref="Listeners"/> adds https.
/// </summary>
public sealed class WebHost : IListener, IAsyncDisposable
{
    /// <summary>The web server takes a second more to cut off who is left, and views have five of the ten in all.</summary>
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(3);

    private readonly WebOptions _options;
    private readonly WebParts _parts;
    private readonly ILogger _log;
    private readonly ServerState _state;
    private WebApplication? _app;
    private string _endpoint = "";
    private string _httpsEndpoint = "";

    public WebHost(WebOptions options, WebParts parts)
    {
        _options = options;
        _parts = parts;
        _log = parts.Logs.CreateLogger("Millrace.Web");
        _state = new ServerState(options, parts);
    }

    public string Name => _options.Endpoint is not null ? "http" : "https";

    public string Endpoint => _options.Endpoint is not null ? _endpoint : _httpsEndpoint;

    /// <summary>What the ready line names: http and https, as far as they are on. Bind and run them all.</summary>
    public IReadOnlyList<IListener> Listeners => _options is { Endpoint: not null, HttpsEndpoint: not null } ? [this, new SecureFace(this)] : [this];

    /// <inheritdoc/>
    public async ValueTask BindAsync(CancellationToken cancel)
    {
        _app = Build();
        try
        {
            await _app.StartAsync(cancel);
        }
        catch (IOException error)
        {
            throw new StartException(
                $"HTTP cannot listen: {error.Message} Choose another address with Http:Endpoint or Https:Endpoint, or stop the program that has it.", error);
        }

        foreach (var address in _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses)
        {
            var uri = new Uri(address);
            if (uri.Scheme == "https")
                _httpsEndpoint = uri.Authority;
            else
                _endpoint = uri.Authority;
        }

        _state.Endpoints = [.. Listeners.Select(l => (l.Name, l.Endpoint))];
        await WarmUp.RunAsync(_state, IPEndPoint.TryParse(_endpoint, out var bound) ? bound : null, _log, cancel);
    }

    /// <inheritdoc/>
    public async Task RunAsync(CancellationToken stopping)
    {
        var app = _app ?? throw new InvalidOperationException("Bind first.");
        await _state.Activity.RunAsync(stopping);
        _state.Leave();
        using var limit = new CancellationTokenSource(DrainLimit, _parts.Time);
        await app.StopAsync(limit.Token);
    }

    public async ValueTask DisposeAsync()
    {
        if (_app is not null)
            await _app.DisposeAsync();
        _state.Dispose();
    }

    private WebApplication Build()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions
        {
            ApplicationName = "Millrace",
            ContentRootPath = AppContext.BaseDirectory,
        });
        builder.WebHost.UseKestrelCore().ConfigureKestrel(Configure);
        if (_options.HttpsEndpoint is not null)
            builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Services.AddSingleton<ILoggerFactory>(new FrameworkLogs(_parts.Logs));
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.AddRoutingCore();

        var app = builder.Build();
        var guard = new RequestGuard(_options.AllowedHosts, BoundHosts());
        var limit = AddressRates.Of(_options.RequestsPerAddressPerSecond, _parts.Time);
        var pipeline = new RequestPipeline(guard, _state.Authenticator, limit, _log, _state.Leaving);
        app.Use(next => context => pipeline.HandleAsync(context, next));
        app.UseRouting();
        app.Use(next => context => pipeline.AuthorizeAsync(context, next));
#pragma warning disable ASP0014 // Routes have to run before the pages, which end the pipeline.
        app.UseEndpoints(routes => ApiMap.MapAll(routes, _state));
#pragma warning restore ASP0014
        new Pages(_options.PagesFolder).Use(app);
        return app;
    }

    private void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = _options.BodyBytesMax;
        kestrel.Limits.MaxConcurrentConnections = _options.ConnectionsMax;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 << 10;
        kestrel.Limits.MaxRequestLineSize = 8 << 10;
        kestrel.Limits.MaxRequestHeaderCount = 64;
        kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        kestrel.Limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        if (_options.Endpoint is { } http)
            kestrel.Listen(http, listen => listen.Protocols = HttpProtocols.Http1);
        if (_options.HttpsEndpoint is { } https)
        {
            var certificate = ServerCertificate.Load(_options, _parts.Time, _log);
            kestrel.Listen(https, listen => listen.UseHttps(certificate));
        }
    }

    private IEnumerable<string> BoundHosts() =>
        new[] { _options.Endpoint, _options.HttpsEndpoint }
            .OfType<IPEndPoint>()
            .Where(e => !e.Address.Equals(IPAddress.Any) && !e.Address.Equals(IPAddress.IPv6Any))
            .Select(e => e.Address.ToString());

    /// <summary>The https endpoint under its own name; the host itself binds and serves it.</summary>
    private sealed class SecureFace(WebHost host) : IListener
    {
        public string Name => "https";

        public string Endpoint => host._httpsEndpoint;

        public ValueTask BindAsync(CancellationToken cancel) => ValueTask.CompletedTask;

        public async Task RunAsync(CancellationToken stopping)
        {
            var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using (stopping.Register(stopped.SetResult))
                await stopped.Task;
        }
    }
}
