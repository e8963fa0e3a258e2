using Millrace.Core;

namespace Millrace.Web.Tests;

public class MiddlewareTests
{
    private const string Heartbeat = """{"id":358240051111110,"location":{"lat":56.34,"lon":-2.79},"data":[1,"two"]}""";

    [Fact]
    public async Task A_producer_registers_sends_and_is_read_back()
    {
        await using var server = await WebServer.StartAsync();

        var (registered, worker) = await server.Middleware.PostAsync("/register/358240051111110", null).ReadAsync();
        Assert.Equal((200, server.Middleware.BaseAddress!.GetLeftPart(UriPartial.Authority)), (registered, worker.Text("worker")));

        var (taken, answer) = await server.Middleware.PostTextAsync("/heartbeat", Heartbeat).ReadAsync();
        Assert.Equal((200, """{"ok":true}"""), (taken, answer.GetRawText()));

        var (status, read) = await server.Middleware.GetAsync("/get_data/358240051111110").ReadAsync();
        Assert.Equal(200, status);
        Assert.Equal(358240051111110, read.GetProperty("id").GetInt64());
        Assert.Equal("""{"lat":56.34,"lon":-2.79}""", read.GetProperty("location").GetRawText());
        Assert.Equal("""[1,"two"]""", read.GetProperty("data").GetRawText());
        Assert.Equal("127.0.0.1", read.Text("ip_address"));
        Assert.EndsWith("Z", read.Text("timestamp"), StringComparison.Ordinal);
        Assert.Equal((1, 1), (server.MiddlewareLedger.Received, server.MiddlewareLedger.Stored));
    }

    [Fact]
    public async Task The_newest_of_many_heartbeats_is_read()
    {
        await using var server = await WebServer.StartAsync();
        for (var i = 0; i < 5; i++)
            await server.Middleware.PostTextAsync("/", $$"""{"id":7,"location":null,"data":{{i}}}""");

        var (_, read) = await server.Middleware.GetAsync("/get_data/7").ReadAsync();

        Assert.Equal(4, read.GetProperty("data").GetInt32());
        Assert.Equal(5, server.Log.Readings.Count);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("""{"location":1,"data":1}""")]
    [InlineData("""{"id":"7","location":1,"data":1}""")]
    [InlineData("""{"id":1.5,"location":1,"data":1}""")]
    [InlineData("""{"id":0,"location":1,"data":1}""")]
    [InlineData("""{"id":-3,"location":1,"data":1}""")]
    [InlineData("""{"id":9223372036854775808,"location":1,"data":1}""")]
    [InlineData("""{"id":7,"data":1}""")]
    [InlineData("""{"id":7,"location":1}""")]
    public async Task A_malformed_heartbeat_is_refused_and_not_stored(string body)
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Middleware.PostTextAsync("/heartbeat", body).ReadAsync();

