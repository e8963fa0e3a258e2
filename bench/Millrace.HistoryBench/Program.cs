using System.Globalization;
using Millrace.HistoryBench;

// dotnet run -c Release --project bench/Millrace.HistoryBench [-- SCENARIO … [--small]]
// Scenarios: year, fleet, day, cost, million. The DuckDB side of `day` needs node and `npm install --no-package-lock` in tests/Millrace.Parquet.Tests/peers.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var isSmall = args.Contains("--small");
string[] wanted = [.. args.Where(arg => !arg.StartsWith("--", StringComparison.Ordinal))];
Console.WriteLine($"{Environment.ProcessorCount} cores, .NET {Environment.Version}{(isSmall ? ", small" : "")}");
foreach (var (name, run) in new (string, Func<Scenario, Task>)[] { ("year", Year.RunAsync), ("fleet", Fleet.RunAsync), ("day", OneDay.RunAsync), ("cost", Cost.RunAsync), ("million", Million.RunAsync) })
{
    if (wanted.Length > 0 && !wanted.Contains(name))
        continue;
    using var scenario = new Scenario(isSmall);
    await run(scenario);
}
