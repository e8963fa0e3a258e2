using System.CommandLine;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Millrace.Core;

namespace Millrace.Commands.Remote;

/// <summary>A running server's HTTP API, as the commands use it: --server and MILLRACE_TOKEN.</summary>
internal sealed class ServerApi : IDisposable
{
    private readonly HttpClient _http;

    public ServerApi(string server, string? token)
    {
        if (!server.Contains("://", StringComparison.Ordinal))
            server = "http://" + server;
        if (!Uri.TryCreate(server, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
            throw new UsageException([$"--server {server} is not an http or https address"]);
        _http = new HttpClient { BaseAddress = new Uri(address, "/"), Timeout = TimeSpan.FromSeconds(100) };
        if (!string.IsNullOrEmpty(token))
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    public static Option<string> ServerOption() => new("--server")
    {
        Description = "the server's address; the token comes from MILLRACE_TOKEN",
        DefaultValueFactory = _ => "http://127.0.0.1:8080",
    };

    public static ServerApi Open(ParseResult parsed, Option<string> server) =>
        new(parsed.GetValue(server)!, Environment.GetEnvironmentVariable("MILLRACE_TOKEN"));

    public Task<JsonElement> GetAsync(string path, CancellationToken cancel) => SendAsync(HttpMethod.Get, path, null, cancel);

    public Task<JsonElement> PostAsync(string path, string json, CancellationToken cancel) =>
        SendAsync(HttpMethod.Post, path, new StringContent(json, Encoding.UTF8, "application/json"), cancel);

    public Task<JsonElement> DeleteAsync(string path, CancellationToken cancel) => SendAsync(HttpMethod.Delete, path, null, cancel);

    /// <exception cref="CommandException">The server is not reached, or refuses; the message says why and what to do.</exception>
    public async Task<JsonElement> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancel)
    {
        var answer = await ExchangeAsync(method, path, content, cancel);
        if (!answer.IsSuccess)
            throw new CommandException(answer.Explain());
        try
        {
            return answer.Body.Length == 0 ? default : JsonElement.Parse(answer.Body);
        }
        catch (JsonException e)
        {
            throw new CommandException($"{_http.BaseAddress} answers, but not like a Millrace server; check --server", e);
        }
    }

    /// <summary>The server's answer, whatever it says.</summary>
    /// <exception cref="CommandException">The server is not reached.</exception>
    public async Task<ServerAnswer> ExchangeAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        try
        {
            using var response = await _http.SendAsync(request, cancel);
            return new ServerAnswer(
                response.StatusCode, await response.Content.ReadAsByteArrayAsync(cancel), response.Headers.RetryAfter?.Delta ?? TimeSpan.FromSeconds(1),
                response.Headers.Date);
        }
        catch (HttpRequestException e)
        {
            throw new CommandException($"no server answers at {_http.BaseAddress}: {e.Message}; start it with millrace serve or name it with --server URL", e);
        }
        catch (TaskCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new CommandException($"the server at {_http.BaseAddress} has not answered for {_http.Timeout.TotalSeconds:0} s", e);
        }
    }

    /// <summary>The server's clock, to the second, µs; ours where it does not tell.</summary>
    public async Task<long> ServerTimeAsync(CancellationToken cancel)
    {
        var answer = await ExchangeAsync(HttpMethod.Get, "healthz", null, cancel);
        return answer.Date is { } date ? Micros.FromDateTime(date.UtcDateTime) : TimeProvider.System.Now();
    }

    public void Dispose() => _http.Dispose();
}

/// <summary>What a server answered.</summary>
internal sealed record ServerAnswer(HttpStatusCode Status, byte[] Body, TimeSpan RetryAfter, DateTimeOffset? Date)
{
    public bool IsSuccess => (int)Status is >= 200 and < 300;

    /// <summary>What a refusal means, and what to do.</summary>
    public string Explain()
    {
        if (Status == HttpStatusCode.Unauthorized)
            return "the server wants a token: set MILLRACE_TOKEN (the first one lies in admin-token below the server's data folder)";
        if (Status == HttpStatusCode.Forbidden)
            return "the token in MILLRACE_TOKEN may not do this: use one of role operate or admin";
        try
        {
            var problem = JsonElement.Parse(Body);
            var title = Text(problem, "title") ?? $"HTTP {(int)Status}";
            return Text(problem, "detail") is { } detail ? $"{title.TrimEnd('.')}. {detail}" : title;
        }
        catch (JsonException)
        {
            return $"the server answers HTTP {(int)Status}";
        }
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String
            ? member.GetString()
            : null;
}
