using System.Globalization;
using Millrace.ParquetBench;

// dotnet run -c Release --project bench/Millrace.ParquetBench [-- rounds | archive [readings]]
// Needs node and `npm install --no-package-lock` in tests/Millrace.Parquet.Tests/peers for the DuckDB side; without them our side is measured alone.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var archive = args.Length > 0 && args[0] == "archive";
var rounds = args.Length > 0 && !archive ? int.Parse(args[0]) : 7;
var folder = Directory.CreateTempSubdirectory("millrace-parquet-bench-").FullName;
try
{
    if (archive)
    {
        new ArchiveCost(folder).Run(args.Length > 1 ? int.Parse(args[1]) : 2_000_000);
        return;
    }

    var peers = FindPeers();
    using var duck = peers is null ? null : new DuckDb(peers, threads: 1);
    Console.WriteLine(duck is null ? "DuckDB: not installed, left out" : $"DuckDB: {duck.Run("SELECT version()").Row[0]}, one thread");
    Console.WriteLine($"{Environment.ProcessorCount} cores, .NET {Environment.Version}, {rounds} rounds, medians\n");
    new Measurements(folder, duck, rounds).Run();
}
finally
{
    Directory.Delete(folder, recursive: true);
}

static string? FindPeers()
{
    for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
    {
        var peers = Path.Combine(at.FullName, "tests", "Millrace.Parquet.Tests", "peers");
        if (Directory.Exists(Path.Combine(peers, "node_modules", "@duckdb")))
            return peers;
    }

    return null;
}
