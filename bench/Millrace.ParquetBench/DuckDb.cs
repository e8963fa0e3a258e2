using System.Diagnostics;
using System.Text.Json;

namespace Millrace.ParquetBench;

/// <summary>DuckDB in node, as the tests have it: one process for the run, one JSON line a question.</summary>
internal sealed class DuckDb : IDisposable
{
    private readonly Process _process;

    public DuckDb(string peersFolder, int threads)
    {
        _process = Process.Start(new ProcessStartInfo("node", $"bench.mjs {threads}")
        {
            WorkingDirectory = peersFolder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
    }

    /// <summary>Runs a statement; returns its milliseconds, timed inside node, and its first row.</summary>
    public (double Ms, JsonElement Row) Run(string sql)
    {
        _process.StandardInput.WriteLine(JsonSerializer.Serialize(sql));
        _process.StandardInput.Flush();
        var line = _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"DuckDB failed at: {sql}");
        var answer = JsonDocument.Parse(line).RootElement;
        return (answer.GetProperty("ms").GetDouble(), answer.GetProperty("row"));
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit(5000);
        _process.Dispose();
    }
}
