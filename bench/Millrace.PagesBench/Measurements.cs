using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.Playwright;
using Millrace.BrowserTests;
using Millrace.Testing;

namespace Millrace.PagesBench;

/// <summary>What the pages cost, beside what they may cost. Ends with 1 when a budget is exceeded.</summary>
internal static class Measurements
{
    private const int Browsers = 200;
    private const int ReadingsPerSecond = 33_334;
    private static readonly string[] Clicked = ["Devices", "Alerts", "Overview"];
    private static readonly TimeSpan Watching = TimeSpan.FromSeconds(20);

    private static bool _exceeded;

    public static async Task<int> TakeAsync()
    {
        if (Chromium.Executable is null)
        {
            Console.Error.WriteLine("PagesBench: Chromium is not installed; apt-get install chromium");
            return 1;
        }

        using var data = new TempFolder();
        await using var server = await ServerProcess.StartAsync(data["data"]);
        using var playwright = await Playwright.CreateAsync();
        await using var browser = await Chromium.LaunchAsync(playwright);
        await FirstPageAsync(browser, server);
        await ChartAsync(browser, server);
        await ManyBrowsersAsync(server);
        await UnderLoadAsync(browser, server);
        return _exceeded ? 1 : 0;
    }

    private static async Task FirstPageAsync(IBrowser browser, ServerProcess server)
    {
        await using var context = await browser.NewContextAsync();
        var page = await context.NewPageAsync();
        await page.GotoAsync(server.Http.BaseAddress!.ToString());
        await page.Locator(".link-state.live").WaitForAsync();
        var bytes = await page.EvaluateAsync<long>(
            "() => [performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')].filter(e => !e.name.includes('/api/')).reduce((sum, e) => sum + e.transferSize, 0)");
        Tell("first page, compressed, with headers", bytes / 1000.0, "kB", 150);
    }

    /// <summary>A device's page whose answer has 100,000 points: its chart is built and drawn again and again.</summary>
    private static async Task ChartAsync(IBrowser browser, ServerProcess server)
    {
        await server.PostAsync("/api/v1/telemetry", """{"id":"m1","value":1}""");
        await server.UntilAsync("/api/v1/status", s => s.GetProperty("devices").GetInt64() == 1);
        await using var context = await browser.NewContextAsync();
        var page = await context.NewPageAsync();
        await page.RouteAsync("**/history?*points=*", route => route.FulfillAsync(new RouteFulfillOptions { ContentType = "application/json", Body = ManyPoints() }));
        await page.GotoAsync(new Uri(server.Http.BaseAddress!, "/devices/m1?range=7d").ToString());
        await page.Locator(".chart canvas").First.WaitForAsync();
        await page.WaitForTimeoutAsync(1000);
        // The theme's change builds the chart anew; uPlot draws before the next task.
        var drawn = await page.EvaluateAsync<double[]>(
            """
            async () => {
              const took = [];
              const { port1, port2 } = new MessageChannel();
              for (let i = 0; i < 21; i++) {
                const began = performance.now();
                dispatchEvent(new Event("themechange"));
                await new Promise(done => { port1.onmessage = done; port2.postMessage(0); });
                took.push(performance.now() - began);
              }
              return took;
            }
            """);
        Tell("100,000 points built and drawn, median of 21", drawn.Order().ElementAt(drawn.Length / 2), "ms", 50);
    }

    private static string ManyPoints()
    {
        const int Points = 100_000;
        var start = DateTimeOffset.UtcNow.AddDays(-7);
        var points = Enumerable.Range(0, Points).Select(i => string.Create(
            CultureInfo.InvariantCulture, $$$"""{"time":"{{{start.AddSeconds(i * 6):yyyy-MM-ddTHH:mm:ssZ}}}","count":1,"value":{"avg":{{{20 + (5 * Math.Sin(i / 900.0)) + (i % 17 / 10.0):0.00}}}}}"""));
        return $$"""{"id":"m1","interval":"1m","points":[{{string.Join(',', points)}}],"next":null}""";
    }

