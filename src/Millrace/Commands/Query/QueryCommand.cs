using System.CommandLine;

namespace Millrace.Commands.Query;

/// <summary><c>millrace query run|check|test</c>: streaming SQL over files, without a server.</summary>
internal static class QueryCommand
{
    public static Command Create() => new("query", "Run, check and test streaming SQL over files.")
    {
        CreateRun(),
        CreateCheck(),
        CreateTest(),
    };

    private static Command CreateRun()
    {
        var file = new Option<string>("--file") { Description = "the script", Required = true };
        var inputs = new Option<string[]>("--input") { Description = "NAME=FILE.jsonl: one event per line; may be repeated" };
        var references = new Option<string[]>("--reference") { Description = "NAME=FILE: a JSON array, JSON lines, or CSV with a header; may be repeated" };
        var output = new Option<string>("--output") { Description = "folder that gets OUTPUT.jsonl for every output, and dead-letter.jsonl", Required = true };
        var arrival = new Option<string?>("--arrival") { Description = "field with the arrival time (default: EventEnqueuedUtcTime, else TIMESTAMP BY, else one second per line)" };
        var late = new Option<double>("--late") { Description = "late-arrival tolerance in seconds", DefaultValueFactory = _ => 5 };
        var outOfOrder = new Option<double>("--out-of-order") { Description = "out-of-order tolerance in seconds", DefaultValueFactory = _ => 0 };
        var policy = new Option<string>("--policy") { Description = "what happens beyond a tolerance: adjust or drop", DefaultValueFactory = _ => "adjust" };
        policy.AcceptOnlyFromAmong("adjust", "drop");
        var command = new Command(
            "run",
            "Run a script over files of events. (Reading a server's log with --data, --from and --to is not there yet.)")
        {
            file, inputs, references, output, arrival, late, outOfOrder, policy,
        };
        command.SetAction((parsed, cancel) =>
        {
            var run = new QueryRun
            {
                File = parsed.GetValue(file)!,
                Inputs = Pairs("--input", parsed.GetValue(inputs) ?? []),
                References = Pairs("--reference", parsed.GetValue(references) ?? []),
                OutputFolder = parsed.GetValue(output)!,
                ArrivalField = parsed.GetValue(arrival),
                LateArrival = Tolerance("--late", parsed.GetValue(late)),
                OutOfOrder = Tolerance("--out-of-order", parsed.GetValue(outOfOrder)),
                Drops = parsed.GetValue(policy) == "drop",
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
