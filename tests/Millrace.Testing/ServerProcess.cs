using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Millrace.Testing;

/// <summary>The built program as a child process: started, asked, stopped or killed as its users do it.</summary>
public sealed partial class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();
    private readonly TaskCompletionSource<string> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _started = Stopwatch.GetTimestamp();
    private Dictionary<string, IPEndPoint> _endpoints = [];

    private ServerProcess(Process process) => _process = process;

    /// <summary>The program under test: MILLRACE_PROGRAM, or what the solution built.</summary>
    public static string Program { get; } =
        Environment.GetEnvironmentVariable("MILLRACE_PROGRAM")
        ?? typeof(ServerProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "MillraceProgram").Value!;

    public int Id => _process.Id;

    /// <summary>From the start of the process to its ready line.</summary>
    public TimeSpan TimeToReady { get; private set; }

    public HttpClient Http { get; } = new() { Timeout = TimeSpan.FromSeconds(60) };

    public string Errors
    {
        get
        {
            lock (_errors)
                return _errors.ToString();
        }
    }

    public string Output
    {
        get
        {
            lock (_output)
                return _output.ToString();
        }
    }

    /// <summary>A listener's endpoint as the ready line tells it: http, udp, tcp, middleware.</summary>
    public IPEndPoint this[string listener] => _endpoints[listener];

    /// <summary>Every port 0: the ready line says what was picked.</summary>
    public static string[] AnyPorts { get; } =
    [
        "--set", "Http:Endpoint=127.0.0.1:0", "--set", "Listeners:Udp:Endpoint=127.0.0.1:0",
        "--set", "Listeners:Tcp:Endpoint=127.0.0.1:0", "--set", "Listeners:Middleware:Endpoint=127.0.0.1:0",
    ];

    /// <summary>Starts <c>millrace serve</c> on ports of its own choice and waits for its ready line.</summary>
    /// <exception cref="ServerDidNotStartException">It ended before it was ready.</exception>
    public static Task<ServerProcess> StartAsync(string data, params string[] arguments) =>
        StartAsWrittenAsync(["serve", "--data", data, .. AnyPorts, .. arguments]);

    /// <summary>Starts a serving command exactly as it is written and waits for its ready line.</summary>
    /// <exception cref="ServerDidNotStartException">It ended before it was ready.</exception>
    public static async Task<ServerProcess> StartAsWrittenAsync(params string[] arguments)
    {
        var server = Launch(arguments);
        try
        {
            server.TakeReadyLine(await server._ready.Task.WaitAsync(ReadyDeadline));
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a command to its end.</summary>
    public static async Task<CommandResult> RunAsync(params string[] arguments)
    {
        await using var run = Launch(arguments);
        await run._process.WaitForExitAsync();
        return new CommandResult(run._process.ExitCode, run.Output, run.Errors);
    }

    /// <summary>A command whose output is too large to keep; the caller reads it and disposes the process.</summary>
    public static Process Open(params string[] arguments)
    {
        var process = new Process { StartInfo = Info(arguments) };
        process.StartInfo.RedirectStandardError = false;
        process.Start();
        return process;
    }

    /// <summary>SIGKILL: nothing of the program gets a chance to run.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>SIGTERM, as systemd stops it.</summary>
    /// <returns>The exit code and the time it took.</returns>
    public async Task<(int ExitCode, TimeSpan Took)> StopAsync()
    {
        var start = Stopwatch.GetTimestamp();
        _ = Signal(_process.Id, 15);
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        return (_process.ExitCode, Stopwatch.GetElapsedTime(start));
    }

    /// <summary>Waits for the process to end by itself.</summary>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        return _process.ExitCode;
    }

    /// <summary>The value of one metric sample, such as <c>millrace_readings_stored_total{listener="udp"}</c>, or 0.</summary>
    public async Task<double> MetricAsync(string sample) => (await MetricsAsync()).GetValueOrDefault(sample);

    public async Task<Dictionary<string, double>> MetricsAsync()
    {
        var text = await Http.GetStringAsync("/metrics");
        Dictionary<string, double> samples = [];
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#'))
        {
            var space = line.LastIndexOf(' ');
            samples[line[..space]] = double.Parse(line.AsSpan(space + 1), CultureInfo.InvariantCulture);
        }

        return samples;
    }

    /// <summary>Processor time used so far, user and system.</summary>
    public TimeSpan ProcessorTime => Process.GetProcessById(_process.Id).TotalProcessorTime;

    /// <summary>Resident memory in bytes.</summary>
    public long ResidentBytes
    {
        get
        {
            var line = File.ReadLines($"/proc/{_process.Id}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        }
    }

    public bool HasExited => _process.HasExited;

    private static ServerProcess Launch(string[] arguments)
    {
        var process = new Process { StartInfo = Info(arguments) };
        var server = new ServerProcess(process);
        process.OutputDataReceived += (_, e) => server.TakeOutput(e.Data);
        process.ErrorDataReceived += (_, e) => server.TakeError(e.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return server;
    }

    private static ProcessStartInfo Info(string[] arguments)
    {
        if (!File.Exists(Program))
            throw new FileNotFoundException($"{Program} is not built: dotnet build src/Millrace");
        var direct = !Program.EndsWith(".dll", StringComparison.Ordinal);
        var info = new ProcessStartInfo(direct ? Program : "dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        if (!direct)
            info.ArgumentList.Add(Program);
        foreach (var argument in arguments)
            info.ArgumentList.Add(argument);
        return info;
    }

    private void TakeOutput(string? line)
    {
        if (line is null)
        {
            // The output has ended; a server that was not ready will not be.
            _process.WaitForExit(10_000);
            _ready.TrySetException(new ServerDidNotStartException(_process.HasExited ? _process.ExitCode : -1, Output, Errors));
            return;
        }

        lock (_output)
            _output.AppendLine(line);
        if (line.StartsWith("Millrace is ready: ", StringComparison.Ordinal))
        {
            TimeToReady = Stopwatch.GetElapsedTime(_started);
            _ready.TrySetResult(line);
        }
    }

    private void TakeError(string? line)
    {
        if (line is null)
            return;
        lock (_errors)
            _errors.AppendLine(line);
    }

    private void TakeReadyLine(string line)
    {
        _endpoints = EndpointWord().Matches(line).ToDictionary(m => m.Groups[1].Value, m => IPEndPoint.Parse(m.Groups[2].Value));
        if (_endpoints.TryGetValue("http", out var http))
            Http.BaseAddress = new Uri($"http://{http}/");
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            await KillAsync();
        Http.Dispose();
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);

    [GeneratedRegex(@"(\w+)=(\S+:\d+)")]
    private static partial Regex EndpointWord();
}

/// <summary>What a command printed and returned.</summary>
public sealed record CommandResult(int ExitCode, string Output, string Errors);

/// <summary>The server ended before its ready line.</summary>
public sealed class ServerDidNotStartException(int exitCode, string output, string errors)
    : Exception($"the server ended with code {exitCode} before it was ready\n{output}{errors}")
{
    public int ExitCode { get; } = exitCode;

    public string Errors { get; } = errors;
}
