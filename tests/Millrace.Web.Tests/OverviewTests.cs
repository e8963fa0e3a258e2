using System.Text;
using System.Text.Json;
using Millrace.Core;
using Millrace.Processing.Latest;
using Millrace.Registry.Alerts;
using Millrace.Testing;

namespace Millrace.Web.Tests;

/// <summary>What the first page and its neighbours are told.</summary>
public class OverviewTests
{
    [Fact]
    public async Task Everybody_who_looks_is_told_of_alerts_and_jobs()
    {
        await using var server = await WebServer.StartAsync();
        await using var first = await server.Client.GetStreamAsync("/api/v1/events");
        await using var second = await server.Client.GetStreamAsync("/api/v1/events");
        server.Alerts.Raise(
            new AlertRule("low", "critical", null, null, AlertRule.DefaultNotifyMaxAge, false),
            new AlertRow(0, "j", "[]", null, "m", "{}", Micros.Now(TimeProvider.System), false), []);
        await server.Client.PutTextAsync("/api/v1/jobs/j", """{"query":"SELECT v INTO o FROM telemetry"}""");

        foreach (var stream in (Stream[])[first, second])
        {
            var overview = await UntilAsync(stream, o => o.GetProperty("alerts").GetArrayLength() == 1 && o.GetProperty("jobs").GetArrayLength() == 1);
            Assert.Equal("""{"severity":"critical","state":"raised","count":1}""", overview.GetProperty("alerts")[0].GetRawText());
            Assert.Equal("j", overview.GetProperty("jobs")[0].Text("name"));
        }
    }