    private static async Task ManyBrowsersAsync(ServerProcess server)
    {
        using var client = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = Browsers }) { BaseAddress = server.Http.BaseAddress, Timeout = Timeout.InfiniteTimeSpan };
        var idle = await ShareOfCoreAsync(server, TimeSpan.FromSeconds(5));
        using var leaving = new CancellationTokenSource();
        long events = 0;
        var streams = Enumerable.Range(0, Browsers).Select(async _ =>
        {
            await using var stream = await client.GetStreamAsync("/api/v1/events", leaving.Token);
            using var reader = new StreamReader(stream);
            try
            {
                while (await reader.ReadLineAsync(leaving.Token) is { } line)
                {
                    if (line.StartsWith("data:", StringComparison.Ordinal))
                        Interlocked.Increment(ref events);
                }
            }
            catch (OperationCanceledException)
            {
                // Measured.
            }
        }).ToArray();
        while (Interlocked.Read(ref events) < Browsers)
            await Task.Delay(50, CancellationToken.None);
        var before = Interlocked.Read(ref events);
        var share = await ShareOfCoreAsync(server, Watching);
        Tell($"{Browsers} browsers connected, idle server subtracted", 100 * (share - idle), "% of a core", 5);
        Tell("events to each of them", (Interlocked.Read(ref events) - before) / Watching.TotalSeconds / Browsers, "per second", 4);
        await leaving.CancelAsync();
        await Task.WhenAll(streams);
    }

    /// <summary>How long the page takes to answer a click while the server takes readings as fast as a million meters send them.</summary>
    private static async Task UnderLoadAsync(IBrowser browser, ServerProcess server)
    {
        using var fleet = ServerProcess.Open(
            "simulate", "--protocol", "udp", "--target", server["udp"].ToString(), "--devices", "100000", "--rate",
            ReadingsPerSecond.ToString(CultureInfo.InvariantCulture), "--duration", "40s");
        await using var context = await browser.NewContextAsync();
        var page = await context.NewPageAsync();
        await page.GotoAsync(server.Http.BaseAddress!.ToString());
        await page.Locator(".ledger tbody tr").First.WaitForAsync();
        await page.WaitForTimeoutAsync(5000);
        List<double> answers = [];
        foreach (var name in Enumerable.Repeat(Clicked, 6).SelectMany(n => n))
        {
            var began = Stopwatch.GetTimestamp();
            await page.Locator("nav").GetByRole(AriaRole.Link, new LocatorGetByRoleOptions { Name = name }).ClickAsync();
            await page.Locator("h1", new PageLocatorOptions { HasText = name }).WaitForAsync();
            answers.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }

        var late = await page.EvaluateAsync<double>(
            "() => new Promise(done => { let worst = 0, last = performance.now(), n = 0; const tick = now => { worst = Math.max(worst, now - last); last = now; ++n < 300 ? requestAnimationFrame(tick) : done(worst); }; requestAnimationFrame(tick); })");
        var overview = JsonDocument.Parse(await page.EvaluateAsync<string>("() => fetch('/api/v1/status').then(r => r.text())")).RootElement;
        var stored = overview.GetProperty("listeners").EnumerateArray().Sum(l => l.GetProperty("stored").GetInt64());
        Tell("a page answers a click at full load, median", answers.Order().ElementAt(answers.Count / 2), "ms", 200);
        Tell("longest pause between two frames at full load", late, "ms", 200);
        Console.WriteLine($"  ({stored:N0} readings were stored meanwhile)");
        fleet.Kill();
        await fleet.WaitForExitAsync();
    }

    private static async Task<double> ShareOfCoreAsync(ServerProcess server, TimeSpan span)
    {
        var (began, used) = (Stopwatch.GetTimestamp(), server.ProcessorTime);
        await Task.Delay(span, CancellationToken.None);
        return (server.ProcessorTime - used) / Stopwatch.GetElapsedTime(began);
    }

    private static void Tell(string what, double found, string unit, double most)
    {
        var well = found <= most;
        _exceeded |= !well;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: {found:0.0} {unit} (at most {most:0}){(well ? "" : "  EXCEEDED")}"));
    }
}
