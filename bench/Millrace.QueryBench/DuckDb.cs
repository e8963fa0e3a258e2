using System.Diagnostics;
using System.Text.Json;

namespace Millrace.QueryBench;

/// <summary>DuckDB in node, as the Parquet tests install it (npm install in their peers folder): one JSON line a statement.</summary>
internal sealed class DuckDb : IDisposable
{
    private readonly Process process;

    public DuckDb(string peersFolder)
    {
        process = Process.Start(new ProcessStartInfo("node", "bench.mjs 1")
        {
            WorkingDirectory = peersFolder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
    }

    /// <summary>
    /// Runs a statement on one thread; returns the processor seconds it took: on a machine that others share, wall time
    /// says how busy they are.
    /// </summary>
    public double Run(string sql)
    {
        process.Refresh();
        var before = process.TotalProcessorTime;
        process.StandardInput.WriteLine(JsonSerializer.Serialize(sql));
        process.StandardInput.Flush();
        var line = process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"DuckDB failed at: {sql}");
        _ = JsonDocument.Parse(line);
        process.Refresh();
        return (process.TotalProcessorTime - before).TotalSeconds;
    }

    public void Dispose()
    {
        process.StandardInput.Close();
        process.WaitForExit(5000);
        process.Dispose();
    }
}
