using Microsoft.Playwright;

namespace Millrace.BrowserTests;

/// <summary>The system's Chromium, so that no browser is downloaded; it reaches this machine and nothing else.</summary>
internal static class Chromium
{
    /// <summary>MILLRACE_TEST_CHROMIUM, or where Debian puts it; null when it is not installed.</summary>
    public static string? Executable { get; } =
        Environment.GetEnvironmentVariable("MILLRACE_TEST_CHROMIUM") is { Length: > 0 } named ? named : File.Exists("/usr/bin/chromium") ? "/usr/bin/chromium" : null;

    /// <summary>Nothing but the page under test may talk to anybody. Chromium's sandbox does not work for root.</summary>
    private static readonly string[] Arguments =
    [
        "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", .. Environment.IsPrivilegedProcess ? ["--no-sandbox"] : Array.Empty<string>(),
    ];

    public static Task<IBrowser> LaunchAsync(IPlaywright playwright) =>
        playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = Executable, Args = Arguments });
}
