using Millrace.Core;
using Millrace.Processing.Latest;

namespace Millrace.Web.Tests;

public class DevicesApiTests
{
    private const string Path = "/api/v1/devices";

    [Fact]
    public async Task A_device_is_added_shown_changed_and_removed()
    {
        await using var server = await WebServer.StartAsync();

        using var added = await server.Client.PostTextAsync(Path, """{"id":"A 1/2","name":"Boiler","type":"t","tags":["north","north"],"attributes":{"floor":2}}""");
        Assert.Equal((201, "/api/v1/devices/A%201%2F2"), ((int)added.StatusCode, added.Headers.Location!.OriginalString));

        var (_, shown) = await server.Client.GetAsync(Path + "/A%201%2F2").ReadAsync();
        Assert.Equal(("A 1/2", "Boiler", "t"), (shown.Text("id"), shown.Text("name"), shown.Text("type")));
        Assert.Equal("""["north"]""", shown.GetProperty("tags").GetRawText());
        Assert.Equal("""{"floor":2}""", shown.GetProperty("attributes").GetRawText());

        var (changedStatus, changed) = await server.Client.PutTextAsync(Path + "/A%201%2F2", """{"tags":["south"]}""").ReadAsync();
        Assert.Equal((200, "Boiler", """["south"]"""), (changedStatus, changed.Text("name"), changed.GetProperty("tags").GetRawText()));

        Assert.Equal(204, await server.Client.DeleteAsync(Path + "/A%201%2F2").StatusAsync());
        Assert.Equal(404, await server.Client.GetAsync(Path + "/A%201%2F2").StatusAsync());
        Assert.Equal(404, await server.Client.DeleteAsync(Path + "/A%201%2F2").StatusAsync());
    }

    [Fact]
    public async Task Adding_a_known_device_changes_it()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync(Path, """{"id":"A"}""");

