using System.Text.Json;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Millrace.BrowserTests;

/// <summary>What holds for every page: it can be used by everybody, it is small, and tabs share what they can.</summary>
public class PagesTests(Browser browser)
{
    private const int FirstPageBytesMax = 150_000;

    [Theory]
    [InlineData("light", 1360)]
    [InlineData("dark", 1360)]
    [InlineData("light", 390)]
    public async Task No_populated_page_has_a_serious_accessibility_violation_or_is_wider_than_its_window(string theme, int width)
    {
        Assert.SkipUnless(File.Exists(Accessibility.Script), "axe-core is not installed (npm ci in web/)");
        await using var visit = await Visit.BeginAsync(browser, new BrowserNewContextOptions
        {
            ColorScheme = theme == "dark" ? ColorScheme.Dark : ColorScheme.Light,
            ViewportSize = new ViewportSize { Width = width, Height = 900 },
        });
        await SampleData.FillAsync(visit.Server);

        foreach (var (path, ready) in SampleData.Pages)
        {
            await visit.GoAsync(path);
            await Expect(visit.Page.Locator(ready).First).ToBeVisibleAsync();
            Assert.Empty(await Accessibility.SeriousAsync(visit.Page, path));
            Assert.True(
                await visit.Page.EvaluateAsync<bool>("() => document.documentElement.scrollWidth <= innerWidth"), $"{path} is wider than {width} px");
        }

        visit.AssertQuiet();
    }

    [Fact]
    public async Task Every_page_is_reached_with_the_keyboard()
    {
        await using var visit = await Visit.BeginAsync(browser);
        await visit.GoAsync("/");
        await Expect(visit.Page.GetByRole(AriaRole.Heading, new PageGetByRoleOptions { Level = 1 })).ToBeVisibleAsync();

        await visit.Page.Keyboard.PressAsync("Tab");
        await Expect(visit.Page.GetByText("Skip to the page")).ToBeFocusedAsync();
        foreach (var name in new[] { "Devices", "Trends", "Alerts", "Stream SQL", "Dead letters", "Settings" })
        {
            await visit.Page.Locator("nav").GetByRole(AriaRole.Link, new LocatorGetByRoleOptions { Name = name }).FocusAsync();
            await visit.Page.Keyboard.PressAsync("Enter");
            await Expect(visit.Page.GetByRole(AriaRole.Heading, new PageGetByRoleOptions { Level = 1 })).ToHaveTextAsync(name);
        }

        visit.AssertQuiet();
    }

    [Fact]
    public async Task All_tabs_share_one_event_stream_and_another_takes_over()
    {
        await using var visit = await Visit.BeginAsync(browser);
        await visit.GoAsync("/");
        await Expect(visit.Page.GetByText("Live", new PageGetByTextOptions { Exact = true })).ToBeVisibleAsync();
        var second = await visit.NewPageAsync();
        await second.GotoAsync(visit.Origin + "/");
        var third = await visit.NewPageAsync();
        await third.GotoAsync(visit.Origin + "/settings");
        await Expect(second.GetByText("Live", new PageGetByTextOptions { Exact = true })).ToBeVisibleAsync();
        await Expect(third.GetByText("Live", new PageGetByTextOptions { Exact = true })).ToBeVisibleAsync();
        Assert.Single(visit.Requests, "/api/v1/events");

        await visit.Page.CloseAsync();
        visit.Server.SendReadings("m1:1");

        await Expect(second.GetByText("Waiting for the first reading")).ToBeHiddenAsync();
        Assert.Equal(2, visit.Requests.Count(r => r == "/api/v1/events"));
        visit.AssertQuiet();
    }

    [Fact]
    public async Task The_first_page_is_small_and_its_parts_may_be_kept()
    {
        await using var visit = await Visit.BeginAsync(browser);
        await visit.GoAsync("/");
        await Expect(visit.Page.GetByText("Live", new PageGetByTextOptions { Exact = true })).ToBeVisibleAsync();

        var parts = await visit.Page.EvaluateAsync<JsonElement>(
            "() => [performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')].filter(e => !e.name.includes('/api/')).map(e => [e.name, e.transferSize])");
        var bytes = parts.EnumerateArray().Sum(p => p[1].GetInt64());
        using var script = await visit.Server.Http.GetAsync(parts.EnumerateArray().Select(p => p[0].GetString()!).First(n => n.EndsWith(".js", StringComparison.Ordinal)));

        Assert.InRange(bytes, 1000, FirstPageBytesMax);
        Assert.Contains("immutable", script.Headers.CacheControl!.ToString(), StringComparison.Ordinal);
        Assert.Contains("default-src 'self'", script.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        visit.AssertQuiet();
    }
}
