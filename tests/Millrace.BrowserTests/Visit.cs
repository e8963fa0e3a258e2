using Microsoft.Playwright;
using Millrace.Testing;

namespace Millrace.BrowserTests;

/// <summary>
/// The built program and a browser that looks at it. Whatever a page complains about, and every request to somebody else, is kept
/// and fails the test at its end.
/// </summary>
internal sealed class Visit : IAsyncDisposable
{
    private readonly List<string> _complaints = [];
    private readonly List<string> _expected = [];
    private readonly List<string> _requests = [];

    private readonly TempFolder _folder;
    private readonly string[] _serverArguments;

    private Visit(TempFolder folder, ServerProcess server, IBrowserContext context, string[] serverArguments) =>
        (_folder, Server, Context, _serverArguments) = (folder, server, context, serverArguments);

    public ServerProcess Server { get; private set; }

    public IBrowserContext Context { get; }

    public IPage Page { get; private set; } = null!;

    public string Origin => Server.Http.BaseAddress!.ToString().TrimEnd('/');

    /// <summary>Paths that were asked for so far, in order.</summary>
    public IReadOnlyList<string> Requests
    {
        get
        {
            lock (_requests)
                return [.. _requests];
        }
    }

    public static async Task<Visit> BeginAsync(Browser browser, params string[] serverArguments) => await BeginAsync(browser, null, serverArguments);

    public static async Task<Visit> BeginAsync(Browser browser, BrowserNewContextOptions? options, params string[] serverArguments)
    {
        var context = await browser.NewContextAsync(options);
        context.SetDefaultTimeout(20_000);
        var folder = new TempFolder();
        var server = await ServerProcess.StartAsync(folder["data"], serverArguments);
        var visit = new Visit(folder, server, context, serverArguments);
        visit.Page = await visit.NewPageAsync();
        return visit;
    }

    public string AdminTokenPath => Path.Combine(_folder["data"], "admin-token");

    public async Task SignInAsync(string token)
    {
        await Page.GetByLabel("API token").FillAsync(token);
        await Page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Sign in" }).ClickAsync();
    }

    /// <summary>Another tab of the same browser.</summary>
    public async Task<IPage> NewPageAsync()
    {
        var page = await Context.NewPageAsync();
        page.Console += (_, message) =>
        {
            if (message.Type == "error")
                Complain($"{message.Text} ({message.Location})");
        };
        page.PageError += (_, error) => Complain(error);
        page.Request += (_, request) =>
        {
            var address = new Uri(request.Url);
            if (address.Scheme is "http" or "https" or "ws" or "wss" && address.Authority != Server.Http.BaseAddress!.Authority)
                Complain($"a request leaves for {request.Url}");
            lock (_requests)
                _requests.Add(address.PathAndQuery);
        };
        return page;
    }

    public Task GoAsync(string path) => Page.GotoAsync(Origin + path);

    /// <summary>Complaints that contain this belong to the test.</summary>
    public void Expect(string part) => _expected.Add(part);

    /// <summary>Ends the server, and starts it again on the same address with the same data.</summary>
    public async Task RestartAsync()
    {
        var http = Server["http"];
        await Server.StopAsync();
        await Server.DisposeAsync();
        Server = await ServerProcess.StartAsync(_folder["data"], [.. _serverArguments, "--set", $"Http:Endpoint={http}"]);
    }

    /// <summary>The test's last word: nothing was complained about.</summary>
    public void AssertQuiet()
    {
        lock (_complaints)
            Assert.DoesNotContain(_complaints, c => !_expected.Any(e => c.Contains(e, StringComparison.Ordinal)));
    }

    public async ValueTask DisposeAsync()
    {
        await Context.DisposeAsync();
        await Server.DisposeAsync();
        _folder.Dispose();
    }

    private void Complain(string what)
    {
        lock (_complaints)
            _complaints.Add(what);
    }
}
