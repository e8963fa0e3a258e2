using Microsoft.Playwright;

namespace Millrace.BrowserTests;

/// <summary>The system's Chromium, started once; it reaches this machine and nothing else.</summary>
public sealed class Browser : IAsyncLifetime
{
    private IPlaywright? _playwright;
    private IBrowser? _chromium;

    /// <summary>A browser with no past: no cookies, nothing stored.</summary>
    public Task<IBrowserContext> NewContextAsync(BrowserNewContextOptions? options = null)
    {
        Assert.SkipUnless(Chromium.Executable is not null, "Chromium is not installed");
        return _chromium!.NewContextAsync(options ?? new BrowserNewContextOptions { ViewportSize = new ViewportSize { Width = 1360, Height = 900 } });
    }

    public async ValueTask InitializeAsync()
    {
        if (Chromium.Executable is null)
            return;
        _playwright = await Playwright.CreateAsync();
        _chromium = await Chromium.LaunchAsync(_playwright);
    }

    public async ValueTask DisposeAsync()
    {
        if (_chromium is not null)
            await _chromium.DisposeAsync();
        _playwright?.Dispose();
    }
}
