using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using Millrace.Testing;

namespace Millrace.Load;

internal sealed record BenchOptions(bool Quick, int Rounds, double Gigabytes, TimeSpan CrashTime, string? Output);

/// <summary>What a scenario works with: a folder, programs of the system, peers in C, servers, and a place to print.</summary>
internal sealed class Bench(BenchOptions options) : IAsyncDisposable
{
    private readonly Dictionary<string, string> _peers = [];
    private int _folders;

    public BenchOptions Options { get; } = options;

    public bool Quick => Options.Quick;

    public string Folder { get; } = Directory.CreateTempSubdirectory("millrace-load-").FullName;

    private static string BenchFolder { get; } =
        typeof(Bench).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "BenchFolder").Value!;

    /// <summary>A data folder nobody has used; the one before is left to the end so that no deletion disturbs a measurement.</summary>
    public string NewData() => Path.Combine(Folder, $"data-{++_folders}");

    public Task<ServerProcess> StartServerAsync(params string[] settings) => StartServerAtAsync(NewData(), settings);

    /// <summary>
    /// Starts a server without its Parquet archive, which costs more than everything else together and is measured where a
    /// scenario asks for it: a later setting wins.
    /// </summary>
    public static Task<ServerProcess> StartServerAtAsync(string data, params string[] settings) =>
        ServerProcess.StartAsync(data, [.. settings.Prepend("History:Archive=false").Prepend("History:Trends=false").SelectMany(setting => (string[])["--set", setting])]);

    public static string PeerSource(string name) => Path.Combine(BenchFolder, "peers", name);

    /// <summary>A peer written in C, compiled once per run.</summary>
    public async Task<string> CompiledAsync(string name)
    {
        if (_peers.TryGetValue(name, out var program))
            return program;
        program = Path.Combine(Folder, name);
        await RunAsync("gcc", "-O2", "-o", program, PeerSource(name + ".c"));
        return _peers[name] = program;
    }

    /// <summary>Runs a program to its end and returns what it printed.</summary>
    /// <exception cref="InvalidOperationException">It is not installed or failed.</exception>
    public static Task<string> RunAsync(string program, params string[] arguments) => RunWithAsync([], program, arguments);

    public static async Task<string> RunWithAsync(Dictionary<string, string> environment, string program, params string[] arguments)
    {
        using var process = Start(environment, program, arguments);
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {output}{await errors}");
        return output;
    }

    public static Process Start(Dictionary<string, string> environment, string program, params string[] arguments)
    {
        var info = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
            info.Environment[name] = value;
        try
        {
            return Process.Start(info)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new InvalidOperationException($"{program} is not installed (Debian: gcc apache2-utils wrk nginx-light)", e);
        }
    }

    public async Task<string> MachineAsync()
    {
        var model = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "unknown processor";
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 30;
        var load = File.ReadAllText("/proc/loadavg").Split(' ')[0];
        string commit;
        try
        {
            commit = (await RunAsync("git", "-C", BenchFolder, "rev-parse", "--short", "HEAD")).Trim();
        }
        catch (InvalidOperationException)
        {
            commit = "unknown";
        }

        return $"commit {commit}, {Environment.ProcessorCount} x {model}, {memory} GiB, .NET {Environment.Version}, load average before {load}";
    }

    public void Say(string line)
    {
        Console.WriteLine(line);
        if (Options.Output is { } file)
            File.AppendAllText(file, line + "\n");
    }

    /// <summary>Prints a Markdown table.</summary>
    public void Table(string title, string[] header, IEnumerable<string[]> rows)
    {
        Say($"\n### {title}\n");
        Say($"| {string.Join(" | ", header)} |");
        Say($"|{string.Concat(Enumerable.Repeat("---|", header.Length))}");
        foreach (var row in rows)
            Say($"| {string.Join(" | ", row)} |");
        Say("");
    }

    public static void Note(string line) => Console.Error.WriteLine($"  {line}");

    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted.Count == 0 ? double.NaN : sorted.Count % 2 == 1 ? sorted[sorted.Count / 2] : (sorted[(sorted.Count / 2) - 1] + sorted[sorted.Count / 2]) / 2;
    }

    public static string N(double value, string format = "N0") => value.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>The number that follows a word in a line such as "sent 100 seconds 2.5".</summary>
    public static double After(string text, string word)
    {
        var words = text.Split([' ', '\n', '\r', '\t'], StringSplitOptions.RemoveEmptyEntries);
        var at = Array.IndexOf(words, word);
        return at < 0 || at == words.Length - 1
            ? throw new InvalidDataException($"no '{word}' in: {text}")
            : double.Parse(words[at + 1].TrimEnd(','), CultureInfo.InvariantCulture);
    }

    /// <summary>Waits until a number stops changing for half a second and returns it.</summary>
    public static async Task<double> SettledAsync(Func<Task<double>> look, Func<double, bool>? isDone = null, TimeSpan? atMost = null)
    {
        var deadline = Stopwatch.StartNew();
        var (last, since) = (await look(), Stopwatch.StartNew());
        while (deadline.Elapsed < (atMost ?? TimeSpan.FromSeconds(30)) && isDone?.Invoke(last) != true && since.ElapsedMilliseconds < 500)
        {
            await Task.Delay(50); // Between two looks at a server in another process, which tells nobody.
            var now = await look();
            if (now != last)
                (last, since) = (now, Stopwatch.StartNew());
        }

        return last;
    }

    /// <summary>The readings no view has taken in yet, over all views.</summary>
    public static async Task<double> LagAsync(ServerProcess server) => (await server.MetricsAsync())
        .Where(m => m.Key.StartsWith("millrace_view_lag_readings", StringComparison.Ordinal)).Sum(m => m.Value);

    public static async Task<double> StoredAsync(ServerProcess server, string listener) =>
        await server.MetricAsync($"millrace_readings_stored_total{{listener=\"{listener}\"}}");

    /// <summary>Readings of a listener that were rejected or dropped.</summary>
    public static async Task<double> LostAsync(ServerProcess server, string listener) => (await server.MetricsAsync())
        .Where(m => m.Key.Contains($"listener=\"{listener}\"", StringComparison.Ordinal)
            && (m.Key.StartsWith("millrace_readings_rejected_total", StringComparison.Ordinal) || m.Key.StartsWith("millrace_readings_dropped_total", StringComparison.Ordinal)))
        .Sum(m => m.Value);

    /// <summary>Runs <c>millrace simulate</c> against a server; its summary comes back, whatever its exit code.</summary>
    public static async Task<CommandResult> SimulateAsync(params string[] arguments) => await ServerProcess.RunAsync(["simulate", .. arguments]);

    public ValueTask DisposeAsync()
    {
        Directory.Delete(Folder, recursive: true);
        return ValueTask.CompletedTask;
    }
}
