using System.Net;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Web.Tests;

public class SecurityTests
{
    private const string Telemetry = "/api/v1/telemetry";

    [Theory]
    [InlineData("evil.example", 421)]
    [InlineData("evil.example:8080", 421)]
    [InlineData("localhost.evil.example", 421)]
    [InlineData("192.0.2.7", 421)]
    [InlineData("localhost:1", 200)]
    [InlineData("127.0.0.1", 200)]
    [InlineData("[::1]:8080", 200)]
    [InlineData("meters.example", 200)]
    public async Task Only_our_own_host_names_are_answered(string host, int expected)
    {
        await using var server = await WebServer.StartAsync(change: o => o with { AllowedHosts = ["meters.example"] });
        using var request = new HttpRequestMessage(HttpMethod.Get, "/healthz") { Headers = { Host = host } };

        Assert.Equal(expected, await server.Client.SendAsync(request).StatusAsync());
    }

    [Fact]
    public async Task A_rebound_host_name_cannot_write_to_the_middleware_either()
    {
        await using var server = await WebServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/heartbeat")
        {
            Headers = { Host = "evil.example" },
            Content = new StringContent("""{"id":1,"location":0,"data":0}"""),
        };

        Assert.Equal(421, await server.Middleware.SendAsync(request).StatusAsync());
        Assert.Empty(server.Log.Readings);
    }

    [Theory]
    [InlineData("Origin", "https://evil.example", 403)]
    [InlineData("Origin", "null", 403)]
    [InlineData("Origin", "http://127.0.0.1:1", 403)]
    [InlineData("Origin", "https://meters.example", 200)]
    [InlineData("Sec-Fetch-Site", "cross-site", 403)]
    [InlineData("Sec-Fetch-Site", "same-origin", 200)]
    public async Task Pages_of_other_sites_cannot_write(string header, string value, int expected)
    {
        await using var server = await WebServer.StartAsync(change: o => o with { AllowedHosts = ["meters.example"] });
        using var request = new HttpRequestMessage(HttpMethod.Post, Telemetry) { Content = new StringContent("""{"id":"A"}""") };
        request.Content.Headers.ContentType = new("application/json");
        request.Headers.TryAddWithoutValidation(header, value);

        Assert.Equal(expected, await server.Client.SendAsync(request).StatusAsync());
        Assert.Equal(expected == 200 ? 1 : 0, server.Log.Readings.Count);
    }

    [Fact]
    public async Task Our_own_page_can_write_and_foreign_pages_can_follow_links()
    {
        await using var server = await WebServer.StartAsync();
        using var own = new HttpRequestMessage(HttpMethod.Post, Telemetry) { Content = new StringContent("""{"id":"A"}""") };
        own.Content.Headers.ContentType = new("application/json");
        own.Headers.TryAddWithoutValidation("Origin", $"http://{server.HttpEndpoint}");
        using var link = new HttpRequestMessage(HttpMethod.Get, "/");
        link.Headers.TryAddWithoutValidation("Sec-Fetch-Site", "cross-site");

        Assert.Equal(200, await server.Client.SendAsync(own).StatusAsync());
        Assert.Equal(200, await server.Client.SendAsync(link).StatusAsync());
    }

