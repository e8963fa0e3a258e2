using System.CommandLine;
using Millrace.Load;

[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]

var quick = new Option<bool>("--quick") { Description = "shorter runs and smaller sizes, to see that it works", Recursive = true };
var rounds = new Option<int>("--rounds") { Description = "interleaved rounds whose median counts (default 3, quick 1)", Recursive = true };
var size = new Option<double>("--size") { Description = "restart: gigabytes of log (default 2, quick 0.2)", Recursive = true };
var seconds = new Option<int>("--seconds") { Description = "crash: length of the run (default 600, quick 60)", Recursive = true };
var output = new Option<string?>("--out") { Description = "also append the tables to this file", Recursive = true };

var root = new RootCommand("Measures the built server as a child process, each figure beside its peer in the same run.")
{
    quick, rounds, size, seconds, output,
};
foreach (var scenario in Scenario.All)
    root.Subcommands.Add(scenario.ToCommand(RunAsync));
root.Subcommands.Add(new Scenario("all", "Every scenario in turn.", async bench =>
{
    foreach (var scenario in Scenario.All)
        await scenario.RunAsync(bench);
}).ToCommand(RunAsync));
return await root.Parse(args).InvokeAsync();

async Task RunAsync(Scenario scenario, ParseResult parsed)
{
    var isQuick = parsed.GetValue(quick);
    await using var bench = new Bench(new BenchOptions(
        isQuick,
        parsed.GetValue(rounds) is > 0 and var r ? r : isQuick ? 1 : 3,
        parsed.GetValue(size) is > 0 and var gigabytes ? gigabytes : isQuick ? 0.2 : 2,
        TimeSpan.FromSeconds(parsed.GetValue(seconds) is > 0 and var s ? s : isQuick ? 60 : 600),
        parsed.GetValue(output)));
    bench.Say($"`{string.Join(' ', ["Millrace.Load", .. args])}`, {await bench.MachineAsync()}");
    await scenario.RunAsync(bench);
}
