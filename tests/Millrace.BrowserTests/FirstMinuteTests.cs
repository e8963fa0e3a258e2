using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Millrace.BrowserTests;

/// <summary>What a newcomer sees.</summary>
public class FirstMinuteTests(Browser browser)
{
    [Fact]
    public async Task The_first_reading_appears_without_a_reload()
    {
        await using var visit = await Visit.BeginAsync(browser);
        await visit.GoAsync("/");
        var waiting = visit.Page.GetByText("Waiting for the first reading");
        await Expect(waiting).ToBeVisibleAsync();
        await Expect(visit.Page.Locator("code").First).ToContainTextAsync($"nc -u -w1 127.0.0.1 {visit.Server["udp"].Port}");

        visit.Server.SendReadings("AABB01:20.5");

        await Expect(waiting).ToBeHiddenAsync();
        await Expect(visit.Page.Locator("tr", new PageLocatorOptions { HasText = "udp" }).Locator("td").Nth(3)).ToHaveTextAsync("1");
        Assert.Single(visit.Requests, "/");
        visit.AssertQuiet();
    }

    [Fact]
    public async Task The_demo_shows_meters_a_trend_and_an_alert_within_a_minute()
    {
        await using var visit = await Visit.BeginAsync(browser, "--demo");
        await visit.GoAsync("/devices?search=water");
        await visit.Page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "water-000001" }).ClickAsync();
        await Expect(visit.Page.Locator(".chart canvas").First).ToBeVisibleAsync();
        await visit.Page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "Alerts" }).ClickAsync();

        await Expect(visit.Page.Locator("table.alerts tbody tr").First).ToBeVisibleAsync(new LocatorAssertionsToBeVisibleOptions { Timeout = 60_000 });
        visit.AssertQuiet();
    }

    [Theory]
    [InlineData("/", ".ledger tbody tr")]
    [InlineData("/devices", ".virtual tbody tr a")]
    [InlineData("/devices/m1?range=15m", ".chart canvas")]
    public async Task Nothing_jumps_while_readings_come_in(string path, string ready)
    {
        await using var visit = await Visit.BeginAsync(browser);
        visit.Server.SendReadings([.. Enumerable.Range(0, 50).Select(i => $"m{i}:1")]);
        await visit.Server.UntilAsync("/api/v1/status", s => s.GetProperty("devices").GetInt64() == 50);
        await visit.GoAsync(path);
        await Expect(visit.Page.Locator(ready).First).ToBeVisibleAsync();
        var watching = visit.Page.EvaluateAsync<double>(
            """
            events => new Promise(done => {
              let moved = 0, seen = 0;
              new PerformanceObserver(list => { for (const shift of list.getEntries()) moved += shift.value; }).observe({ type: "layout-shift" });
              const channel = new BroadcastChannel("millrace-overview");
              const told = () => ++seen >= events && done(moved);
              channel.onmessage = told;
              new EventSource("/api/v1/events").addEventListener("overview", told);
            })
            """, 6);

        while (!watching.IsCompleted)
        {
            visit.Server.SendReadings("m1:12345.678", "m2:2");
            await Task.WhenAny(watching, Task.Delay(100, CancellationToken.None));
        }

        Assert.InRange(await watching, 0, 0.02);
        visit.AssertQuiet();
    }

    [Fact]
    public async Task An_unknown_address_and_a_reload_deep_inside_show_a_page()
    {
        await using var visit = await Visit.BeginAsync(browser);
        visit.Server.SendReadings("tcp-10.0.0.7:1");
        await visit.Server.UntilAsync("/api/v1/status", s => s.GetProperty("devices").GetInt64() == 1);

        await visit.GoAsync("/no/such/page");
        await Expect(visit.Page.GetByRole(AriaRole.Heading)).ToHaveTextAsync("There is no such page");
        await visit.GoAsync("/devices/tcp-10.0.0.7");
        await visit.Page.ReloadAsync();
        await Expect(visit.Page.GetByRole(AriaRole.Heading, new PageGetByRoleOptions { Level = 1 })).ToHaveTextAsync("tcp-10.0.0.7");
        visit.AssertQuiet();
    }
}
