using System.Text.Json;
using Millrace.Core;
using Millrace.Registry.Alerts;

namespace Millrace.Web.Tests;

public class JobsApiTests
{
    private const string Job = """{"query":"SELECT CAST(v AS bigint) AS v INTO rows FROM telemetry","startFrom":"beginning","outputs":{"rows":{"kind":"webhook","url":"http://127.0.0.1:1/","secret":"hush"}}}""";

    [Fact]
    public async Task A_job_is_made_shown_stopped_and_removed()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"m1","v":"7"}""");

        var (made, job) = await PutAsync(server, "j", Job);
        var status = await UntilAsync(server, "/api/v1/jobs/j/status", s => s.GetProperty("rowsOut").GetInt64() == 1);
        var (_, rows) = await server.Client.GetAsync("/api/v1/jobs/j/rows/rows").ReadAsync();
        var (_, list) = await server.Client.GetAsync("/api/v1/jobs").ReadAsync();
        var (_, stopped) = await server.Client.PostTextAsync("/api/v1/jobs/j/stop", "{}").ReadAsync();
        using var removed = await server.Client.DeleteAsync("/api/v1/jobs/j");

        Assert.Equal((201, "***"), (made, job.GetProperty("definition").GetProperty("outputs").GetProperty("rows").Text("secret")));
        Assert.Equal("webhook", status.GetProperty("outputs")[0].Text("kind"));
        Assert.Equal(7, rows.GetProperty("rows")[0].GetProperty("data").GetProperty("v").GetInt32());
        Assert.Equal("j", list.GetProperty("jobs")[0].Text("name"));
        Assert.Equal("stopped", stopped.Text("state"));
        Assert.Equal(204, (int)removed.StatusCode);
        Assert.Equal(404, await server.Client.GetAsync("/api/v1/jobs/j").StatusAsync());
    }

    [Fact]
    public async Task Metrics_tell_what_jobs_take_emit_and_cannot_deliver()
    {
        await using var server = await WebServer.StartAsync();
        await PutAsync(server, "j", Job.Replace("\"secret\"", "\"batchMs\":0,\"secret\""));
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"m1","v":"7"}""");
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"m1","v":"seven"}""");
        await UntilAsync(server, "/api/v1/jobs/j/status", s => s.GetProperty("rowsIn").GetInt64() == 2 && s.GetProperty("outputs")[0].GetProperty("failures").GetInt64() > 0);

        var lines = (await server.Client.GetStringAsync("/metrics")).Split('\n');

        Assert.Contains("millrace_job_readings_total{job=\"j\"} 2", lines);
        Assert.Contains("millrace_job_rows_total{job=\"j\",output=\"rows\"} 1", lines);
        Assert.Contains("millrace_job_events_total{job=\"j\",kind=\"bad\"} 1", lines);
        Assert.Contains("millrace_job_lag_readings{job=\"j\"} 0", lines);
        Assert.Contains("millrace_job_state{job=\"j\",state=\"running\"} 1", lines);
        Assert.Contains("millrace_job_state{job=\"j\",state=\"failed\"} 0", lines);
        Assert.Contains("millrace_output_pending_rows{job=\"j\",output=\"rows\"} 1", lines);
        Assert.Contains("millrace_output_up{job=\"j\",output=\"rows\"} 0", lines);
        Assert.Contains(lines, line => line.StartsWith("millrace_job_watermark_age_seconds{job=\"j\"} ", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("millrace_output_failures_total{job=\"j\",output=\"rows\"} ", StringComparison.Ordinal) && !line.EndsWith(" 0", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_wrong_script_is_answered_with_its_place()
    {
        await using var server = await WebServer.StartAsync();
        const string Wrong = "SELECT a\\nFRM telemetry";

        var (refused, put) = await PutAsync(server, "j", $$"""{"query":"{{Wrong}}"}""");
        var (_, check) = await server.Client.PostTextAsync("/api/v1/jobs/check", $$"""{"query":"{{Wrong}}"}""").ReadAsync();

        Assert.Equal(400, refused);
        Assert.Equal(2, put.GetProperty("errors")[0].GetProperty("line").GetInt32());
        Assert.Equal(put.GetProperty("errors").GetRawText(), check.GetProperty("errors").GetRawText());
    }

    [Fact]
    public async Task A_preview_runs_over_what_was_recorded()
    {
        await using var server = await WebServer.StartAsync();
        await server.Client.PostTextAsync("/api/v1/telemetry", "{\"id\":\"m1\",\"v\":1}\n{\"id\":\"m1\",\"v\":2}\n{\"id\":\"m1\",\"v\":3}\n");

        var (_, preview) = await server.Client.PostTextAsync(
            "/api/v1/jobs/preview", """{"job":{"query":"SELECT v INTO big FROM telemetry WHERE v > 1"},"limit":1}""").ReadAsync();

        Assert.Equal(2, preview.GetProperty("rows").GetProperty("big").GetInt32());
        Assert.Equal("""[{"v":2}]""", preview.GetProperty("first").GetProperty("big").GetRawText());
    }

    [Fact]
    public async Task Bad_events_of_a_job_are_driven_again_for_it_alone()
    {
        await using var server = await WebServer.StartAsync();
        await PutAsync(server, "bad", """{"query":"SELECT CAST(v AS bigint) AS v INTO rows FROM telemetry","startFrom":"beginning"}""");
        await PutAsync(server, "other", """{"query":"SELECT v INTO rows FROM telemetry","startFrom":"beginning"}""");
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"m1","v":"seven"}""");
        await UntilAsync(server, "/api/v1/jobs/bad/status", s => s.GetProperty("bad").GetInt64() == 1);
        await server.Client.PostTextAsync("/api/v1/telemetry", """{"id":"m1","v":"8"}""");
        await UntilAsync(server, "/api/v1/jobs/bad/status", s => s.GetProperty("rowsIn").GetInt64() == 2);
        await server.DeadLetters.DrainAsync(CancellationToken.None);

        await PutAsync(server, "bad", """{"query":"SELECT v INTO rows FROM telemetry","startFrom":"beginning"}""");
        var (_, redriven) = await server.Client.PostTextAsync("/api/v1/dead-letters/redrive", """{"job":"bad"}""").ReadAsync();
        await UntilAsync(server, "/api/v1/jobs/bad/status", s => s.GetProperty("rowsOut").GetInt64() == 1 && s.GetProperty("version").GetInt32() == 2);
        var other = await UntilAsync(server, "/api/v1/jobs/other/status", s => s.GetProperty("rowsOut").GetInt64() >= 2 && s.GetProperty("lagReadings").GetInt64() == 0);
        var (_, history) = await server.Client.GetAsync("/api/v1/devices/m1/history").ReadAsync();
        var (_, latest) = await server.Client.GetAsync("/api/v1/devices/m1/latest").ReadAsync();

        Assert.Equal(1, redriven.GetProperty("accepted").GetInt32());
        Assert.Equal(2, other.GetProperty("rowsOut").GetInt64());
        Assert.Equal(["seven", "8"], history.GetProperty("readings").EnumerateArray().Select(r => r.GetProperty("data").Text("v")));
        Assert.Equal("8", latest.GetProperty("data").Text("v"));
    }

    [Fact]
    public async Task Alerts_are_listed_and_acknowledged_once_they_are_open()
    {
        await using var server = await WebServer.StartAsync();
        var rule = new AlertRule("low", "warning", null, null, AlertRule.DefaultNotifyMaxAge, false);
        foreach (var id in (string[])["m1", "m2"])
            server.Alerts.Raise(rule, new AlertRow(0, "j", $"[\"{id}\"]", id, id + " is low", "{\"left\":1}", Micros.Now(TimeProvider.System), false), []);

        var (_, one) = await server.Client.GetAsync("/api/v1/alerts?state=open&device=m1").ReadAsync();
        var alert = one.GetProperty("alerts").EnumerateArray().Single();
        var (ok, acknowledged) = await server.Client.PostTextAsync($"/api/v1/alerts/{alert.GetProperty("id").GetInt64()}/acknowledge", """{"note":"seen"}""").ReadAsync();
        var (_, first) = await server.Client.GetAsync("/api/v1/alerts?limit=1").ReadAsync();
        var (_, second) = await server.Client.GetAsync($"/api/v1/alerts?limit=1&after={first.Text("next")}").ReadAsync();

        Assert.Equal((200, "acknowledged", "seen"), (ok, acknowledged.Text("state"), acknowledged.Text("note")));
        Assert.Equal(("m2", "m1"), (first.GetProperty("alerts")[0].Text("device"), second.GetProperty("alerts")[0].Text("device")));
        Assert.Equal(404, (await server.Client.PostTextAsync("/api/v1/alerts/999/acknowledge", "{}").ReadAsync()).Item1);
        Assert.Equal(400, await server.Client.GetAsync("/api/v1/alerts?state=sad").StatusAsync());
    }

    [Fact]
    public async Task Jobs_need_the_role_to_operate_and_alerts_the_role_to_read()
    {
        await using var server = await WebServer.StartAsync(SecurityMode.Token);
        using var reader = server.With(server.Token(Role.Read));

        Assert.Equal(401, await server.Client.GetAsync("/api/v1/alerts").StatusAsync());
        Assert.Equal(200, await reader.GetAsync("/api/v1/alerts").StatusAsync());
        Assert.Equal(403, (int)(await reader.PutAsync("/api/v1/jobs/j", new StringContent(Job, null, "application/json"))).StatusCode);
        Assert.Equal(403, (int)(await reader.PostTextAsync("/api/v1/alerts/1/acknowledge", "{}")).StatusCode);
    }

    private static async Task<(int Status, JsonElement Body)> PutAsync(WebServer server, string name, string json)
    {
        using var answer = await server.Client.PutAsync($"/api/v1/jobs/{name}", new StringContent(json, null, "application/json"));
        return ((int)answer.StatusCode, JsonElement.Parse(await answer.Content.ReadAsByteArrayAsync()));
    }

    private static async Task<JsonElement> UntilAsync(WebServer server, string path, Func<JsonElement, bool> good)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            var (_, body) = await server.Client.GetAsync(path, limit.Token).ReadAsync();
            if (good(body))
                return body;
            await Task.Delay(20, limit.Token);
        }
    }
}
