using System.Text;
using System.Text.Json;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Web.Tests;

public class TelemetryTests
{
    private const string Path = "/api/v1/telemetry";

    [Fact]
    public async Task One_object_is_stored_and_acknowledged()
    {
        await using var server = await WebServer.StartAsync();

        var response = await server.Client.PostTextAsync(Path, """{"id":"A1","value":20.5}""");

        Assert.Equal(200, (int)response.StatusCode);
        Assert.Equal("""{"accepted":1,"rejected":[]}""", await response.Content.ReadAsStringAsync());
        Assert.Equal([("A1", """{"id":"A1","value":20.5}""")], server.Log.Readings);
        Assert.Equal((1, 1, 0), (server.Ledger.Received, server.Ledger.Stored, server.Ledger.InFlight));
    }

    [Theory]
    [InlineData("application/json", """[{"id":"A","v":1},{"id":"B","v":2}]""")]
    [InlineData("application/json; charset=utf-8", """ [ {"id":"A","v":1} , {"id":"B","v":2} ] """)]
    [InlineData("application/x-ndjson", "{\"id\":\"A\",\"v\":1}\n\n{\"id\":\"B\",\"v\":2}")]
    [InlineData("application/json", "{\"id\":\"A\",\"v\":1}\r\n{\"id\":\"B\",\"v\":2}\r\n")]
    [InlineData("application/x-www-form-urlencoded", """[{"id":"A","v":1},{"id":"B","v":2}]""")]
    [InlineData(null, "{\"id\":\"A\",\"v\":1}\n{\"id\":\"B\",\"v\":2}\n")]
    public async Task Arrays_and_lines_are_many_readings(string? type, string body)
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.PostTextAsync(Path, body, type).ReadAsync();

