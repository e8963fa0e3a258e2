using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Globalization;

namespace Millrace.Commands.Simulate;

/// <summary><c>millrace simulate</c>: a fleet of meters that sends over UDP, TCP or HTTP.</summary>
internal static class SimulateCommand
{
    private const string Document000Preset = "document-000";

    private static readonly TimeSpan TerminalRefresh = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan PlainRefresh = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        var protocol = Choice("--protocol", "udp, tcp or http", SimulatedProtocol.Udp);
        var target = new Option<string?>("--target") { Description = "HOST:PORT (default: 127.0.0.1 and the protocol's own port)" };
        var devices = new Option<int>("--devices") { Description = "meters in the fleet", DefaultValueFactory = _ => 100 };
        var interval = Duration("--interval", "time between two readings of one meter, moved by up to a tenth (default 30s)");
        var rate = new Option<double?>("--rate") { Description = "readings per second of the whole fleet; 0 is as fast as they are taken" };
        var count = new Option<long?>("--count") { Description = "readings in all" };
        var duration = Duration("--duration", "how long to send, like 60s or 10m");
        var seed = new Option<ulong>("--seed") { Description = "the same seed sends the same readings", DefaultValueFactory = _ => 1 };
        var payload = Choice("--payload", "text, json, xml (http only) or gas-meter", PayloadKind.Text);
        var prefix = new Option<string>("--device-prefix") { Description = "beginning of every id", DefaultValueFactory = _ => "meter-" };
        var preset = new Option<string?>("--preset") { Description = $"{Document000Preset}: the 125 meters of the NB-IoT test client" };
        var connections = new Option<int?>("--connections") { Description = "connections or sockets (default: 1 for udp, 16 otherwise)" };
        var batch = new Option<int>("--batch") { Description = "readings per HTTP request (NDJSON) or datagram", DefaultValueFactory = _ => 1 };
        var inFlight = new Option<int>("--in-flight") { Description = "tcp: lines that may wait for their answer, per connection", DefaultValueFactory = _ => 4096 };
        var token = new Option<string?>("--token") { Description = "http: bearer token (default: MILLRACE_TOKEN)" };
        var noAnswers = new Option<bool>("--no-ack") { Description = "tcp: do not ask for an answer to every line" };
        var acknowledged = new Option<string?>("--acknowledged") { Description = "write one line per acknowledged reading to this file: position, id, mark" };

