using System.Text.Json;
using Millrace.Commands;
using Millrace.Commands.Remote;

namespace Millrace.Tests.Commands.Remote;

public class RemoteTests
{
    [Fact]
    public void A_table_aligns_words_to_the_left_and_numbers_to_the_right()
    {
        var table = new TextTable("name", "stored");
        table.Add("udp", "1,234");
        table.Add("middleware", "7");

        Assert.Equal(["name        stored", "udp          1,234", "middleware       7"], table.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public void An_import_keeps_the_header_line_in_every_request()
    {
        var csv = "id,name\n" + string.Join('\n', Enumerable.Range(0, 12_000).Select(i => $"m{i},Meter {i}"));

        var bodies = DevicesCommand.ImportBodies(csv).ToList();

        Assert.Equal(3, bodies.Count);
        Assert.All(bodies, body => Assert.StartsWith("id,name\nm", body.Body));
        Assert.Equal(12_000, bodies.Sum(body => body.Rows));
    }

    [Fact]
    public void An_import_turns_json_lines_into_arrays()
    {
        var (body, isCsv, rows) = Assert.Single(DevicesCommand.ImportBodies("{\"id\":\"a\"}\r\n\r\n{\"id\":\"b\"}\n"));

        Assert.Equal("[{\"id\":\"a\"},{\"id\":\"b\"}]", body);
        Assert.False(isCsv);
        Assert.Equal(2, rows);
    }

    [Fact]
    public void A_device_is_written_with_only_what_was_given()
    {
        Assert.Equal("""{"id":"x"}""", DevicesCommand.DeviceJson("x", null, null, [], []));
        Assert.Equal(
            """{"id":"x","name":"N","type":"t","tags":["a"],"attributes":{"floor":"2"}}""",
            DevicesCommand.DeviceJson("x", "N", "t", ["a"], ["floor=2"]));
        Assert.Throws<UsageException>(() => DevicesCommand.DeviceJson("x", null, null, [], ["floor"]));
    }

    [Fact]
    public void Status_shows_the_books_of_each_listener_and_the_lag_of_each_view()
    {
        const string Answer = """
            {"version":"1.2","uptimeSeconds":93784,"mode":"open","devices":1234567,
             "endpoints":{"http":"127.0.0.1:8080"},
             "log":{"state":"open","partitions":[{"partition":0,"oldest":10,"next":1010}]},
             "listeners":[{"name":"udp","received":1000,"stored":990,"inFlight":2,"rejected":{"bad_device_id":7},"dropped":{"kernel":1},"totals":{"stored":5000}}],
             "views":[{"name":"latest","state":"running","lagReadings":42,"skippedReadings":0}]}
            """;

        var text = StatusCommand.Text(JsonElement.Parse(Answer));

        Assert.Contains("up 1.02:03:04", text);
        Assert.Contains("1,234,567 devices", text);
        Assert.Contains("1,000 readings in 1 partitions", text);
        Assert.Matches("udp +1,000 +990 +7 +1 +2 +5,000", text);
        Assert.Contains("udp rejected bad_device_id: 7", text);
        Assert.Matches("latest +running +42", text);
    }

    [Fact]
    public async Task A_server_that_does_not_answer_is_named_with_the_way_out()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var port = ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        using var api = new ServerApi($"127.0.0.1:{port}", null);

        var error = await Assert.ThrowsAsync<CommandException>(() => api.GetAsync("api/v1/status", TestContext.Current.CancellationToken));

        Assert.Contains($"http://127.0.0.1:{port}/", error.Message);
        Assert.Contains("millrace serve", error.Message);
    }
}