        Assert.Equal((200, 2), (status, json.GetProperty("accepted").GetInt32()));
        Assert.Equal(["A", "B"], server.Log.Readings.Select(r => r.Id).Order());
    }

    [Fact]
    public async Task An_object_printed_over_several_lines_is_one_reading()
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.PostTextAsync(Path, "{\n  \"id\": \"A\",\n  \"list\": [\n{\"b\":1},\n{\"c\":2}]\n}\n").ReadAsync();

        Assert.Equal((200, 1), (status, json.GetProperty("accepted").GetInt32()));
    }

    [Fact]
    public async Task The_path_names_the_device_before_the_payload_does()
    {
        await using var server = await WebServer.StartAsync();

        await server.Client.PostTextAsync("/api/v1/devices/path%2Fid%20%C3%A9/telemetry", """{"id":"other","v":1}""");

        Assert.Equal("path/id é", server.Log.Readings.Single().Id);
    }

    [Fact]
    public async Task Xml_and_forms_are_taken_by_their_content_type()
    {
        await using var server = await WebServer.StartAsync();

        var xml = await server.Client.PostTextAsync("/api/v1/devices/X/telemetry", "<r><value>1</value></r>", "application/xml").StatusAsync();
        var form = await server.Client.PostTextAsync(Path, "id=F&value=2", "application/x-www-form-urlencoded").StatusAsync();

        Assert.Equal((200, 200), (xml, form));
        Assert.Equal(["F", "X"], server.Log.Readings.Select(r => r.Id).Order());
    }

    [Fact]
    public async Task Bad_readings_are_named_and_the_good_ones_stored()
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.PostTextAsync(
            Path, "{\"id\":\"A\",\"v\":1}\nnonsense\n{\"v\":1}\n{\"id\":\"B\"}\n{\"id\":\"blocked\"}\n", "application/x-ndjson").ReadAsync();

        Assert.Equal((200, 2), (status, json.GetProperty("accepted").GetInt32()));
        var rejected = json.GetProperty("rejected").EnumerateArray().Select(r => (r.GetProperty("index").GetInt32(), r.Text("reason"))).ToList();
        Assert.Equal([(1, "invalid_json"), (2, "missing_device"), (4, "device_blocked")], rejected);
        Assert.Equal((5, 2), (server.Ledger.Received, server.Ledger.Stored));
        Assert.Equal(3, server.Ledger.RejectedTotal);
    }

    [Theory]
    [InlineData("application/json", "{\"id\":\"A\"", "invalid_json")]
    [InlineData("application/json", "", "empty_payload")]
    [InlineData("application/json", "  \n ", "empty_payload")]
    [InlineData("application/json", "{\"id\":\"A\",\"id\":\"B\"}", "duplicate_key")]
    [InlineData("application/json", "{\"id\":\"A\",\"v\":NaN}", "invalid_json")]
    [InlineData("application/json", "[1,2]", "not_an_object")]
    [InlineData("application/xml", "<!DOCTYPE a [<!ENTITY x \"xx\"><!ENTITY y \"&x;&x;\">]><a><id>A</id>&y;</a>", "invalid_xml")]
    [InlineData("application/xml", "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a><id>&x;</id></a>", "invalid_xml")]
    [InlineData("application/x-www-form-urlencoded", "id=%ZZ", "invalid_form")]
    public async Task A_body_without_a_good_reading_is_a_problem_document(string type, string body, string reason)
    {
        await using var server = await WebServer.StartAsync();

        using var response = await server.Client.PostTextAsync(Path, body, type);
        var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;

        Assert.Equal(400, (int)response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal(reason, json.GetProperty("rejected")[0].Text("reason"));
        Assert.Equal(0, json.GetProperty("accepted").GetInt32());
        Assert.Equal(Path, json.Text("instance"));
        Assert.Empty(server.Log.Readings);
        Assert.Equal(server.Ledger.Received, server.Ledger.RejectedTotal);
    }

    [Fact]
    public async Task A_broken_array_keeps_the_readings_before_the_fault()
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.PostTextAsync(Path, """[{"id":"A"},{"id":"B"},{"id":"C" """).ReadAsync();

        Assert.Equal((200, 2), (status, json.GetProperty("accepted").GetInt32()));
        Assert.Equal("invalid_json", json.GetProperty("rejected")[0].Text("reason"));
    }

    [Fact]
    public async Task An_empty_array_is_nothing_to_complain_about()
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.PostTextAsync(Path, "[]").ReadAsync();

        Assert.Equal((200, 0), (status, json.GetProperty("accepted").GetInt32()));
    }

    [Theory]
    [InlineData("image/png")]
    [InlineData("application/json; charset=utf-16")]
    [InlineData("text/plain")]
    public async Task Types_that_are_no_readings_get_415(string type)
    {
        await using var server = await WebServer.StartAsync();

        var status = await server.Client.PostTextAsync(Path, """{"id":"A"}""", type).StatusAsync();

        Assert.Equal(415, status);
        Assert.Equal(1, server.Ledger.RejectedFor(RejectReason.UnsupportedFormat));
    }

    [Fact]
    public async Task Bodies_over_the_limit_get_413_whether_declared_or_chunked()
    {
        await using var server = await WebServer.StartAsync(change: o => o with { BodyBytesMax = 10_000 });
        var body = "[" + string.Join(',', Enumerable.Repeat("""{"id":"A","v":1}""", 1000)) + "]";

        var declared = await server.Client.PostTextAsync(Path, body).StatusAsync();
        using var raw = await RawHttp.ConnectAsync(server.HttpEndpoint);
        await raw.SendAsync($"POST {Path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
        await raw.SendAsync($"{body.Length:X}\r\n{body}\r\n0\r\n\r\n");
        var streamed = await raw.ReadAsync(text => text.Contains("\r\n\r\n", StringComparison.Ordinal));

        Assert.Equal(413, declared);
        Assert.StartsWith("HTTP/1.1 413", streamed, StringComparison.Ordinal);
        Assert.Empty(server.Log.Readings);
        Assert.Equal(server.Ledger.Received, server.Ledger.RejectedTotal);
    }

    [Fact]
    public async Task A_body_of_exactly_the_limit_is_taken()
    {
        await using var server = await WebServer.StartAsync(change: o => o with { BodyBytesMax = 20_000 });
        var body = "{\"id\":\"A\",\"v\":\"" + new string('x', 20_000 - 17) + "\"}";

        Assert.Equal(20_000, body.Length);
        Assert.Equal(200, await server.Client.PostTextAsync(Path, body).StatusAsync());
    }

    [Fact]
    public async Task A_reading_over_its_limit_is_rejected_and_the_others_are_stored()
    {
        await using var server = await WebServer.StartAsync(change: o => o with { ReadingBytesMax = 1000 });
        var large = "{\"id\":\"L\",\"v\":\"" + new string('x', 300_000) + "\"}";

        var lines = await server.Client.PostTextAsync(Path, $"{{\"id\":\"A\"}}\n{large}\n{{\"id\":\"B\"}}\n", "application/x-ndjson").ReadAsync();
        var single = await server.Client.PostTextAsync(Path, large).StatusAsync();

        Assert.Equal((200, 2), (lines.Status, lines.Json.GetProperty("accepted").GetInt32()));
        Assert.Equal("""[{"index":1,"reason":"too_large"}]""", lines.Json.GetProperty("rejected").GetRawText());
        Assert.Equal(413, single);
    }

    [Fact]
    public async Task Thousands_of_lines_are_all_stored_in_order()
    {
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 1));
        var body = string.Concat(Enumerable.Range(0, 20_000).Select(i => $"{{\"id\":\"D{i % 7}\",\"n\":{i},\"pad\":\"xxxxxxxxxxxxxxxxxxxx\"}}\n"));

        var (status, json) = await server.Client.PostTextAsync(Path, body, "application/x-ndjson").ReadAsync();

        Assert.Equal((200, 20_000), (status, json.GetProperty("accepted").GetInt32()));
        var numbers = server.Log.Readings.Select(r => JsonDocument.Parse(r.Payload).RootElement.GetProperty("n").GetInt32());
        Assert.Equal(Enumerable.Range(0, 20_000), numbers);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(4096)]
    public async Task However_a_body_is_cut_into_pieces_the_readings_are_the_same(int piece)
    {
        await using var server = await WebServer.StartAsync(log: new MemoryLog(partitions: 1));
        var body = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 300).Select(i => $"{{\"id\":\"é{i}\"}}\n")));

        using var request = new HttpRequestMessage(HttpMethod.Post, Path) { Content = new StreamContent(new SlowStream(body, piece)) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/x-ndjson");
        var (status, json) = await server.Client.SendAsync(request).ReadAsync();

        Assert.Equal((200, 300), (status, json.GetProperty("accepted").GetInt32()));
        Assert.Equal(Enumerable.Range(0, 300).Select(i => $"é{i}"), server.Log.Readings.Select(r => r.Id));
    }

    [Theory]
    [InlineData(LogState.Full, "log_full")]
    [InlineData(LogState.Failed, "log_failed")]
    public async Task A_log_that_does_not_accept_is_503_with_a_time_to_come_again(LogState state, string code)
    {
        await using var server = await WebServer.StartAsync();
        server.Log.State = state;
        server.Log.StateDetail = "the disk is full; free some space";

        using var response = await server.Client.PostTextAsync(Path, """{"id":"A"}""");
        var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;

        Assert.Equal(503, (int)response.StatusCode);
        Assert.NotNull(response.Headers.RetryAfter);
        Assert.Equal($"urn:millrace:problem:{code}", json.Text("type"));
        Assert.Contains("free some space", json.Text("detail"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nobody_is_acknowledged_before_the_log_has_it()
    {
        await using var server = await WebServer.StartAsync();
        server.Log.Hold();

        var answering = server.Client.PostTextAsync(Path, """{"id":"A"}""");
        await server.Ledger.UntilAsync(l => l.InFlight == 1);
        Assert.False(answering.IsCompleted);
        server.Log.Release();

        Assert.Equal(200, await answering.StatusAsync());
    }

    [Fact]
    public async Task More_bodies_than_fit_in_memory_get_429()
    {
        await using var server = await WebServer.StartAsync(change: o => o with { QueueBytes = 100_000, ReadingBytesMax = 200_000 });
        var large = "{\"id\":\"L\",\"v\":\"" + new string('x', 150_000) + "\"}";

        using var response = await server.Client.PostTextAsync(Path, large);

        Assert.Equal(429, (int)response.StatusCode);
        Assert.NotNull(response.Headers.RetryAfter);
        Assert.Equal(200, await server.Client.PostTextAsync(Path, """{"id":"A"}""").StatusAsync());
    }

    [Fact]
    public async Task A_client_that_breaks_off_leaves_whole_readings_and_balanced_books()
    {
        await using var server = await WebServer.StartAsync();
        using var raw = await RawHttp.ConnectAsync(server.HttpEndpoint);
        var lines = string.Concat(Enumerable.Range(0, 20_000).Select(i => $"{{\"id\":\"D{i}\",\"pad\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}\n"));

        await raw.SendAsync($"POST {Path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {lines.Length + 100}\r\n\r\n{lines}{{\"id\":\"cut");
        await server.Ledger.UntilAsync(l => l.Stored > 0);
        raw.Reset();
        await server.Ledger.UntilAsync(l => l.Received == l.Stored && l.InFlight == 0);

        Assert.DoesNotContain(server.Log.Readings, r => r.Id.StartsWith("cut", StringComparison.Ordinal));
        Assert.Equal(server.Log.Readings.Count, server.Ledger.Stored);
    }

    [Fact]
    public async Task A_garbled_body_is_never_answered_as_stored()
    {
        await using var server = await WebServer.StartAsync();
        using var raw = await RawHttp.ConnectAsync(server.HttpEndpoint);

        await raw.SendAsync(
            $"POST {Path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n13\r\n{\"id\":\"A\",\"v\":123}\n\r\nnonsense\r\n");

        var answer = await raw.ReadAsync();
        Assert.StartsWith("HTTP/1.1 400 ", answer, StringComparison.Ordinal);
        Assert.Contains("urn:millrace:problem:broken_off", answer, StringComparison.Ordinal);
        Assert.Contains($"\"accepted\":{server.Log.Readings.Count}", answer, StringComparison.Ordinal);
        Assert.Equal((server.Log.Readings.Count, 0), (server.Ledger.Received, server.Ledger.InFlight));
    }

    [Fact]
    public async Task Books_balance_while_a_slow_body_has_good_and_bad_readings_waiting()
    {
        await using var server = await WebServer.StartAsync();
        using var raw = await RawHttp.ConnectAsync(server.HttpEndpoint);

        await raw.SendAsync(
            $"POST {Path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n{{\"id\":\"A\",\"v\":1}}\nbad\n");
        await server.Ledger.UntilAsync(l => l.RejectedTotal == 1);

        Assert.Equal(server.Ledger.Received, server.Ledger.Stored + server.Ledger.RejectedTotal + server.Ledger.DroppedTotal + server.Ledger.InFlight);
    }

    [Fact]
    public async Task Rejected_readings_are_kept_with_their_bytes()
    {
        await using var server = await WebServer.StartAsync();

        await server.Client.PostTextAsync(Path, "nonsense");
        await server.DeadLetters.DrainAsync(CancellationToken.None);
        var (_, json) = await server.Client.GetAsync("/api/v1/dead-letters?reason=invalid_json&listener=http").ReadAsync();

        var letter = json.GetProperty("deadLetters")[0];
        Assert.Equal(("nonsense", "http", "invalid_json"), (letter.Text("payload"), letter.Text("listener"), letter.Text("reason")));
    }
}
