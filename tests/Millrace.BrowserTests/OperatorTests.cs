using System.Text;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Millrace.BrowserTests;

/// <summary>What an operations desk does all day.</summary>
public class OperatorTests(Browser browser)
{
    [Fact]
    public async Task A_hundred_thousand_devices_are_searched_as_one_types_and_scrolled_to_the_end()
    {
        await using var visit = await Visit.BeginAsync(browser);
        const int Devices = 100_000;
        for (var from = 0; from < Devices; from += 50_000)
        {
            var csv = new StringBuilder("id,name,type,tags\n");
            for (var i = from; i < from + 50_000; i++)
                csv.Append($"meter-{i:000000},{(i == 77_777 ? "Old mill" : "")},gas,{(i % 1000 == 0 ? "north" : "")}\n");
            await visit.Server.PostAsync("/api/v1/devices/import", csv.ToString(), "text/csv");
        }

        await visit.GoAsync("/devices");
        var table = visit.Page.GetByRole(AriaRole.Region, new PageGetByRoleOptions { Name = "Devices" });
        await Expect(visit.Page.GetByText("100,000 devices")).ToBeVisibleAsync();
        await Expect(table.GetByRole(AriaRole.Link).First).ToHaveTextAsync("meter-000000");
        await table.EvaluateAsync("element => element.scrollTop = element.scrollHeight");
        await Expect(table.GetByRole(AriaRole.Link, new LocatorGetByRoleOptions { Name = "meter-099999" })).ToBeVisibleAsync();
        await table.EvaluateAsync("element => element.scrollTop = element.scrollHeight / 2");
        await Expect(table.GetByRole(AriaRole.Link, new LocatorGetByRoleOptions { Name = "meter-05000", Exact = false }).First).ToBeVisibleAsync();

        await visit.Page.GetByRole(AriaRole.Searchbox, new PageGetByRoleOptions { Name = "Search by id or name" }).PressSequentiallyAsync("old mi");
        await Expect(table.GetByRole(AriaRole.Link)).ToHaveTextAsync(["meter-077777"]);
        await Expect(visit.Page.GetByText("1 match")).ToBeVisibleAsync();

        await visit.Page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Clear filters" }).ClickAsync();
        await visit.Page.GetByLabel("Tag", new PageGetByLabelOptions { Exact = true }).FillAsync("north");
        await visit.Page.Keyboard.PressAsync("Enter");
        await Expect(visit.Page.GetByText("100 match")).ToBeVisibleAsync();
        visit.AssertQuiet();
    }

