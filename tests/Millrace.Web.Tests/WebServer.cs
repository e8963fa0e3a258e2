using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.History.Rollups.Groups;
using Millrace.Jobs;
using Millrace.Listeners.Middleware;
using Millrace.Outputs.Files;
using Millrace.Processing.DeadLetters;
using Millrace.Processing.Latest;
using Millrace.Registry;
using Millrace.Registry.Alerts;
using Millrace.Testing;

namespace Millrace.Web.Tests;

/// <summary>The HTTP server and the middleware on free ports, over a log in memory and a real registry.</summary>
internal sealed class WebServer : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly SqliteDatabase _database;
    private readonly WebHost _web;
    private readonly MiddlewareListener _middleware;
    private readonly List<Task> _running = [];
    private readonly List<IReadingView> _views = [];
    private readonly ILogReader _reader;

    private WebServer(
        MemoryLog log, SecurityMode mode, Func<WebOptions, WebOptions>? change, bool allowAnonymous, TimeProvider time, DeviceTable? devices, bool withHistory)
    {
        Log = log;
        _database = SqliteDatabase.Open(_folder["registry.db"]);
        Registry = new SqliteRegistry(_database, time);
        Tokens = new SqliteTokens(_database, Registry, time, NullLogger<SqliteTokens>.Instance);
        DeadLetters = new DeadLetterStore(_folder["dead-letter"], time, NullLogger.Instance);
        var options = new WebOptions
        {
            Endpoint = new IPEndPoint(IPAddress.Loopback, 0),
            DataFolder = _folder.Path,
            PagesFolder = _folder["wwwroot"],
            Mode = mode,
        };
        options = change?.Invoke(options) ?? options;
        var decoder = new Millrace.Codecs.Decoder(new DecoderOptions { PayloadBytesMax = options.ReadingBytesMax });
        var latest = new LatestOfLog(log);
        Alerts = new AlertBook(_database, time);
        Jobs = new JobHost(new JobServices
        {
            Log = log,
            Alerts = Alerts,
            DeadLetters = DeadLetters,
            Folder = _folder["jobs"],
            Folders = new AllowedFolders(_folder["files"], []),
            Logs = NullLoggerFactory.Instance,
        });
        _reader = log.OpenReader(new PositionVector(log.PartitionCount));
        _web = new WebHost(options, new WebParts
        {
            Log = log,
            History = withHistory ? History() : null,
            Jobs = Jobs,
            Alerts = Alerts,
            Registry = Registry,
            Tokens = Tokens,
            Decoder = decoder,
            Admission = new OpenAdmission(),
            DeadLetters = DeadLetters,
            DeadLetterStore = DeadLetters,
            Latest = latest,
            Ledgers = [Ledger, MiddlewareLedger],
            Devices = devices,
            Views = () => [new ViewStatus("latest", "running", log.Durable, 0, null)],
            Time = time,
            Logs = NullLoggerFactory.Instance,
        });
        _middleware = new MiddlewareListener(
            new MiddlewareOptions
            {
                Endpoint = new IPEndPoint(IPAddress.Loopback, 0),
                AllowAnonymous = allowAnonymous,
                RequestsPerAddressPerSecond = options.RequestsPerAddressPerSecond,
            },
            log, MiddlewareLedger, decoder, new OpenAdmission(), DeadLetters, latest, mode, Tokens, time, NullLoggerFactory.Instance);
    }

    public MemoryLog Log { get; }

    public SqliteRegistry Registry { get; }

    public SqliteTokens Tokens { get; }

    public DeadLetterStore DeadLetters { get; }

    public AlertBook Alerts { get; }

    public JobHost Jobs { get; }

    public string Folder => _folder.Path;

    public ListenerLedger Ledger { get; } = new(ListenerId.Http);

    public ListenerLedger MiddlewareLedger { get; } = new(ListenerId.Middleware);

    public string HttpEndpoint => _web.Endpoint;

    public IReadOnlyList<IListener> Listeners => _web.Listeners;

    public HttpClient Client { get; private set; } = null!;

    public HttpClient Middleware { get; private set; } = null!;

    public static async Task<WebServer> StartAsync(
        SecurityMode mode = SecurityMode.Open, Func<WebOptions, WebOptions>? change = null, MemoryLog? log = null, bool allowAnonymous = false,
        TimeProvider? time = null, DeviceTable? devices = null, bool withHistory = false)
    {
        var server = new WebServer(log ?? new MemoryLog(), mode, change, allowAnonymous, time ?? TimeProvider.System, devices, withHistory);
        foreach (var view in server._views)
            await view.OpenAsync(server.Log, CancellationToken.None);
        await server._web.BindAsync(CancellationToken.None);
        await server._middleware.BindAsync(CancellationToken.None);
        server._running.Add(server._web.RunAsync(server._stop.Token));
        server._running.Add(server._middleware.RunAsync(server._stop.Token));
        server.Client = Connect(server._web.Endpoint);
        server.Middleware = Connect(server._middleware.Endpoint);
        return server;
    }

    /// <summary>Lets the views of the history take in what the log holds.</summary>
    public async Task FollowAsync()
    {
        while (_reader.TryRead() is { } block)
        {
            foreach (var view in _views)
                await view.ApplyAsync(block, CancellationToken.None);
        }
    }

    /// <summary>Lets the views of the history store what they took in.</summary>
    public async Task ArchiveAsync()
    {
        foreach (var view in _views)
            await view.CheckpointAsync(Log.Durable.Copy(), CancellationToken.None);
    }

    /// <summary>A client that carries a token.</summary>
    public HttpClient With(string token) => With(_web.Endpoint, token);

    public HttpClient MiddlewareWith(string token) => With(_middleware.Endpoint, token);

    public string Token(Role role) => Tokens.Create(role.ToString(), role, 0).Token;

    public string DeviceToken(string device)
    {
        Registry.Add(0, device, new DeviceChange(null, null, null, null));
        return Registry.IssueToken(0, device);
    }

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Client.Dispose();
        Middleware.Dispose();
        await Jobs.DisposeAsync();
        _reader.Dispose();
        foreach (var view in _views.OfType<IDisposable>())
            view.Dispose();
        await _web.DisposeAsync();
        await _middleware.DisposeAsync();
        await DeadLetters.DisposeAsync();
        Tokens.Dispose();
        _database.Dispose();
        _stop.Dispose();
        _folder.Dispose();
    }

    private HistoryParts History()
    {
        var archive = new ArchiveView(_folder["history"], new ArchiveOptions(), NullLogger.Instance);
        var groups = new GroupRollupView(_folder["trends"], Registry, NullLogger.Instance);
        _views.AddRange([archive, groups]);
        var readings = new DeviceReadings(Log, new ArchiveReader(_folder["history"]));
        return new HistoryParts(readings, new DeviceTrends(readings), groups, "time");
    }

    private static HttpClient Connect(string endpoint) =>
        new(new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false }) { BaseAddress = new Uri($"http://{endpoint}"), Timeout = TimeSpan.FromSeconds(30) };

    private static HttpClient With(string endpoint, string token)
    {
        var client = Connect(endpoint);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return client;
    }
}

internal static class Http
{
    public static Task<HttpResponseMessage> PostTextAsync(this HttpClient client, string path, string body, string? type = "application/json")
    {
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
        if (type is not null)
            content.Headers.TryAddWithoutValidation("Content-Type", type);
        return client.PostAsync(path, content);
    }

    public static Task<HttpResponseMessage> PutTextAsync(this HttpClient client, string path, string body, string type = "application/json") =>
        client.PutAsync(path, new StringContent(body, Encoding.UTF8, type));

    /// <summary>The answer's status and its JSON.</summary>
    public static async Task<(int Status, JsonElement Json)> ReadAsync(this Task<HttpResponseMessage> sending)
    {
        using var response = await sending;
        var text = await response.Content.ReadAsStringAsync();
        return ((int)response.StatusCode, text.Length == 0 ? default : JsonDocument.Parse(text).RootElement);
    }

    public static async Task<int> StatusAsync(this Task<HttpResponseMessage> sending)
    {
        using var response = await sending;
        return (int)response.StatusCode;
    }

    public static string Text(this JsonElement json, string name) => json.GetProperty(name).GetString()!;
}