        var command = new Command("simulate", "Send readings of a simulated fleet; prints what was sent and what was acknowledged.")
        {
            protocol, target, devices, interval, rate, count, duration, seed, payload, prefix, preset, connections, batch, inFlight,
            token, noAnswers, acknowledged,
        };
        command.SetAction((parsed, cancel) =>
        {
            var chosen = parsed.GetValue(protocol);
            var (host, port) = Target(parsed.GetValue(target), chosen);
            return RunAsync(
                new SimulationOptions
                {
                    Protocol = chosen,
                    Host = host,
                    Port = port,
                    Devices = parsed.GetValue(devices),
                    Interval = parsed.GetValue(interval) ?? (parsed.GetValue(rate) is null ? TimeSpan.FromSeconds(30) : null),
                    Rate = parsed.GetValue(rate),
                    Count = parsed.GetValue(count),
                    Duration = parsed.GetValue(duration),
                    Seed = parsed.GetValue(seed),
                    Payload = parsed.GetValue(payload),
                    DevicePrefix = parsed.GetValue(prefix)!,
                    Document000 = parsed.GetValue(preset) is not null,
                    Connections = parsed.GetValue(connections) ?? (chosen == SimulatedProtocol.Udp ? 1 : 16),
                    Batch = parsed.GetValue(batch),
                    InFlightMax = parsed.GetValue(inFlight),
                    Token = parsed.GetValue(token) ?? Environment.GetEnvironmentVariable("MILLRACE_TOKEN"),
                    Acknowledge = !parsed.GetValue(noAnswers),
                    AcknowledgedFile = parsed.GetValue(acknowledged),
                },
                parsed.GetValue(preset),
                cancel);
        });
        return command;
    }

    /// <summary>Every mistake of the options, in words.</summary>
    public static IEnumerable<string> Mistakes(SimulationOptions options, string? preset)
    {
        if (options.Interval is not null && options.Rate is not null)
            yield return "--interval and --rate exclude each other";
        if (preset is not null and not Document000Preset)
            yield return $"--preset knows {Document000Preset}, not {preset}";
        if (preset is not null && options.Payload != PayloadKind.Text)
            yield return $"--preset {Document000Preset} sends text, not {options.Payload}";
        if (options.Devices is < 1 or > 100_000_000)
            yield return "--devices is outside 1..100000000";
        if (options.Interval <= TimeSpan.Zero)
            yield return "--interval must be greater than nothing";
        if (options.Rate is < 0)
            yield return "--rate must not be negative";
        if (options.Count is < 1)
            yield return "--count must be at least 1";
        if (options.Connections is < 1 or > 100_000)
            yield return "--connections is outside 1..100000";
        if (options.Batch is < 1 or > 100_000 || (options.Batch > 16 && options.Protocol == SimulatedProtocol.Udp && options.Payload != PayloadKind.Text)
            || (options.Batch > 128 && options.Protocol == SimulatedProtocol.Udp))
            yield return "--batch is outside 1..100000 (udp: 128 text readings or 16 others fit a datagram)";
        if (options.Batch > 1 && options.Protocol == SimulatedProtocol.Tcp)
            yield return "--batch is for udp and http; tcp sends a line per reading";
        if (options.InFlightMax < 1)
            yield return "--in-flight must be at least 1";
        if (options.Payload == PayloadKind.Xml && (options.Protocol != SimulatedProtocol.Http || options.Batch > 1))
            yield return "--payload xml needs --protocol http and no --batch";
        if (options.AcknowledgedFile is not null && (options.Protocol == SimulatedProtocol.Udp || !options.Acknowledge))
            yield return "--acknowledged needs a protocol that answers: tcp (without --no-ack) or http";
        if (!options.Document000 && options.Payload == PayloadKind.Text && !options.DevicePrefix.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-'))
            yield return "--device-prefix may hold letters, digits, . _ and -";
        if (options.DevicePrefix.Length > 100)
            yield return "--device-prefix is longer than 100 characters";
    }

    private static async Task<int> RunAsync(SimulationOptions options, string? preset, CancellationToken cancel)
    {
        if (Mistakes(options, preset).ToList() is { Count: > 0 } mistakes)
            throw new UsageException(mistakes);

        var address = await Simulation.ResolveAsync(options.Host, cancel);
        using var simulation = new Simulation(options, address, TimeProvider.System);
        if (!await simulation.IsAnsweredAsync(cancel))
            Console.Error.WriteLine($"millrace: nobody answers at {options.Host}:{options.Port} yet; trying until somebody does: start millrace serve, or name another --target HOST:PORT");
        using var ended = new CancellationTokenSource();
        var started = Stopwatch.GetTimestamp();
        var showing = ShowAsync(simulation, options, started, ended.Token);
        try
        {
            await simulation.RunAsync(cancel);
        }
        finally
        {
            await ended.CancelAsync();
            await showing;
        }

        Console.Write(SimulationReport.Summary(simulation, options, Stopwatch.GetElapsedTime(started)));
        return SimulationReport.IsGood(simulation) ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>On a terminal one line that changes; otherwise a line now and then. On stderr: stdout is for the summary.</summary>
    private static async Task ShowAsync(Simulation simulation, SimulationOptions options, long started, CancellationToken ended)
    {
        var terminal = !Console.IsErrorRedirected;
        var refresh = terminal ? TerminalRefresh : PlainRefresh;
        var (sentBefore, before) = (0L, started);
        try
        {
            while (true)
            {
                await Task.Delay(refresh, ended);
                var (sent, now) = (simulation.Tally.Sent, Stopwatch.GetTimestamp());
                var line = SimulationReport.Progress(
                    simulation, options, Stopwatch.GetElapsedTime(started, now), (sent - sentBefore) / Stopwatch.GetElapsedTime(before, now).TotalSeconds);
                Console.Error.Write(terminal ? $"\r\e[K{line}" : $"{line}\n");
                (sentBefore, before) = (sent, now);
            }
        }
        catch (OperationCanceledException)
        {
            if (terminal)
                Console.Error.Write("\r\e[K");
        }
    }

    internal static (string Host, int Port) Target(string? target, SimulatedProtocol protocol)
    {
        if (target is null)
            return ("127.0.0.1", protocol switch { SimulatedProtocol.Udp => 9999, SimulatedProtocol.Tcp => 8090, _ => 8080 });
        var colon = target.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(target.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0)
            throw new UsageException([$"--target {target} is not HOST:PORT"]);
        return (target[..colon].Trim('[', ']'), port);
    }

    private static Option<T> Choice<T>(string name, string meaning, T fallback)
        where T : struct, Enum =>
        new(name)
        {
            Description = meaning,
            DefaultValueFactory = _ => fallback,
            CustomParser = result =>
            {
                var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                foreach (var value in Enum.GetValues<T>())
                {
                    if (string.Equals(Kebab(value.ToString()), text, StringComparison.OrdinalIgnoreCase))
                        return value;
                }

                result.AddError($"{name} {text}: choose {meaning}");
                return fallback;
            },
        };

    private static Option<TimeSpan?> Duration(string name, string meaning) => new(name)
    {
        Description = meaning,
        CustomParser = result =>
        {
            if (result.Tokens.Count == 1 && Durations.TryParse(result.Tokens[0].Value, out var duration))
                return duration;
            result.AddError($"{name}: write a time like 500ms, 30s, 10m or 1h");
            return null;
        },
    };

    private static string Kebab(string name) =>
        string.Concat(name.Select((c, i) => char.IsUpper(c) ? (i > 0 ? "-" : "") + char.ToLowerInvariant(c) : c.ToString()));
}
