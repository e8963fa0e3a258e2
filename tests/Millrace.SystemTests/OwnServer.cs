using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>A real server of one test alone, because the test kills or freezes it: started by its script in tests/services, on ports that it keeps.</summary>
internal sealed partial class OwnServer : IAsyncDisposable
{
    private const int Kill = 9;
    private const int Continue = 18;
    private const int Stop = 19;

    private readonly string _script;
    private readonly TempFolder _folder = new();
    private readonly int _port = FreePort();
    private readonly int _tlsPort = FreePort();
    private Dictionary<string, string> _settings = [];

    private OwnServer(string name)
    {
        _script = Path.Combine(RepositoryRoot(), "tests", "services", name + ".sh");
        // The account a database runs under must reach its folder.
        File.SetUnixFileMode(_folder.Path, (UnixFileMode)Convert.ToInt32("755", 8));
    }

    /// <summary>What the script tells about the server, such as its connection string; the same after every restart.</summary>
    public string this[string setting] => _settings[setting];

    /// <param name="name">Of the script: mariadb, postgres, smtp.</param>
    public static async Task<OwnServer> StartAsync(string name)
    {
        var server = new OwnServer(name);
        await server.StartAsync();
        return server;
    }

    /// <summary>Starts it again over what it had.</summary>
    public async Task StartAsync()
    {
        var told = await RunScriptAsync("start");
        _settings = told.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('=', 2))
            .ToDictionary(pair => pair[0], pair => pair[1].Trim('"'));
    }

    /// <summary>SIGKILL for the server and all its processes.</summary>
    public async Task KillAsync()
    {
        foreach (var id in Processes())
        {
            try
            {
                using var process = Process.GetProcessById(id);
                process.Kill();
                await process.WaitForExitAsync();
            }
            catch (ArgumentException)
            {
                // Gone before its turn came.
            }
        }
    }

    /// <summary>Lets it answer nothing, with all connections open, until <see cref="Thaw"/>.</summary>
    public void Freeze() => Processes().ForEach(id => _ = Signal(id, Stop));

    public void Thaw() => Processes().ForEach(id => _ = Signal(id, Continue));

    public async ValueTask DisposeAsync()
    {
        Thaw();
        await RunScriptAsync("stop");
        _folder.Dispose();
    }

    /// <summary>The server's process first, then those it made.</summary>
    private List<int> Processes()
    {
        var file = new[] { "run/pid", "pid", "data/postmaster.pid" }.Select(name => _folder[name]).FirstOrDefault(File.Exists);
        if (file is null)
            return [];
        var first = int.Parse(File.ReadLines(file).First(), CultureInfo.InvariantCulture);
        return [first, .. Process.GetProcesses().Select(p => p.Id).Where(id => ParentOf(id) == first)];
    }

    private static int ParentOf(int id)
    {
        try
        {
            // "id (name) state parent …"; the name may hold anything.
            var text = File.ReadAllText($"/proc/{id}/stat");
            return int.Parse(text[(text.LastIndexOf(')') + 2)..].Split(' ')[1], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private async Task<string> RunScriptAsync(string verb)
    {
        var info = new ProcessStartInfo(_script, [verb, _folder.Path]) { RedirectStandardOutput = true, RedirectStandardError = true };
        info.Environment["PORT"] = _port.ToString(CultureInfo.InvariantCulture);
        info.Environment["TLS_PORT"] = _tlsPort.ToString(CultureInfo.InvariantCulture);
        using var script = Process.Start(info)!;
        var errors = script.StandardError.ReadToEndAsync();
        var told = await script.StandardOutput.ReadToEndAsync();
        await script.WaitForExitAsync();
        Assert.True(script.ExitCode == 0, $"{_script} {verb}: {await errors}");
        return told;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("the repository's root is not above the test program");
        return folder;
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);
}
