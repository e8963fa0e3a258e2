using System.CommandLine;
using Millrace.Jobs.Recorded;

namespace Millrace.Commands.Query;

/// <summary><c>millrace query run|check|test</c>: streaming SQL over files or a data folder, without a server.</summary>
internal static class QueryCommand
{
    public static Command Create() => new("query", "Run, check and test streaming SQL over files or recorded readings.")
    {
        CreateRun(),
        CreateCheck(),
        CreateTest(),
    };

    private static Command CreateRun()
    {
        var file = new Option<string>("--file") { Description = "the script", Required = true };
        var inputs = new Option<string[]>("--input") { Description = "NAME=FILE.jsonl: one event per line; may be repeated" };
        var data = new Option<string?>("--data") { Description = "instead of files: a server's data folder, also while it runs; every input is all telemetry" };
        var config = DataFolders.Config();
        var from = new Option<string?>("--from") { Description = $"with --data: first arrival, {Times.Meaning} (default: the oldest reading)" };
        var to = new Option<string?>("--to") { Description = "with --data: arrivals before this (default: all that is there)" };
        var references = new Option<string[]>("--reference") { Description = "NAME=FILE: a JSON array, JSON lines, or CSV with a header; may be repeated" };
        var output = new Option<string>("--output") { Description = "folder that gets OUTPUT.jsonl for every output, and dead-letter.jsonl", Required = true };
        var arrival = new Option<string?>("--arrival") { Description = "field with the arrival time (default: EventEnqueuedUtcTime, else TIMESTAMP BY, else one second per line)" };
        var late = new Option<double>("--late") { Description = "late-arrival tolerance in seconds", DefaultValueFactory = _ => 5 };
        var outOfOrder = new Option<double>("--out-of-order") { Description = "out-of-order tolerance in seconds", DefaultValueFactory = _ => 0 };
        var policy = new Option<string>("--policy") { Description = "what happens beyond a tolerance: adjust or drop", DefaultValueFactory = _ => "adjust" };
        policy.AcceptOnlyFromAmong("adjust", "drop");
        var threads = new Option<int>("--threads") { Description = "threads that work on the query; the rows do not depend on it (default 1)", DefaultValueFactory = _ => 1 };
        var command = new Command(
            "run",
            "Run a script over files of events, or over the readings that a server has recorded: the rows are those of the live job.")
        {
            file, inputs, data, config, from, to, references, output, arrival, late, outOfOrder, policy, threads,
        };
        command.SetAction((parsed, cancel) =>
        {
            var files = Pairs("--input", parsed.GetValue(inputs) ?? []);
            var run = new QueryRun
            {
                File = parsed.GetValue(file)!,
                Inputs = files,
                Recorded = Range(parsed.GetValue(data), parsed.GetValue(config), parsed.GetValue(from), parsed.GetValue(to), files.Count > 0, parsed.GetValue(arrival)),
                References = Pairs("--reference", parsed.GetValue(references) ?? []),
                OutputFolder = parsed.GetValue(output)!,
                ArrivalField = parsed.GetValue(arrival),
                LateArrival = Tolerance("--late", parsed.GetValue(late)),
                OutOfOrder = Tolerance("--out-of-order", parsed.GetValue(outOfOrder)),
                Drops = parsed.GetValue(policy) == "drop",
                Threads = parsed.GetValue(threads) is >= 1 and <= QueryRun.ThreadsMax ? parsed.GetValue(threads) : throw new UsageException([$"--threads takes 1 to {QueryRun.ThreadsMax}"]),
            };
            return Task.FromResult(run.Run(Console.Out, Console.Error, cancel));
        });
        return command;
    }

    private static List<(string Name, string File)> Pairs(string option, string[] values)
    {
        var result = new List<(string, string)>();
        foreach (var value in values)
        {
            var at = value.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0 || at == value.Length - 1)
                throw new UsageException([$"{option} takes NAME=FILE, not '{value}'"]);
            result.Add((value[..at], value[(at + 1)..]));
        }

        return result;
    }

    private static RecordedRange? Range(string? data, string? config, string? from, string? to, bool hasFiles, string? arrival)
    {
        if (data is null)
        {
            if (!hasFiles)
                throw new UsageException(["nothing to read: give --input NAME=FILE.jsonl, or --data DIR for a server's data folder"]);
            return from is null && to is null && config is null ? null : throw new UsageException(["--from, --to and --config belong to a data folder: give --data DIR with them"]);
        }

        if (hasFiles || arrival is not null)
            throw new UsageException(["--data reads a server's data folder: leave out --input and --arrival"]);
        var range = new RecordedRange(data, config, Times.Parse("--from", from, RecordedRun.Beginning), Times.Parse("--to", to, long.MaxValue));
        return range.From < range.To ? range : throw new UsageException([$"--from {from} is not before --to {to}"]);
    }

    private static TimeSpan Tolerance(string option, double seconds)
        => seconds is >= 0 and <= 20 * 86400 ? TimeSpan.FromSeconds(seconds) : throw new UsageException([$"{option} takes 0 to 1728000 seconds"]);

    private static Command CreateCheck()
    {
        var file = new Argument<string>("FILE") { Description = "the script" };
        var inputs = new Option<string[]>("--input") { Description = "name of an input; without any, every name is one" };
        var references = new Option<string[]>("--reference") { Description = "name of a reference input; may be repeated" };
        var command = new Command("check", "Tell the mistakes of a script as FILE:LINE:COLUMN: message.") { file, inputs, references };
        command.SetAction(parsed => QueryCheck.Run(
            parsed.GetValue(file)!, parsed.GetValue(inputs) ?? [], parsed.GetValue(references) ?? [], Console.Error));
        return command;
    }

    private static Command CreateTest()
    {
        var folder = new Argument<string>("DIR") { Description = "folder of case files, or one case file" };
        var command = new Command("test", "Run query cases: a script, its events, and the rows that must come out.") { folder };
        command.SetAction((parsed, cancel) => Task.FromResult(QueryTest.Run(parsed.GetValue(folder)!, Console.Out, cancel)));
        return command;
    }
}