    [Fact]
    public async Task A_foreign_page_cannot_upgrade_to_a_web_socket()
    {
        await using var server = await WebServer.StartAsync();
        using var raw = await RawHttp.ConnectAsync(server.HttpEndpoint);

        await raw.SendAsync("GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://evil.example\r\n\r\n");
        var answer = await raw.ReadAsync(text => text.Contains("\r\n\r\n", StringComparison.Ordinal));

        Assert.StartsWith("HTTP/1.1 403", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_answer_allows_other_origins()
    {
        await using var server = await WebServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/devices");
        request.Headers.TryAddWithoutValidation("Origin", "https://evil.example");

        using var response = await server.Client.SendAsync(request);

        Assert.DoesNotContain(response.Headers, h => h.Key.StartsWith("Access-Control", StringComparison.OrdinalIgnoreCase));
        Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
    }

    [Theory]
    [InlineData("/api/v1/devices", "text/plain", 415)]
    [InlineData("/api/v1/devices", "application/x-www-form-urlencoded", 415)]
    [InlineData("/api/v1/devices", null, 415)]
    [InlineData("/api/v1/devices", "application/json", 201)]
    [InlineData("/api/v1/devices/import", "text/plain", 415)]
    [InlineData("/api/v1/tokens", "text/plain", 415)]
    [InlineData("/api/v1/session", "text/plain", 415)]
    [InlineData("/api/v1/dead-letters/redrive", "text/plain", 415)]
    public async Task Writes_demand_json(string path, string? type, int expected)
    {
        await using var server = await WebServer.StartAsync();

        Assert.Equal(expected, await server.Client.PostTextAsync(path, """{"id":"A"}""", type).StatusAsync());
    }

    /// <summary>Method, path, body, and what nobody, a device, and the three roles get.</summary>
    public static TheoryData<string, string, string?, int[]> Matrix => new()
    {
        { "GET", "/healthz", null, [200, 200, 200, 200, 200] },
        { "GET", "/readyz", null, [200, 200, 200, 200, 200] },
        { "GET", "/metrics", null, [401, 403, 200, 200, 200] },
        { "GET", "/openapi/v1.json", null, [401, 403, 200, 200, 200] },
        { "GET", "/api/v1/status", null, [401, 403, 200, 200, 200] },
        { "GET", "/api/v1/devices", null, [401, 403, 200, 200, 200] },
        { "GET", "/api/v1/devices/dev", null, [401, 403, 200, 200, 200] },
        { "GET", "/api/v1/devices/dev/latest", null, [401, 403, 404, 404, 404] },
        { "GET", "/api/v1/devices/dev/history", null, [401, 403, 200, 200, 200] },
        { "GET", "/api/v1/dead-letters", null, [401, 403, 200, 200, 200] },
        { "GET", "/api/v1/device-types/none", null, [401, 403, 404, 404, 404] },
        { "GET", "/api/v1/tokens", null, [401, 403, 403, 403, 200] },
        { "GET", "/api/v1/session", null, [200, 200, 200, 200, 200] },
        { "POST", "/api/v1/telemetry", """{"id":"dev"}""", [401, 200, 403, 200, 200] },
        { "POST", "/api/v1/telemetry", """{"id":"other"}""", [401, 400, 403, 200, 200] },
        { "POST", "/api/v1/devices/other/telemetry", """{"id":"dev"}""", [401, 400, 403, 200, 200] },
        { "POST", "/api/v1/devices", """{"id":"new"}""", [401, 403, 403, 201, 201] },
        { "POST", "/api/v1/devices/import", """[{"id":"new"}]""", [401, 403, 403, 200, 200] },
        { "PUT", "/api/v1/devices/dev", """{"name":"x"}""", [401, 403, 403, 200, 200] },
        { "POST", "/api/v1/devices/dev/token", "{}", [401, 403, 403, 200, 200] },
        { "DELETE", "/api/v1/devices/dev", null, [401, 403, 403, 204, 204] },
        { "POST", "/api/v1/dead-letters/redrive", "{}", [401, 403, 403, 200, 200] },
        { "PUT", "/api/v1/device-types/meter", "{}", [401, 403, 403, 200, 200] },
        { "POST", "/api/v1/tokens", """{"name":"t","role":"read"}""", [401, 403, 403, 403, 201] },
        { "DELETE", "/api/v1/tokens/999", null, [401, 403, 403, 403, 404] },
    };

    [Theory]
    [MemberData(nameof(Matrix))]
    public async Task Every_route_serves_those_it_is_for(string method, string path, string? body, int[] expected)
    {
        for (var caller = 0; caller < expected.Length; caller++)
        {
            await using var server = await WebServer.StartAsync(SecurityMode.Token);
            var deviceToken = server.DeviceToken("dev");
            using var client = caller switch
            {
                0 => server.With(""),
                1 => server.With(deviceToken),
                _ => server.With(server.Token((Role)(caller - 1))),
            };
            if (caller == 0)
                client.DefaultRequestHeaders.Authorization = null;
            using var request = new HttpRequestMessage(new HttpMethod(method), path);
            if (body is not null)
            {
                request.Content = new StringContent(body);
                request.Content.Headers.ContentType = new("application/json");
            }

            using var response = await client.SendAsync(request);

            Assert.True(expected[caller] == (int)response.StatusCode, $"caller {caller}: {(int)response.StatusCode} instead of {expected[caller]}");
            if ((int)response.StatusCode >= 400)
                Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
            if ((int)response.StatusCode == 401)
                Assert.Contains("Bearer", response.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_device_that_sends_for_another_is_told_not_allowed()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);
        using var client = server.With(server.DeviceToken("dev"));

        var (status, json) = await client.PostTextAsync(Telemetry, """[{"id":"dev"},{"id":"other"}]""").ReadAsync();

        Assert.Equal((200, 1), (status, json.GetProperty("accepted").GetInt32()));
        Assert.Equal("not_allowed", json.GetProperty("rejected")[0].Text("reason"));
        Assert.Equal(ReadingFlags.Authenticated, FlagsOfFirst(server.Log));
    }

    [Fact]
    public async Task A_wrong_token_is_refused_even_in_open_mode()
    {
        await using var server = await WebServer.StartAsync();
        using var client = server.With("not-a-token");

        Assert.Equal(401, await client.PostTextAsync(Telemetry, """{"id":"A"}""").StatusAsync());
        Assert.Equal(1, server.Ledger.RejectedFor(RejectReason.Unauthenticated));
    }

    [Fact]
    public async Task A_token_in_the_query_is_no_token()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);

        Assert.Equal(401, await server.Client.GetAsync($"/api/v1/devices?token={server.Token(Role.Admin)}").StatusAsync());
    }

    [Fact]
    public async Task A_browser_signs_in_for_a_cookie_and_out_again()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);
        using var signIn = await server.Client.PostTextAsync("/api/v1/session", $$"""{"token":"{{server.Token(Role.Read)}}"}""");
        var cookie = signIn.Headers.GetValues("Set-Cookie").Single();

