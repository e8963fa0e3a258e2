using System.Net;
using System.Text.Json;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>Every protocol and payload form, from the socket to the latest value.</summary>
public sealed class ProtocolTests : IAsyncLifetime
{
    private readonly TempFolder _folder = new();
    private ServerProcess _server = null!;

    public async ValueTask InitializeAsync() => _server = await ServerProcess.StartAsync(_folder["data"]);

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task One_datagram_may_carry_many_lines_and_json()
    {
        _server.SendUdp("one:1\ntwo:2\r\nthree:{\"left\":3}");
        _server.SendUdp("""{"id":"four","left":4}""");

        Assert.Equal(1, await _server.LatestValueAsync("one"));
        Assert.Equal(2, await _server.LatestValueAsync("two"));
        Assert.Equal(3, (await _server.LatestAsync("three")).GetProperty("data").GetProperty("left").GetInt32());
        Assert.Equal(4, (await _server.LatestAsync("four")).GetProperty("data").GetProperty("left").GetInt32());
    }

    [Fact]
    public async Task A_gas_meters_document_is_decoded_right()
    {
        const string Message = """
            {"app":{"moteeui":"ffffffffffffff01","dir":"up","userdata":{"seqno":0,"port":1,"payload":"AgEAD0JAAA7w4wAAUV0ABHYxLjA"},"motetx":{"freq":481.5,"modu":"LORA","datr":"SF12BW125","codr":"4/5","adr":false},"gwrx":[{"eui":"fffe020100000011","time":"2016-12-21T03:24:34Z","timefromgateway":false,"chan":4,"rfch":0,"rssi":-13,"lsnr":9}]}}
            """;

        using var response = await _server.PostAsync("/api/v1/telemetry", Message);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var data = (await _server.LatestAsync("ffffffffffffff01")).GetProperty("data").GetProperty("userData");
        Assert.Equal((1000.0, 979.171, 20.829, 4), (
            data.GetProperty("bought").GetDouble(), data.GetProperty("left").GetDouble(), data.GetProperty("used").GetDouble(), data.GetProperty("status").GetInt32()));
    }

    [Fact]
    public async Task Xml_forms_arrays_and_json_lines_are_taken_over_http()
    {
        using var xml = await _server.PostAsync("/api/v1/devices/x1/telemetry", "<reading><left>5</left></reading>", "application/xml");
        using var form = await _server.PostAsync("/api/v1/devices/f1/telemetry", "left=6&place=cellar", "application/x-www-form-urlencoded");
        using var array = await _server.PostAsync("/api/v1/telemetry", """[{"id":"a1","left":7},{"id":"a2","left":8}]""");
        using var lines = await _server.PostAsync("/api/v1/telemetry", "{\"id\":\"n1\",\"left\":9}\n{\"id\":\"n2\",\"left\":10}\n", "application/x-ndjson");

        Assert.All([xml, form, array, lines], response => Assert.Equal(HttpStatusCode.OK, response.StatusCode));
        foreach (var id in (string[])["x1", "f1", "a1", "a2", "n1", "n2"])
            Assert.True((await _server.LatestAsync(id)).GetProperty("data").TryGetProperty("left", out _), id);
    }

    [Fact]
    public async Task A_bad_reading_among_good_ones_is_named_by_its_index()
    {
        using var response = await _server.PostAsync("/api/v1/telemetry", """[{"id":"good","value":1},{"value":2},{"id":"fine","value":3}]""");

        var answer = JsonElement.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal(2, answer.GetProperty("accepted").GetInt32());
        var rejected = Assert.Single(answer.GetProperty("rejected").EnumerateArray());
        Assert.Equal((1, "missing_device"), (rejected.GetProperty("index").GetInt32(), rejected.GetProperty("reason").GetString()));
    }

    [Fact]
    public async Task The_middleware_registers_a_producer_and_answers_its_consumer()
    {
        var address = $"http://{_server["middleware"]}";

        using var registered = await _server.PostAsync($"{address}/register/356938035643809", "");
        using var beat = await _server.PostAsync($"{address}/heartbeat", """{"id":356938035643809,"location":[56.34,-2.79],"data":{"song":"x"}}""");

        Assert.Equal(HttpStatusCode.OK, registered.StatusCode);
        Assert.Equal(HttpStatusCode.OK, beat.StatusCode);
        var text = await Eventually.GetAsync(
            async () =>
            {
                using var response = await _server.Http.GetAsync($"{address}/get_data/356938035643809");
                return response.StatusCode == HttpStatusCode.OK ? await response.Content.ReadAsStringAsync() : null;
            },
            "the heartbeat");
        var data = JsonElement.Parse(text);
        Assert.Equal("x", data.GetProperty("data").GetProperty("song").GetString());
        Assert.Equal("127.0.0.1", data.GetProperty("ip_address").GetString());
        using var unknown = await _server.Http.GetAsync($"{address}/get_data/1");
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
    }

    [Fact]
    public async Task The_simulator_gets_every_reading_acknowledged_over_tcp_and_http()
    {
        foreach (var (protocol, listener) in ((string, string)[])[("tcp", "tcp"), ("http", "http")])
        {
            var result = await ServerProcess.RunAsync(
                "simulate", "--protocol", protocol, "--target", _server[listener].ToString(), "--devices", "50", "--rate", "0", "--count", "2000",
                "--payload", "json", "--device-prefix", $"{protocol}-", "--connections", "4");

            Assert.True(result.ExitCode == 0, result.Output + result.Errors);
            Assert.Contains("acknowledged 2000, rejected 0, unanswered 0", result.Output);
        }
    }

    [Fact]
    public async Task The_125_meters_of_the_preset_appear_as_devices()
    {
        var result = await ServerProcess.RunAsync(
            "simulate", "--protocol", "udp", "--target", _server["udp"].ToString(), "--preset", "document-000", "--rate", "5000", "--count", "625");
        Assert.Equal(0, result.ExitCode);

        await Eventually.UntilAsync(
            async () =>
            {
                var page = JsonElement.Parse(await _server.Http.GetStringAsync("/api/v1/devices?limit=1000&search=0"));
                return page.GetProperty("devices").EnumerateArray().Count(d => Millrace.Commands.Simulate.Fleet.Document000Ids().Contains(d.GetProperty("id").GetString()));
            },
            count => count == 125,
            "the 125 meters");
    }
}