        Assert.Equal(200, await server.Client.PostTextAsync(Path, """{"id":"A","name":"n"}""").StatusAsync());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"id":""}""")]
    [InlineData("""{"id":"a\u0000b"}""")]
    [InlineData("""{"id":"A","name":5}""")]
    [InlineData("""{"id":"A","tags":"x"}""")]
    [InlineData("""{"id":"A","tags":[""]}""")]
    [InlineData("""{"id":"A","attributes":[]}""")]
    [InlineData("""{"id":"A","id":"B"}""")]
    [InlineData("[]")]
    [InlineData("nonsense")]
    [InlineData("")]
    public async Task Mistakes_are_told(string body)
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.PostTextAsync(Path, body).ReadAsync();

        Assert.Equal(400, status);
        Assert.NotEmpty(json.Text("detail"));
        Assert.Equal(0, server.Registry.Count(0));
    }

    [Fact]
    public async Task Pages_follow_each_other_without_gap_or_repeat()
    {
        await using var server = await WebServer.StartAsync();
        server.Registry.AddRange(0, [.. Enumerable.Range(0, 25).Select(i => ($"D{i:00}", new DeviceChange(null, null, null, null)))]);

        foreach (var sort in new[] { "id", "-id" })
        {
            List<string> seen = [];
            string? next = null;
            do
            {
                var (_, page) = await server.Client.GetAsync($"{Path}?limit=10&sort={sort}" + (next is null ? "" : $"&after={next}")).ReadAsync();
                seen.AddRange(page.GetProperty("devices").EnumerateArray().Select(d => d.Text("id")));
                next = page.GetProperty("next").GetString();
            }
            while (next is not null);
            var expected = Enumerable.Range(0, 25).Select(i => $"D{i:00}");
            Assert.Equal(sort == "id" ? expected : expected.Reverse(), seen);
        }
    }

    [Fact]
    public async Task Search_tag_and_type_narrow_the_list()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync(Path + "/import", """[{"id":"m1","name":"Kitchen","tags":["a"],"type":"x"},{"id":"m2","tags":["b"],"type":"x"},{"id":"z3","tags":["a"],"type":"y"}]""");

        Assert.Equal(["m1"], await IdsAsync(server, "search=KITCH"));
        Assert.Equal(["m1", "z3"], await IdsAsync(server, "tag=a"));
        Assert.Equal(["m1", "m2"], await IdsAsync(server, "type=x"));
        Assert.Equal(["m1"], await IdsAsync(server, "type=x&tag=a"));
    }

    [Fact]
    public async Task Silent_devices_are_those_not_heard_for_so_long()
    {
        var time = new Millrace.Testing.ManualTime();
        await using var server = await WebServer.StartAsync(log: new Millrace.Testing.MemoryLog(time: time), time: time);
        await server.Client.PostTextAsync(Path + "/import", """[{"id":"never"},{"id":"old"},{"id":"fresh"}]""");
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"old"}""");
        time.Advance(TimeSpan.FromHours(1));
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"fresh"}""");

        Assert.Equal(["never", "old"], await IdsAsync(server, "silent=30m"));
        Assert.Empty(await IdsAsync(server, "silent=2h"));
    }

    [Fact]
    public async Task Silent_as_expected_goes_by_what_each_devices_type_declares()
    {
        var time = new Millrace.Testing.ManualTime();
        await using var server = await WebServer.StartAsync(log: new Millrace.Testing.MemoryLog(time: time), time: time);
        await server.Client.PutTextAsync("/api/v1/device-types/often", """{"expectedInterval":"10m"}""");
        await server.Client.PutTextAsync("/api/v1/device-types/daily", """{"expectedInterval":"1d"}""");
        await server.Client.PutTextAsync("/api/v1/device-types/whenever", "{}");
        await server.Client.PostTextAsync(
            Path + "/import", """[{"id":"a","type":"often"},{"id":"b","type":"often"},{"id":"c","type":"daily"},{"id":"d","type":"whenever"},{"id":"e"}]""");
        time.Advance(TimeSpan.FromMinutes(15));
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"b"}""");

        time.Advance(TimeSpan.FromMinutes(16));
        Assert.Equal(["a"], await IdsAsync(server, "silent=expected"));
        time.Advance(TimeSpan.FromMinutes(15));
        Assert.Equal(["a", "b"], await IdsAsync(server, "silent=expected"));
        time.Advance(TimeSpan.FromDays(3));
        Assert.Equal(["c"], await IdsAsync(server, "silent=expected&type=daily"));
        Assert.Equal(400, await server.Client.GetAsync($"{Path}?silent=expected&sort=lastSeen").StatusAsync());
    }

    [Fact]
    public async Task The_longest_silent_come_first_page_by_page()
    {
        using var table = new DeviceTable(4, 1000);
        await using var server = await WebServer.StartAsync(devices: table);
        foreach (var id in new[] { "c", "a", "b", "d" })
            await server.Client.PostTextAsync("/api/v1/telemetry", $$"""{"id":"{{id}}"}""");
        foreach (var block in server.Log.Blocks)
            table.Apply(block);

        var (_, first) = await server.Client.GetAsync($"{Path}?sort=lastSeen&limit=3").ReadAsync();
        var (_, rest) = await server.Client.GetAsync($"{Path}?sort=lastSeen&limit=3&after={first.Text("next")}").ReadAsync();

        var ids = first.GetProperty("devices").EnumerateArray().Concat(rest.GetProperty("devices").EnumerateArray()).Select(d => d.Text("id"));
        Assert.Equal(["c", "a", "b", "d"], ids);
        Assert.Empty(await IdsAsync(server, "silent=1h"));
        Assert.Equal(400, await server.Client.GetAsync($"{Path}?sort=lastSeen&tag=x").StatusAsync());
    }

    [Fact]
    public async Task A_device_is_there_from_its_first_reading_on()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"new"}""");

        Assert.Equal(200, await server.Client.GetAsync(Path + "/new").StatusAsync());
        Assert.Equal(200, await server.Client.PutTextAsync(Path + "/new", """{"name":"n"}""").StatusAsync());
        Assert.Equal("n", server.Registry.Find(0, "new")!.Name);
    }

    [Theory]
    [InlineData("limit=0")]
    [InlineData("limit=x")]
    [InlineData("silent=soon")]
    [InlineData("sort=name")]
    public async Task Wrong_queries_are_told(string query)
    {
        await using var server = await WebServer.StartAsync();

        Assert.Equal(400, await server.Client.GetAsync($"{Path}?{query}").StatusAsync());
    }

    [Fact]
    public async Task Csv_is_imported_with_quotes_tags_and_attributes()
    {
        await using var server = await WebServer.StartAsync();

        var (status, json) = await server.Client.PostTextAsync(
            Path + "/import", "\uFEFFid,name,tags,floor\r\nA,\"Hall, \"\"big\"\"\",north;old,2\r\nB,,,\r\n,x,,\r\nC,too,few\r\n", "text/csv").ReadAsync();

        Assert.Equal((200, 2), (status, json.GetProperty("added").GetInt32()));
        Assert.Equal([2, 3], json.GetProperty("rejected").EnumerateArray().Select(r => r.GetProperty("index").GetInt32()));
        var device = server.Registry.Find(0, "A")!;
        Assert.Equal(("Hall, \"big\"", """{"floor":"2"}"""), (device.Name, device.Attributes));
        Assert.Equal(["north", "old"], device.Tags);
    }

    [Fact]
    public async Task A_device_token_is_shown_once_and_replaces_the_old_one()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);
        using var admin = server.With(server.Token(Role.Admin));
        await admin.PostTextAsync(Path, """{"id":"A"}""");

        var (_, first) = await admin.PostTextAsync(Path + "/A/token", "", null).ReadAsync();
        var (_, second) = await admin.PostTextAsync(Path + "/A/token", "{}").ReadAsync();
        using var old = server.With(first.Text("token"));
        using var current = server.With(second.Text("token"));

        Assert.Equal(401, await old.PostTextAsync("/api/v1/telemetry", """{"id":"A"}""").StatusAsync());
        Assert.Equal(200, await current.PostTextAsync("/api/v1/telemetry", """{"id":"A"}""").StatusAsync());
        Assert.Equal(404, await admin.PostTextAsync(Path + "/none/token", "{}").StatusAsync());
        var (_, shown) = await admin.GetAsync(Path + "/A").ReadAsync();
        Assert.True(shown.GetProperty("hasToken").GetBoolean());
    }

    private static async Task<List<string>> IdsAsync(WebServer server, string query)
    {
        var (status, json) = await server.Client.GetAsync($"{Path}?{query}").ReadAsync();
        Assert.Equal(200, status);
        return [.. json.GetProperty("devices").EnumerateArray().Select(d => d.Text("id"))];
    }
}
