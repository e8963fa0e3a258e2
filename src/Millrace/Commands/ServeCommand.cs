using System.CommandLine;
using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using Millrace.Commands.Simulate;
using Millrace.Core;
using Millrace.Settings;

namespace Millrace.Commands;

/// <summary><c>millrace serve</c>: runs the server until SIGTERM or Ctrl-C.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        var config = new Option<string?>("--config") { Description = "settings: a JSON file, or the server.config INI of the NB-IoT server" };
        var data = new Option<string>("--data") { Description = "folder for everything the server keeps", DefaultValueFactory = _ => "./data" };
        var demo = new Option<bool>("--demo") { Description = "start a small simulated fleet in the same process" };
        var set = new Option<string[]>("--set") { Description = "one setting, Section:Key=Value; may be repeated" };
        var command = new Command("serve", "Run the server (also what millrace does without a command).") { config, data, demo, set };
        command.SetAction((parsed, cancel) => RunAsync(
            DataFolders.ReadOptions(parsed.GetValue(config), parsed.GetValue(set) ?? []), parsed.GetValue(data)!, parsed.GetValue(demo), cancel));
        return command;
    }

    private static async Task<int> RunAsync(ServerOptions options, string data, bool demo, CancellationToken cancel)
    {
        KeepThreadsForListeners();
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using var terminate = StopOn(PosixSignal.SIGTERM, stopping);
        using var interrupt = StopOn(PosixSignal.SIGINT, stopping);
        using var logs = CreateLogs(options.JsonLogs);
        var logger = logs.CreateLogger("Millrace");
        using var folder = DataFolder.Open(data);

        Server server;
        try
        {
            server = await new Composition(options, folder, TimeProvider.System, logs).ComposeAsync(stopping.Token);
            await server.BindAsync(stopping.Token);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            return ExitCode.Done; // Told to stop before it had begun.
        }

        PrintReady(server, options, folder);

        var fleet = demo ? RunDemoAsync(server, options, folder, stopping.Token) : Task.CompletedTask;
        try
        {
            await server.RunAsync(stopping.Token);
            await fleet;
        }
        catch (StopGivenUpException e)
        {
            ServerLog.StopGivenUp(logger, e.Message);
            logs.Dispose();
            // Returning would close what lies on that disk.
            Environment.Exit(ExitCode.Failed);
            return ExitCode.Failed;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            ServerLog.PartFailed(logger, e);
            return ExitCode.Failed;
        }

        ServerLog.Stopped(logger);
        return ExitCode.Done;
    }

    /// <summary>
    /// A view that catches up computes without a pause. The pool starts with one thread per core and adds others only
    /// after half a second: without spare ones, three views on two cores keep every listener's answer waiting.
    /// </summary>
    private static void KeepThreadsForListeners()
    {
        var wanted = Math.Max(16, 4 * Environment.ProcessorCount);
        ThreadPool.GetMinThreads(out var workers, out var completions);
        ThreadPool.SetMinThreads(Math.Max(workers, wanted), completions);
    }

    private static PosixSignalRegistration StopOn(PosixSignal signal, CancellationTokenSource stopping) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            stopping.Cancel();
        });

    /// <summary>Log lines go to stderr: stdout has the banner and the ready line, for whoever starts us.</summary>
    private static ILoggerFactory CreateLogs(bool json) => LoggerFactory.Create(builder =>
    {
        builder.SetMinimumLevel(LogLevel.Information);
        builder.AddFilter("Microsoft", LogLevel.Warning);
        builder.Services.Configure<ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace);
        if (json)
            builder.AddJsonConsole(o => { o.UseUtcTimestamp = true; o.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z'"; });
        else
            builder.AddSimpleConsole(o => { o.SingleLine = true; o.UseUtcTimestamp = true; o.TimestampFormat = "HH:mm:ss.fff "; });
    });

    private static void PrintReady(Server server, ServerOptions options, DataFolder folder)
    {
        var named = server.Listeners.Select(listener => (listener.Name, listener.Endpoint)).ToList();
        Console.WriteLine($"Millrace {typeof(ServeCommand).Assembly.GetName().Version?.ToString(3)}: data in {folder.Path}, security {options.Security.ToString().ToLowerInvariant()}");
        foreach (var (name, endpoint) in named)
            Console.WriteLine($"  {name,-10} {endpoint,-22} {Purpose(name)}");
        if (options.Security == SecurityMode.Token)
            Console.WriteLine($"  the first admin token is in {folder.AdminToken}");
        Console.WriteLine($"Millrace is ready: {string.Join(' ', named.Select(l => $"{l.Name}={l.Endpoint}"))}");
        Console.Out.Flush();
    }

    private static string Purpose(string name) => name switch
    {
        "http" => "API, events and pages: open it in a browser",
        "https" => "the same over TLS",
        "udp" => "ID:value or JSON datagrams",
        "tcp" => "ID:value lines; send ACK first to have them answered",
        "middleware" => "register, heartbeat, get_data",
        _ => "",
    };

    private static async Task RunDemoAsync(Server server, ServerOptions options, DataFolder folder, CancellationToken cancel)
    {
        var token = options.Security == SecurityMode.Token && File.Exists(folder.AdminToken) ? (await File.ReadAllTextAsync(folder.AdminToken, cancel)).Trim() : null;
        try
        {
            await Task.WhenAll(
                DemoFleet.RunAsync(EndpointOf("udp"), EndpointOf("tcp"), EndpointOf("http"), token, cancel),
                DemoJobs.MakeAsync(EndpointOf("http"), token, cancel));
        }
        catch (OperationCanceledException)
        {
            // The server stops, and the fleet with it.
        }

        IPEndPoint? EndpointOf(string name) =>
            server.Listeners.FirstOrDefault(l => l.Name == name) is { } listener && IPEndPoint.TryParse(listener.Endpoint, out var endpoint) ? endpoint : null;
    }
}
