using Microsoft.Playwright;
using Millrace.BrowserTests;
using Millrace.Testing;

namespace Millrace.PagesBench;

/// <summary>Every page, light and dark, on a desk and on a phone, of the sample utility.</summary>
internal static class Screenshots
{
    private const int JpegQuality = 72;

    private static readonly (string Name, int Width, int Height)[] Sizes = [("desktop", 1440, 900), ("phone", 390, 844)];

    public static async Task<int> TakeAsync(string folder)
    {
        if (Chromium.Executable is null)
        {
            Console.Error.WriteLine("PagesBench: Chromium is not installed; apt-get install chromium");
            return 1;
        }

        Directory.CreateDirectory(folder);
        using var data = new TempFolder();
        await using var server = await ServerProcess.StartAsync(data["data"]);
        await SampleData.FillAsync(server);
        using var fleet = ServerProcess.Open(
            "simulate", "--protocol", "udp", "--target", server["udp"].ToString(), "--devices", "2400", "--rate", "600", "--duration", "600s", "--device-prefix", "meter-");
        // Samples of the last hour are taken every ten seconds; a few of them make a curve.
        await Task.Delay(TimeSpan.FromSeconds(45), CancellationToken.None);
        using var playwright = await Playwright.CreateAsync();
        await using var browser = await Chromium.LaunchAsync(playwright);
        foreach (var (size, width, height) in Sizes)
        {
            foreach (var theme in new[] { ColorScheme.Light, ColorScheme.Dark })
            {
                await using var context = await browser.NewContextAsync(new BrowserNewContextOptions
                {
                    ViewportSize = new ViewportSize { Width = width, Height = height },
                    ColorScheme = theme,
                    Locale = "en-GB",
                    TimezoneId = "Europe/Prague",
                });
                await TakeAllAsync(context, server, Path.Combine(folder, $"{{0}}-{size}-{theme.ToString().ToLowerInvariant()}.jpg"));
            }
        }

        await using (var empty = await ServerProcess.StartAsync(data["empty"], "--set", "Security:Mode=token"))
        await using (var context = await browser.NewContextAsync())
            await TakeAsync(context, empty, "/", "input", Path.Combine(folder, "sign-in-desktop-light.jpg"));
        fleet.Kill();
        Console.WriteLine($"{Directory.GetFiles(folder).Length} pictures, {Directory.GetFiles(folder).Sum(f => new FileInfo(f).Length) / 1024} KiB in {folder}");
        return 0;
    }

    private static async Task TakeAllAsync(IBrowserContext context, ServerProcess server, string pattern)
    {
        foreach (var (name, path, ready) in SampleData.Pictures)
            await TakeAsync(context, server, path, ready, string.Format(System.Globalization.CultureInfo.InvariantCulture, pattern, name));
    }

    private static async Task TakeAsync(IBrowserContext context, ServerProcess server, string path, string ready, string file)
    {
        var page = await context.NewPageAsync();
        await page.GotoAsync(new Uri(server.Http.BaseAddress!, path).ToString());
        await page.Locator(ready).First.WaitForAsync();
        // Two events of the overview, so that rates and curves are there.
        await page.WaitForTimeoutAsync(1200);
        await page.ScreenshotAsync(new PageScreenshotOptions { Path = file, Type = ScreenshotType.Jpeg, Quality = JpegQuality });
        await page.CloseAsync();
    }
}