    [Fact]
    public async Task A_chart_is_zoomed_by_dragging_and_shows_all_again()
    {
        await using var visit = await Visit.BeginAsync(browser);
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        await visit.Server.PostAsync("/api/v1/telemetry", string.Join('\n', Enumerable.Range(0, 600).Select(i => $$"""{"id":"m1","time":{{now - i * 5}},"value":{{20 + Math.Sin(i / 30.0):0.000}},"valve":"{{(i < 300 ? "open" : "shut")}}"}""")), "application/x-ndjson");

        await visit.GoAsync("/devices/m1?range=1h");
        var chart = visit.Page.GetByRole(AriaRole.Application);
        var plot = chart.Locator(".u-over");
        await Expect(plot).ToBeVisibleAsync();
        await Expect(visit.Page.GetByText("1 alerts and events marked.")).ToBeVisibleAsync();
        var whole = await chart.GetAttributeAsync("aria-label");
        var box = (await plot.BoundingBoxAsync())!;
        await visit.Page.Mouse.MoveAsync(box.X + box.Width * 0.4f, box.Y + 60);
        await visit.Page.Mouse.DownAsync();
        await visit.Page.Mouse.MoveAsync(box.X + box.Width * 0.6f, box.Y + 60, new MouseMoveOptions { Steps = 5 });
        await visit.Page.Mouse.UpAsync();

        await Expect(chart).Not.ToHaveAttributeAsync("aria-label", whole!);
        var zoomed = await chart.GetAttributeAsync("aria-label");
        await chart.FocusAsync();
        await visit.Page.Keyboard.PressAsync("ArrowLeft");
        await Expect(chart).Not.ToHaveAttributeAsync("aria-label", zoomed!);
        await visit.Page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "1 h", Exact = true }).ClickAsync();
        await Expect(visit.Page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "1 h", Exact = true })).ToHaveAttributeAsync("aria-pressed", "true");
        visit.AssertQuiet();
    }

    [Fact]
    public async Task A_query_is_written_with_a_mistake_mended_tried_started_and_its_alert_acknowledged()
    {
        await using var visit = await Visit.BeginAsync(browser);
        visit.Server.SendReadings("m1:97.5", "m2:20");
        await visit.Server.UntilAsync("/api/v1/status", s => s.GetProperty("devices").GetInt64() == 2);
        var page = visit.Page;

        await visit.GoAsync("/jobs");
        await page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "New query" }).ClickAsync();
        var editor = page.GetByLabel("Query");
        await editor.FillAsync("SELECT id, value INTO hot\nFRM telemetry WHERE value > 90");
        await Expect(page.Locator("#editor-errors li")).ToHaveCountAsync(1);
        await Expect(page.Locator("#editor-errors li")).ToContainTextAsync("2:1");
        await Expect(page.Locator(".sql-error")).ToHaveTextAsync("FRM");
        await Expect(page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Create and start" })).ToBeDisabledAsync();

        await editor.FillAsync("SELECT id, value INTO hot\nFROM telemetry WHERE ");
        await editor.PressSequentiallyAsync("val");
        await Expect(page.GetByRole(AriaRole.Option).First).ToContainTextAsync("value");
        await page.Keyboard.PressAsync("Enter");
        await editor.PressSequentiallyAsync(" > 90");
        await Expect(page.GetByText("No mistakes found.")).ToBeVisibleAsync();
        await Expect(editor).ToHaveValueAsync("SELECT id, value INTO hot\nFROM telemetry WHERE value > 90");

        await page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Run preview" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new PageGetByRoleOptions { Name = "hot: 1 rows" })).ToBeVisibleAsync();
        await page.GetByLabel("Goes to").SelectOptionAsync("alert");
        await page.GetByLabel("Rule *").FillAsync("too-hot");
        await page.GetByLabel("Severity").SelectOptionAsync("critical");
        await page.GetByLabel("Message ({column} is replaced)").FillAsync("{id} is at {value} °C");
        await page.GetByLabel("Name of the job").FillAsync("too-hot");
        await page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Create and start" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new PageGetByRoleOptions { Level = 1 })).ToHaveTextAsync("too-hot");
        await Expect(page.Locator(".pill", new PageLocatorOptions { HasText = "running" }).First).ToBeVisibleAsync();

        await page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "Alerts" }).First.ClickAsync();
        await Expect(page.GetByText("No open alerts.")).ToBeVisibleAsync();
        await visit.Server.UntilAsync("/api/v1/jobs/too-hot/status", s => s.GetProperty("state").GetString() == "running");
        visit.Server.SendReadings("m1:98.5");
        await visit.Server.UntilAsync("/api/v1/alerts", _ =>
        {
            visit.Server.SendReadings("m2:20");            // time in a stream moves with its events
            return true;
        });
        var alert = page.Locator("table.alerts tbody tr");
        await Expect(alert).ToContainTextAsync("m1 is at 98.5 °C");
        await Expect(page).ToHaveTitleAsync("(1) Alerts · Millrace");

        await alert.GetByRole(AriaRole.Checkbox).CheckAsync();
        await page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Acknowledge", Exact = true }).ClickAsync();
        await page.GetByLabel("Note").FillAsync("crew is on its way");
        await page.GetByRole(AriaRole.Dialog).GetByRole(AriaRole.Button, new LocatorGetByRoleOptions { Name = "Acknowledge" }).ClickAsync();
        await Expect(alert).ToContainTextAsync("acknowledged");
        await Expect(page).ToHaveTitleAsync("Alerts · Millrace");
        await alert.GetByRole(AriaRole.Button, new LocatorGetByRoleOptions { Name = "m1 is at" }).ClickAsync();
        await Expect(page.Locator(".timeline li")).ToHaveCountAsync(2);
        await Expect(page.Locator(".timeline")).ToContainTextAsync("“crew is on its way”");
        visit.AssertQuiet();
    }

    [Fact]
    public async Task What_was_refused_is_looked_at_byte_by_byte_and_driven_again()
    {
        await using var visit = await Visit.BeginAsync(browser, "--set", "Devices:Enrolment=registered");
        visit.Server.SendReadings("stranger:1");
        await visit.Server.UntilAsync("/api/v1/dead-letters", d => d.GetProperty("deadLetters").GetArrayLength() == 1);
        await visit.Server.PostAsync("/api/v1/devices", """{"id":"stranger"}""");

        await visit.GoAsync("/dead-letters");
        await visit.Page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Show bytes" }).ClickAsync();
        await Expect(visit.Page.Locator(".bytes")).ToContainTextAsync("31");
        await visit.Page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Re-drive", Exact = true }).ClickAsync();

        await Expect(visit.Page.GetByText("1 are readings now, 0 were refused again.")).ToBeVisibleAsync();
        await Expect(visit.Page.GetByText("Nothing was refused.")).ToBeVisibleAsync();
        visit.AssertQuiet();
    }

    [Fact]
    public async Task A_device_is_added_with_its_token_changed_and_removed()
    {
        await using var visit = await Visit.BeginAsync(browser);
        var page = visit.Page;
        await visit.GoAsync("/devices");

        await page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Add device" }).ClickAsync();
        var dialog = page.GetByRole(AriaRole.Dialog);
        await dialog.GetByLabel("Device", new LocatorGetByLabelOptions { Exact = true }).FillAsync("boiler/1");
        await dialog.GetByLabel("Name").FillAsync("Boiler room");
        await dialog.GetByLabel("Issue a token for it").CheckAsync();
        await dialog.GetByRole(AriaRole.Button, new LocatorGetByRoleOptions { Name = "Add device" }).ClickAsync();
        await Expect(dialog.Locator("code")).Not.ToBeEmptyAsync();
        await dialog.GetByRole(AriaRole.Link).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new PageGetByRoleOptions { Level = 1 })).ToHaveTextAsync("boiler/1");

        await page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Edit" }).ClickAsync();
        await dialog.GetByLabel("Tags").FillAsync("north, cellar");
        await dialog.GetByRole(AriaRole.Button, new LocatorGetByRoleOptions { Name = "Save" }).ClickAsync();
        await Expect(page.Locator(".tag")).ToHaveTextAsync(["cellar", "north"]);
        await page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Remove" }).ClickAsync();
        await dialog.GetByRole(AriaRole.Button, new LocatorGetByRoleOptions { Name = "Remove" }).ClickAsync();

        await Expect(page.GetByText("No device yet.")).ToBeVisibleAsync();
        visit.AssertQuiet();
    }
}
