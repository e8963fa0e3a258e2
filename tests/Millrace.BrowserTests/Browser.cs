using Microsoft.Playwright;

namespace Millrace.BrowserTests;

/// <summary>The system's Chromium, started once; it reaches this machine and nothing else.</summary>
public sealed class Browser : IAsyncLifetime
{
    private IPlaywright? _playwright;
    private IBrowser? _chromium;

    /// <summary>MILLRACE_TEST_CHROMIUM, or where Debian puts it; null when it is not installed.</summary>
    public static string? Executable { get; } =
        Environment.GetEnvironmentVariable("MILLRACE_TEST_CHROMIUM") is { Length: > 0 } named ? named : File.Exists("/usr/bin/chromium") ? "/usr/bin/chromium" : null;

    /// <summary>A browser with no past: no cookies, nothing stored.</summary>
    public Task<IBrowserContext> NewContextAsync(BrowserNewContextOptions? options = null)
    {
        Assert.SkipUnless(Executable is not null, "Chromium is not installed");
        return _chromium!.NewContextAsync(options ?? new BrowserNewContextOptions { ViewportSize = new ViewportSize { Width = 1360, Height = 900 } });
    }

    public async ValueTask InitializeAsync()
    {
        if (Executable is null)
            return;
        _playwright = await Playwright.CreateAsync();
        _chromium = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = Executable, Args = Arguments });
    }

    public async ValueTask DisposeAsync()
    {
        if (_chromium is not null)
            await _chromium.DisposeAsync();
        _playwright?.Dispose();
    }

    /// <summary>Nothing but the page under test may talk to anybody. Chromium's sandbox does not work for root.</summary>
    private static string[] Arguments { get; } =
    [
        "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", .. Environment.IsPrivilegedProcess ? ["--no-sandbox"] : Array.Empty<string>(),
    ];
}