        Assert.Equal(200, (int)signIn.StatusCode);
        Assert.Contains("httponly", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("samesite=strict", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(200, await GetAsync(server, "/api/v1/devices", cookie));
        Assert.Equal(403, await GetAsync(server, "/api/v1/tokens", cookie));

        using var signOut = new HttpRequestMessage(HttpMethod.Delete, "/api/v1/session");
        signOut.Headers.Add("Cookie", cookie.Split(';')[0]);
        Assert.Equal(204, await server.Client.SendAsync(signOut).StatusAsync());
        Assert.Equal(401, await GetAsync(server, "/api/v1/devices", cookie));
    }

    [Fact]
    public async Task Revoking_a_token_ends_its_sessions()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);
        var (info, token) = server.Tokens.Create("desk", Role.Read, 0);
        using var signIn = await server.Client.PostTextAsync("/api/v1/session", $$"""{"token":"{{token}}"}""");
        var cookie = signIn.Headers.GetValues("Set-Cookie").Single();

        server.Tokens.Revoke(0, info.Id);

        Assert.Equal(401, await GetAsync(server, "/api/v1/devices", cookie));
    }

    [Fact]
    public async Task Repeated_wrong_tokens_lock_signing_in_for_a_while()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(SecurityMode.Token, time: time);
        var right = $$"""{"token":"{{server.Token(Role.Read)}}"}""";

        for (var i = 0; i < 5; i++)
            Assert.Equal(401, await server.Client.PostTextAsync("/api/v1/session", """{"token":"wrong"}""").StatusAsync());
        using var locked = await server.Client.PostTextAsync("/api/v1/session", right);
        Assert.Equal(429, (int)locked.StatusCode);
        Assert.NotNull(locked.Headers.RetryAfter);

        time.Advance(TimeSpan.FromSeconds(61));
        Assert.Equal(200, await server.Client.PostTextAsync("/api/v1/session", right).StatusAsync());
    }

    [Fact]
    public async Task A_device_token_opens_no_session()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);

        Assert.Equal(401, await server.Client.PostTextAsync("/api/v1/session", $$"""{"token":"{{server.DeviceToken("dev")}}"}""").StatusAsync());
    }

    [Theory]
    [InlineData("/healthz", 200)]
    [InlineData("/get_data/7", 404)]
    public async Task The_limit_per_address_refuses_and_lets_in_again(string path, int answered)
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(change: o => o with { RequestsPerAddressPerSecond = 1000 }, time: time);
        var client = answered == 404 ? server.Middleware : server.Client;
        var statuses = new List<int>();
        while (!statuses.Contains(429) && statuses.Count < 2000)
            statuses.Add(await client.GetAsync(path).StatusAsync());
        time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(429, statuses[^1]);
        Assert.Equal(answered, await client.GetAsync(path).StatusAsync());
    }

    [Theory]
    [InlineData("/api/v1/events")]
    [InlineData("/api/v1/devices/m1/stream")]
    public async Task A_stream_ends_when_the_token_it_was_opened_with_is_revoked(string path)
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(SecurityMode.Token, time: time);
        var (info, token) = server.Tokens.Create("desk", Role.Read, 0);
        using var client = server.With(token);
        using var answer = await client.GetAsync(path, HttpCompletionOption.ResponseHeadersRead);
        answer.EnsureSuccessStatusCode();

        Assert.True(server.Tokens.Revoke(0, info.Id));
        var rest = answer.Content.ReadAsStringAsync();
        while (!rest.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(15));
            await Task.Yield();
        }

        Assert.StartsWith(": open", await rest, StringComparison.Ordinal);
        Assert.Equal(401, await client.GetAsync(path).StatusAsync());
    }

    [Fact]
    public async Task Https_serves_with_a_certificate_of_its_own_and_keeps_it()
    {
        await using var server = await WebServer.StartAsync(change: o => o with { HttpsEndpoint = new IPEndPoint(IPAddress.Loopback, 0) });
        using var handler = new SocketsHttpHandler();
        handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate!.Subject == "CN=Millrace";
        using var client = new HttpClient(handler);

        Assert.Equal(["http", "https"], server.Listeners.Select(l => l.Name));
        Assert.Equal(200, await client.GetAsync($"https://{server.Listeners[1].Endpoint}/healthz").StatusAsync());
        Assert.True(File.Exists(System.IO.Path.Combine(server.Folder, "https.pfx")));
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(System.IO.Path.Combine(server.Folder, "https.pfx")));
    }

    [Fact]
    public async Task Idle_connections_and_half_sent_headers_keep_nobody_else_waiting()
    {
        await using var server = await WebServer.StartAsync();
        List<RawHttp> idle = [];
        for (var i = 0; i < 200; i++)
        {
            var raw = await RawHttp.ConnectAsync(server.HttpEndpoint);
            await raw.SendAsync(i % 2 == 0 ? "" : "POST /api/v1/telemetry HTTP/1.1\r\nHost: loc");
            idle.Add(raw);
        }

        Assert.Equal(200, await server.Client.PostTextAsync(Telemetry, """{"id":"A"}""").StatusAsync());
        idle.ForEach(raw => raw.Dispose());
    }

    [Theory]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {0}\r\n\r\n", 40_000)]
    [InlineData("GET /{0} HTTP/1.1\r\nHost: localhost\r\n\r\n", 20_000)]
    [InlineData("nonsense {0}\r\n\r\n", 10)]
    public async Task Oversized_and_garbled_requests_are_refused(string request, int length)
    {
        await using var server = await WebServer.StartAsync();
        using var raw = await RawHttp.ConnectAsync(server.HttpEndpoint);

        await raw.SendAsync(string.Format(request, new string('x', length)));
        var answer = await raw.ReadAsync(text => text.Contains("\r\n\r\n", StringComparison.Ordinal));

        Assert.Matches("^HTTP/1.1 (400|414|431|505) ", answer);
        Assert.Equal(200, await server.Client.GetAsync("/healthz").StatusAsync());
    }

    [Fact]
    public async Task Answers_never_show_a_stack_trace()
    {
        await using var server = await WebServer.StartAsync();
        server.Log.State = (LogState)99;

        var text = await (await server.Client.PostTextAsync(Telemetry, """{"id":"A"}""")).Content.ReadAsStringAsync();

        Assert.DoesNotContain(" at Millrace", text, StringComparison.Ordinal);
    }

    private static async Task<int> GetAsync(WebServer server, string path, string cookie)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Add("Cookie", cookie.Split(';')[0]);
        return await server.Client.SendAsync(request).StatusAsync();
    }

    private static ReadingFlags FlagsOfFirst(MemoryLog log)
    {
        foreach (var record in log.Blocks[0])
            return record.Flags;
        throw new InvalidOperationException("The log is empty.");
    }
}
