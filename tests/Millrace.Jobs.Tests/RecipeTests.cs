using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Millrace.Registry.Alerts;
using Millrace.Testing;

namespace Millrace.Jobs.Tests;

/// <summary>The recipes of docs/alerts.md as they stand there.</summary>
public sealed class RecipeTests
{
    [Fact]
    public async Task Low_credit_is_raised_once_and_cleared_above_the_upper_level()
    {
        await using var bench = await StartAsync("low-credit");
        foreach (var credit in (string[])["7", "4.9", "5.5", "4.8"])
            await SendAsync(bench, "m1", $$"""{"credit":{{credit}}}""", minutes: 1);
        var alert = Assert.Single(await OpenAsync(bench, 1));
        await SendAsync(bench, "m1", """{"credit":6.5}""", minutes: 1);

        Assert.Equal("m1 has 4.8 m³ left", alert.Message);
        Assert.Empty(await OpenAsync(bench, 0));
    }

    [Fact]
    public async Task A_silent_meter_is_raised_after_ten_minutes_and_cleared_when_it_is_heard()
    {
        await using var bench = await StartAsync("silent");
        for (var i = 0; i < 5; i++)
        {
            await SendAsync(bench, "m1", "{}", minutes: 1);
            await SendAsync(bench, "m2", "{}", minutes: 1);
        }

        for (var i = 0; i < 12; i++)
            await SendAsync(bench, "m2", "{}", minutes: 1);
        var alert = Assert.Single(await OpenAsync(bench, 1));
        await SendAsync(bench, "m1", "{}", minutes: 1);

        Assert.Equal("m1", alert.Device);
        Assert.Empty(await OpenAsync(bench, 0));
    }

    [Fact]
    public async Task Use_in_every_hour_of_a_night_is_a_leak_and_a_quiet_hour_is_none()
    {
        await using var bench = await StartAsync("leak");
        // Noon to noon: both meters report every half hour, the second uses nothing between two and three.
        var (leaking, healthy) = (100, 100);
        for (var half = 0; half < 48; half++)
        {
            leaking += 1;
            healthy += bench.Clock.GetUtcNow().Hour == 2 ? 0 : 1;
            await SendAsync(bench, "leaking", $$"""{"register":{{leaking}}}""", minutes: 0);
            await SendAsync(bench, "healthy", $$"""{"register":{{healthy}}}""", minutes: 30);
        }

        Assert.Equal("leaking", Assert.Single(await OpenAsync(bench, 1)).Device);
    }

    [Fact]
    public async Task Three_tamper_messages_in_ten_minutes_are_a_burst()
    {
        await using var bench = await StartAsync("tamper");
        for (var i = 0; i < 3; i++)
        {
            await SendAsync(bench, "bad", """{"tamper":1}""", minutes: 1);
            await SendAsync(bench, "odd", """{"tamper":1}""", minutes: 6);
        }

        for (var i = 0; i < 3; i++)
            await SendAsync(bench, "bad", """{"tamper":1}""", minutes: 1);

        Assert.Equal("bad", Assert.Single(await OpenAsync(bench, 1)).Device);
    }

    [Fact]
    public async Task A_flow_five_times_the_usual_is_a_spike_that_passes()
    {
        await using var bench = await StartAsync("spike");
        for (var i = 0; i < 20; i++)
            await SendAsync(bench, "m1", $$"""{"flow":{{2 + (i % 2)}}}""", minutes: 1);
        await SendAsync(bench, "m1", """{"flow":60}""", minutes: 1);
        var alert = Assert.Single(await OpenAsync(bench, 1));
        for (var i = 0; i < 20; i++)
            await SendAsync(bench, "m1", """{"flow":2}""", minutes: 1);

        Assert.StartsWith("m1: flow 60, usually", alert.Message);
        Assert.Empty(await OpenAsync(bench, 0));
    }

    [Fact]
    public async Task A_sequence_that_comes_too_often_in_an_hour_is_reported_when_the_hour_is_over()
    {
        await using var bench = await StartAsync("sequence", "jobs.md");
        bench.Clock.Advance(TimeSpan.FromMinutes(1));
        for (var i = 0; i < 5; i++)
        {
            foreach (var state in (string[])["lid-open", "tamper"])
            {
                await SendAsync(bench, "bad", $$"""{"event":"{{state}}"}""", minutes: 1);
                // Three times is not more than three, and with something in between it is not the sequence.
                await SendAsync(bench, "odd", i < 3 ? $$"""{"event":"{{state}}"}""" : """{"event":"fine"}""", minutes: 1);
            }
        }

        Assert.Empty(bench.Alerts.List(new AlertQuery(0, null, true, null, null, null, 100)));
        await SendAsync(bench, "bad", """{"event":"fine"}""", minutes: 60);
        await SendAsync(bench, "bad", """{"event":"fine"}""", minutes: 1);
        var alert = Assert.Single(await JobBench.UntilAsync(
            () =>
            {
                // The job may come to wait for its hour only after the clock was moved on: time goes on for it.
                bench.Clock.Advance(TimeSpan.FromSeconds(1));
                return bench.Alerts.List(new AlertQuery(0, null, true, null, null, null, 100));
            },
            open => open.Count > 0));

        Assert.Equal("bad: 5 times in an hour", alert.Message);
    }

    private static async Task<JobBench> StartAsync(string recipe, string page = "alerts.md")
    {
        var bench = new JobBench(new ManualTime());
        var text = await File.ReadAllTextAsync(Path.Combine(Root(), "docs", page));
        var json = Regex.Match(text, $"```json recipe={recipe}\n(.*?)\n```", RegexOptions.Singleline).Groups[1].Value;
        await bench.PutAsync(recipe, json.Insert(json.IndexOf('{') + 1, "\"startFrom\":\"beginning\","));
        return bench;
    }

    private static async Task SendAsync(JobBench bench, string id, string json, int minutes)
    {
        await bench.AppendAsync(id, json);
        bench.Clock.Advance(TimeSpan.FromMinutes(minutes));
    }

    /// <summary>The open alerts, once everything sent has been taken in and there are as many as expected.</summary>
    private static async Task<IReadOnlyList<Alert>> OpenAsync(JobBench bench, int expected)
    {
        await JobBench.UntilAsync(() => bench.Host.List(0)[0].Status, s => s.LagReadings == 0 && s.RowsIn == bench.Log.Readings.Count);
        return await JobBench.UntilAsync(
            () => bench.Alerts.List(new AlertQuery(0, null, true, null, null, null, 100)), open => open.Count == expected, open => string.Join(' ', open.Select(a => a.Message)));
    }

    private static string Root([CallerFilePath] string path = "")
    {
        var folder = Path.GetDirectoryName(path)!;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder)!;
        return folder;
    }
}
