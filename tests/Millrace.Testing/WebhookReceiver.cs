using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Millrace.Testing;

/// <summary>One request that a <see cref="WebhookReceiver"/> was sent.</summary>
public sealed record Received(string Key, string? Signature, string Body)
{
    /// <summary>The rows it carries.</summary>
    public IEnumerable<JsonElement> Rows => JsonElement.Parse(Body).GetProperty("rows").EnumerateArray();
}

/// <summary>A local HTTP server that keeps what it is sent, and answers as the test says.</summary>
public sealed class WebhookReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;

    private WebhookReceiver(WebApplication app) => _app = app;

    public ConcurrentQueue<Received> All { get; } = new();

    /// <summary>Answers the n-th request, from 0; null: 200.</summary>
    public Func<int, HttpContext, Task>? Answer { get; set; }

    public Uri Url => new(_app.Urls.First() + "/hook");

    public static async Task<WebhookReceiver> StartAsync()
    {
        WebhookReceiver? receiver = null;
        return receiver = new WebhookReceiver(await ListenAsync(context => receiver!.HandleAsync(context)));
    }

    /// <summary>A local HTTP server that hands what is posted to /hook to whoever asked for it.</summary>
    public static async Task<WebApplication> ListenAsync(RequestDelegate take)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        app.MapPost("/hook", take);
        await app.StartAsync();
        return app;
    }

    /// <summary>Rows of distinct keys, as a receiver that remembers keys sees them.</summary>
    public IReadOnlyList<long> Numbers() =>
        [.. All.DistinctBy(r => r.Key).SelectMany(r => r.Rows).Select(row => row.GetProperty("n").GetInt64())];

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, Encoding.UTF8);
        var body = await reader.ReadToEndAsync();
        var number = All.Count;
        All.Enqueue(new Received(context.Request.Headers["Idempotency-Key"].ToString(), context.Request.Headers["Millrace-Signature"], body));
        if (Answer is { } answer)
            await answer(number, context);
    }
}