    [Fact]
    public async Task The_activity_keeps_a_sample_for_every_step()
    {
        var time = new ManualTime();
        await using var server = await WebServer.StartAsync(log: new MemoryLog(time: time), time: time);
        await server.Client.PutTextAsync("/api/v1/jobs/j", """{"query":"SELECT v INTO o FROM telemetry"}""");
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"a","v":1}""");

        var samples = await ActivityAsync(server, 1);
        time.Advance(TimeSpan.FromSeconds(10));
        samples = await ActivityAsync(server, 2);

        Assert.Equal(10, samples.GetProperty("stepSeconds").GetInt32());
        Assert.Equal([0L, 1L], samples.GetProperty("stored").EnumerateArray().Select(n => n.GetInt64()));
        Assert.Equal(JsonValueKind.Null, samples.GetProperty("jobs").GetProperty("j").GetProperty("rowsIn")[0].ValueKind);
    }

    [Fact]
    public async Task Fields_are_named_as_they_were_seen_the_commonest_first()
    {
        using var table = new DeviceTable(4, 1000);
        await using var server = await WebServer.StartAsync(devices: table);
        await server.Client.PostTextAsync("/api/v1/telemetry", """[{"id":"a","v":1,"deep":{"x":"open"}},{"id":"b","v":2.5,"list":[1]}]""");
        foreach (var block in server.Log.Blocks)
            table.Apply(block);

        var (_, seen) = await server.Client.GetAsync("/api/v1/fields").ReadAsync();

        Assert.Equal(2, seen.GetProperty("devices").GetInt32());
        Assert.Equal(
            ["id text 2", "v number 2", "deep.x text 1", "list array 1"],
            seen.GetProperty("fields").EnumerateArray().Select(f => $"{f.Text("name")} {f.Text("kind")} {f.GetProperty("devices").GetInt32()}"));
    }

    [Fact]
    public async Task Status_tells_who_was_heard_and_where_the_log_begins()
    {
        using var table = new DeviceTable(4, 1000);
        await using var server = await WebServer.StartAsync(devices: table);
        await server.Client.PostTextAsync("/api/v1/telemetry", """[{"id":"a"},{"id":"b"}]""");
        foreach (var block in server.Log.Blocks)
            table.Apply(block);

        var (_, status) = await server.Client.GetAsync("/api/v1/status").ReadAsync();

        Assert.Equal(2, status.GetProperty("heardLastHour").GetInt64());
        Assert.Equal(JsonValueKind.String, status.GetProperty("log").GetProperty("oldestAt").ValueKind);
    }

    [Fact]
    public async Task Dead_letters_are_counted_by_reason_and_driven_again_one_by_one()
    {
        await using var server = await WebServer.StartAsync();
        server.DeadLetters.Keep(ListenerId.Udp, RejectReason.UnknownDevice, 0, "M1", null, "M1:20"u8);
        server.DeadLetters.Keep(ListenerId.Udp, RejectReason.UnknownDevice, 0, "M2", null, "M2:21"u8);
        server.DeadLetters.Keep(ListenerId.Http, RejectReason.InvalidJson, 0, null, null, "still bad"u8);
        await server.DeadLetters.DrainAsync(CancellationToken.None);

        var (_, reasons) = await server.Client.GetAsync("/api/v1/dead-letters/reasons").ReadAsync();
        var (_, redriven) = await server.Client.PostTextAsync("/api/v1/dead-letters/redrive", """{"ids":["2"]}""").ReadAsync();

        Assert.Equal(["unknown_device 2", "invalid_json 1"], reasons.GetProperty("reasons").EnumerateArray().Select(r => $"{r.Text("reason")} {r.GetProperty("count")}"));
        Assert.Equal(1, redriven.GetProperty("accepted").GetInt32());
        Assert.Equal([("M2", "21")], server.Log.Readings);
        Assert.Equal(400, await server.Client.PostTextAsync("/api/v1/dead-letters/redrive", """{"ids":[2]}""").StatusAsync());
    }

    [Fact]
    public async Task A_checked_script_names_its_outputs()
    {
        await using var server = await WebServer.StartAsync();

        var (_, check) = await server.Client.PostTextAsync("/api/v1/jobs/check", """{"query":"SELECT v INTO one FROM telemetry SELECT v INTO two FROM telemetry"}""").ReadAsync();

        Assert.Equal("""["one","two"]""", check.GetProperty("outputs").GetRawText());
    }

    [Fact]
    public async Task Packed_files_are_sent_to_who_takes_them_and_pages_to_who_opens_them()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["assets"]);
        await File.WriteAllTextAsync(folder["index.html"], "page");
        await File.WriteAllTextAsync(folder["assets/a-1.js"], "plain");
        await File.WriteAllTextAsync(folder["assets/a-1.js.br"], "packed");
        await using var server = await WebServer.StartAsync(change: o => o with { PagesFolder = folder.Path });

        using var plain = await server.Client.GetAsync("/assets/a-1.js");
        using var packed = await GetAsync(server, "/assets/a-1.js", "Accept-Encoding", "gzip, br");
        using var page = await GetAsync(server, "/devices/tcp-10.0.0.7", "Accept", "text/html,*/*");

        Assert.Equal("plain", await plain.Content.ReadAsStringAsync());
        Assert.Equal(("packed", "br", "text/javascript"), (await packed.Content.ReadAsStringAsync(), packed.Content.Headers.ContentEncoding.Single(), packed.Content.Headers.ContentType!.MediaType));
        Assert.Contains("immutable", packed.Headers.CacheControl!.ToString(), StringComparison.Ordinal);
        Assert.Equal("page", await page.Content.ReadAsStringAsync());
        Assert.Equal("no-cache", page.Headers.CacheControl!.ToString());
        Assert.Equal(404, await server.Client.GetAsync("/assets/b-2.js").StatusAsync());
        Assert.Equal(404, await server.Client.GetAsync("/devices/x.js").StatusAsync());
    }

    private static Task<HttpResponseMessage> GetAsync(WebServer server, string path, string header, string value)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.TryAddWithoutValidation(header, value);
        return server.Client.SendAsync(request);
    }

    private static async Task<JsonElement> ActivityAsync(WebServer server, int samples)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            var (_, activity) = await server.Client.GetAsync("/api/v1/activity").ReadAsync();
            if (activity.GetProperty("times").GetArrayLength() >= samples)
                return activity;
            await Task.Delay(10, deadline.Token);
        }
    }

    private static async Task<JsonElement> UntilAsync(Stream stream, Func<JsonElement, bool> isGood)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var reader = new StreamReader(stream, Encoding.UTF8, leaveOpen: true);
        while (true)
        {
            var line = await reader.ReadLineAsync(deadline.Token) ?? throw new EndOfStreamException();
            if (!line.StartsWith("data: ", StringComparison.Ordinal))
                continue;
            var overview = JsonElement.Parse(line[6..]);
            if (isGood(overview))
                return overview;
        }
    }
}