        Assert.Equal(400, status);
        Assert.NotEmpty(json.Text("detail"));
        Assert.Empty(server.Log.Readings);
        Assert.Equal((1, 1), (server.MiddlewareLedger.Received, server.MiddlewareLedger.RejectedTotal));
    }

    [Theory]
    [InlineData("Transfer-Encoding: chunked", "400", 0)]
    [InlineData("Content-Length: 50000000", "413", 1)]
    public async Task A_heartbeat_that_is_garbled_or_too_large_is_never_answered_as_stored(string length, string status, int rejected)
    {
        await using var server = await WebServer.StartAsync();
        using var raw = await RawHttp.ConnectAsync(server.Middleware.BaseAddress!.Authority);

        await raw.SendAsync($"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n\r\n{Heartbeat}\r\n");

        Assert.StartsWith($"HTTP/1.1 {status} ", await raw.ReadAsync(), StringComparison.Ordinal);
        Assert.Empty(server.Log.Readings);
        Assert.Equal(server.MiddlewareLedger.Received, server.MiddlewareLedger.RejectedTotal);
        Assert.Equal(rejected, server.MiddlewareLedger.RejectedFor(RejectReason.TooLarge));
    }

    [Theory]
    [InlineData("POST", "/register/0", 400)]
    [InlineData("POST", "/register/x", 400)]
    [InlineData("POST", "/register/9223372036854775808", 400)]
    [InlineData("GET", "/register/9223372036854775807", 200)]
    [InlineData("POST", "/balancer/6000", 200)]
    [InlineData("POST", "/balancer/0", 400)]
    [InlineData("POST", "/balancer/65536", 400)]
    [InlineData("POST", "/balancer/x", 400)]
    [InlineData("GET", "/balancer/6000", 404)]
    [InlineData("GET", "/get_data/404", 404)]
    [InlineData("GET", "/get_data/", 404)]
    [InlineData("GET", "/workers", 200)]
    [InlineData("GET", "/producers", 200)]
    [InlineData("DELETE", "/heartbeat", 404)]
    [InlineData("GET", "/none", 404)]
    public async Task Calls_are_answered_as_promised(string method, string path, int expected)
    {
        await using var server = await WebServer.StartAsync();
        using var request = new HttpRequestMessage(new HttpMethod(method), path);

        Assert.Equal(expected, await server.Middleware.SendAsync(request).StatusAsync());
    }

    [Fact]
    public async Task A_worker_that_announces_itself_twice_is_one_entry()
    {
        await using var server = await WebServer.StartAsync();

        var (_, first) = await server.Middleware.PostAsync("/balancer/6000", null).ReadAsync();
        var (_, second) = await server.Middleware.PostAsync("/balancer/6000", null).ReadAsync();
        var (_, workers) = await server.Middleware.GetAsync("/workers").ReadAsync();

        Assert.Equal(first.GetRawText(), second.GetRawText());
        Assert.Equal("127.0.0.1:6000", first.Text("address"));
        Assert.Equal(2, workers.GetProperty("workers").GetArrayLength());
    }

    [Fact]
    public async Task Any_device_can_be_read_in_the_same_form()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"AABB01","value":20.5}""");

        var (status, read) = await server.Middleware.GetAsync("/get_data/AABB01").ReadAsync();

        Assert.Equal((200, "AABB01"), (status, read.Text("id")));
        Assert.Equal(20.5, read.GetProperty("data").GetProperty("value").GetDouble());
        Assert.Equal("null", read.GetProperty("location").GetRawText());
    }

    [Fact]
    public async Task In_token_mode_everybody_needs_a_token()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);
        using var producer = server.MiddlewareWith(server.DeviceToken("7"));
        using var consumer = server.MiddlewareWith(server.Token(Role.Read));
        const string beat = """{"id":7,"location":1,"data":1}""";

        Assert.Equal(401, await server.Middleware.PostTextAsync("/heartbeat", beat).StatusAsync());
        Assert.Equal(200, await producer.PostTextAsync("/heartbeat", beat).StatusAsync());
        Assert.Equal(403, await producer.PostTextAsync("/heartbeat", """{"id":8,"location":1,"data":1}""").StatusAsync());
        Assert.Equal(401, await server.Middleware.GetAsync("/get_data/7").StatusAsync());
        Assert.Equal(403, await producer.GetAsync("/get_data/7").StatusAsync());
        Assert.Equal(200, await consumer.GetAsync("/get_data/7").StatusAsync());
        Assert.Equal(403, await consumer.PostTextAsync("/heartbeat", beat).StatusAsync());
        Assert.Equal(401, await server.Middleware.PostAsync("/balancer/6000", null).StatusAsync());
    }

    [Fact]
    public async Task Anonymous_heartbeats_are_stored_as_not_authenticated_when_allowed()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token, allowAnonymous: true);

        Assert.Equal(200, await server.Middleware.PostTextAsync("/heartbeat", """{"id":7,"location":1,"data":1}""").StatusAsync());
        Assert.Equal(401, await server.Middleware.GetAsync("/get_data/7").StatusAsync());
        foreach (var record in server.Log.Blocks[0])
            Assert.Equal(ReadingFlags.None, record.Flags);
    }

    [Fact]
    public async Task A_log_that_does_not_accept_is_503()
    {
        await using var server = await WebServer.StartAsync();
        server.Log.State = LogState.Full;

        Assert.Equal(503, await server.Middleware.PostTextAsync("/heartbeat", Heartbeat).StatusAsync());
    }
}
