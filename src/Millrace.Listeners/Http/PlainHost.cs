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

namespace Millrace.Listeners.Http;

/// <summary>One HTTP port with one handler and nothing around it: no routing, no files. For protocols that speak HTTP.</summary>
internal sealed class PlainHost(
    IPEndPoint endpoint, int connectionsMax, long bodyBytesMax, string settingName, RequestDelegate handle, ILoggerFactory logs) : IAsyncDisposable
{
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(3);

    private readonly ILogger _log = logs.CreateLogger("Millrace.Listeners.Http");
    private WebApplication? _app;

    public string Endpoint { get; private set; } = "";

    /// <exception cref="StartException">The port is taken, or not ours to take.</exception>
    public async Task StartAsync(CancellationToken cancel)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Millrace", ContentRootPath = AppContext.BaseDirectory });
        builder.WebHost.UseKestrelCore().ConfigureKestrel(Configure);
        builder.Services.AddSingleton<ILoggerFactory>(new FrameworkLogs(logs));
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        _app = builder.Build();
        _app.Run(HandleAsync);
        try
        {
            await _app.StartAsync(cancel);
        }
        catch (IOException error)
        {
            throw new StartException($"{settingName} cannot listen on {endpoint}: {error.Message} Choose another address, or stop the program that has it.", error);
        }

        Endpoint = new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;
    }

    public async Task RunAsync(CancellationToken stopping)
    {
        var app = _app ?? throw new InvalidOperationException("Bind first.");
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (stopping.Register(stopped.SetResult))
            await stopped.Task;
        using var limit = new CancellationTokenSource(DrainLimit);
        await app.StopAsync(limit.Token);
    }

    public ValueTask DisposeAsync() => _app?.DisposeAsync() ?? ValueTask.CompletedTask;

    private void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = bodyBytesMax;
        kestrel.Limits.MaxConcurrentConnections = connectionsMax;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 << 10;
        kestrel.Limits.MaxRequestLineSize = 8 << 10;
        kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        kestrel.Listen(endpoint, listen => listen.Protocols = HttpProtocols.Http1);
    }

    private Task HandleAsync(HttpContext context)
    {
        context.Response.Headers.XContentTypeOptions = "nosniff";
        var handling = handle(context);
        return handling.IsCompletedSuccessfully ? handling : WatchAsync(context, handling);
    }

    private async Task WatchAsync(HttpContext context, Task handling)
    {
        try
        {
            await handling;
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller went away; nobody is there to answer.
        }
        catch (Exception error) when (error is not Microsoft.AspNetCore.Http.BadHttpRequestException)
        {
            HttpListenerLog.RequestFailed(_log, error, context.Request.Method, context.Request.Path.Value ?? "");
            await Problem.WriteAsync(
                context, StatusCodes.Status500InternalServerError, "internal", "The server failed at this request",
                "Something went wrong that should not; the server's log says what.");
        }
    }

    /// <summary>Signals are the program's business.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
