using System.Diagnostics;
using System.Text.Json;

namespace Millrace.Parquet.Tests.Support;

/// <summary>DuckDB and hyparquet, run by node. Where node or the registry is missing, tests that need them are skipped by name.</summary>
public sealed class Peers
{
    private static readonly TimeSpan InstallTimeout = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan RunTimeout = TimeSpan.FromMinutes(2);

    private readonly string _folder = FindFolder();

    public Peers()
    {
        if (!IsInstalled())
            TryRun("npm", "install --no-package-lock --no-audit --no-fund", InstallTimeout);
        IsAvailable = IsInstalled() && TryRun("node", "--version", RunTimeout);
    }

    public bool IsAvailable { get; }

    public void SkipUnlessAvailable() => Assert.SkipUnless(
        IsAvailable, "node with the packages of tests/Millrace.Parquet.Tests/peers is not here (npm install): DuckDB and hyparquet were not asked");

    public JsonElement Run(string script, string input)
    {
        using var process = Start("node", script);
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        if (!process.WaitForExit(RunTimeout))
        {
            process.Kill();
            Assert.Fail($"{script} did not end.");
        }

        Assert.True(process.ExitCode == 0, $"{script}: {errors.Result}");
        return JsonDocument.Parse(output.Result).RootElement;
    }

    /// <summary>Starts a script that answers as it goes; to be stopped by closing its input.</summary>
    public Process Open(string script) => Start("node", script);

    private static string FindFolder()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var peers = Path.Combine(folder.FullName, "tests", "Millrace.Parquet.Tests", "peers");
            if (Directory.Exists(peers))
                return peers;
        }

        return AppContext.BaseDirectory;
    }

    private bool IsInstalled() => File.Exists(Path.Combine(_folder, "node_modules", ".package-lock.json"));

    private bool TryRun(string program, string arguments, TimeSpan timeout)
    {
        try
        {
            using var process = Start(program, arguments);
            process.StandardInput.Close();
            var drained = Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            if (process.WaitForExit(timeout))
                return drained.Wait(timeout) && process.ExitCode == 0;

            process.Kill(entireProcessTree: true);
            return false;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false; // The program is not installed.
        }
    }

    private Process Start(string program, string arguments) => Process.Start(new ProcessStartInfo(program, arguments)
    {
        WorkingDirectory = _folder,
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    })!;
}
