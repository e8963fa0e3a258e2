using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Millrace.BrowserTests;

/// <summary>Servers that go, sessions that end, names that want to be markup.</summary>
public class BadDayTests(Browser browser)
{
    [Fact]
    public async Task A_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back()
    {
        await using var visit = await Visit.BeginAsync(browser);
        visit.Expect("net::ERR_");
        visit.Expect("503");
        await visit.GoAsync("/");
        await Expect(visit.Page.GetByText("Live", new PageGetByTextOptions { Exact = true })).ToBeVisibleAsync();

        await visit.RestartAsync();

        await Expect(visit.Page.GetByText("The server was restarted")).ToBeVisibleAsync();
        visit.Server.SendReadings("back:1");
        await Expect(visit.Page.GetByText("Waiting for the first reading")).ToBeHiddenAsync();
        visit.AssertQuiet();
    }

    [Fact]
    public async Task On_a_slow_network_a_page_says_that_it_waits_and_then_shows_what_came()
    {
        await using var visit = await Visit.BeginAsync(browser);
        visit.Server.SendReadings("m1:1");
        await visit.Server.UntilAsync("/api/v1/status", s => s.GetProperty("devices").GetInt64() == 1);
        var let = new TaskCompletionSource();
        await visit.Page.RouteAsync("**/api/v1/devices?*", async route =>
        {
            await let.Task;
            await route.ContinueAsync();
        });

        await visit.GoAsync("/devices");
        await Expect(visit.Page.GetByText("Searching…")).ToBeVisibleAsync();
        let.SetResult();

        await Expect(visit.Page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "m1" })).ToBeVisibleAsync();
        visit.AssertQuiet();
    }

    [Fact]
    public async Task A_name_full_of_markup_is_text()
    {
        const string Name = "<img src=x onerror=\"document.title='owned'\"><b>x</b>";
        await using var visit = await Visit.BeginAsync(browser);
        await visit.Server.PostAsync("/api/v1/devices", System.Text.Json.JsonSerializer.Serialize(new { id = "m1", name = Name, tags = new[] { "<i>t</i>" } }));
        await visit.Server.PostAsync("/api/v1/devices/m1/telemetry", "{\"<u>field</u>\":\"<script>document.title='owned'</script>\",\"n\":1}");

        await visit.GoAsync("/devices");
        await Expect(visit.Page.GetByText(Name)).ToBeVisibleAsync();
        await visit.GoAsync("/devices/m1");
        await Expect(visit.Page.Locator("dt", new PageLocatorOptions { HasText = "<u>field</u>" })).ToBeVisibleAsync();
        await Expect(visit.Page.GetByText("<script>document.title='owned'</script>", new PageGetByTextOptions { Exact = true })).ToBeVisibleAsync();

        Assert.DoesNotContain("owned", await visit.Page.TitleAsync(), StringComparison.Ordinal);
        visit.AssertQuiet();
    }

    [Fact]
    public async Task Wrong_tokens_are_told_and_lock_and_a_revoked_token_leads_back_to_signing_in()
    {
        await using var visit = await Visit.BeginAsync(browser, "--set", "Security:Mode=token");
        visit.Expect("401");
        visit.Expect("429");
        var admin = (await File.ReadAllTextAsync(visit.AdminTokenPath)).Trim();
        visit.Server.Http.DefaultRequestHeaders.Authorization = new("Bearer", admin);
        var token = await visit.Server.MakeTokenAsync("desk", "operate");
        await visit.GoAsync("/alerts");

        await Expect(visit.Page.GetByRole(AriaRole.Heading)).ToHaveTextAsync("Sign in to Millrace");
        await visit.SignInAsync("mr_wrong");
        await Expect(visit.Page.GetByRole(AriaRole.Alert)).ToContainTextAsync("The token is wrong");
        await visit.SignInAsync(token.Text);
        await Expect(visit.Page.GetByRole(AriaRole.Heading, new PageGetByRoleOptions { Level = 1 })).ToHaveTextAsync("Alerts");
        await Expect(visit.Page.GetByText("Live", new PageGetByTextOptions { Exact = true })).ToBeVisibleAsync();

        using var revoked = await visit.Server.Http.DeleteAsync($"/api/v1/tokens/{token.Id}");
        await visit.GoAsync("/devices");
        await Expect(visit.Page.GetByRole(AriaRole.Heading)).ToHaveTextAsync("Sign in to Millrace");
        IResponse answer;
        do
        {
            answer = await visit.Page.RunAndWaitForResponseAsync(
                () => visit.SignInAsync("mr_wrong"), r => r.Request.Method == "POST" && r.Url.EndsWith("/api/v1/session", StringComparison.Ordinal));
        }
        while (answer.Status == 401);

        await Expect(visit.Page.GetByText("Too many wrong tokens: try again in")).ToBeVisibleAsync();
        visit.AssertQuiet();
    }
}
