using System.Diagnostics;
using System.Globalization;
using Millrace.Testing;

namespace Millrace.Jobs.Tests;

/// <summary>The production snapshot in processes that are killed: no row missing, none twice, nothing read from before the snapshot.</summary>
public sealed class KilledJobTests
{
    private const int Rounds = 4;

    // 100,000 devices take minutes on a small machine; the variable asks for it.
    private static readonly int Devices = int.Parse(Environment.GetEnvironmentVariable("MILLRACE_TEST_JOB_DEVICES") ?? "10000", CultureInfo.InvariantCulture);

    [Fact]
    public async Task Lag_over_seven_days_gives_the_same_rows_however_often_the_process_is_killed()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["files"]);
        WriteJob(folder, "killed");
        WriteJob(folder, "whole");
        var random = new Random(11);
        var kills = 0;

        while (true)
        {
            using var life = Start(folder, "killed", "append");
            // Each life is killed at another moment, the first before any machine can be done; one that outlasts the
            // patience is the last.
            var patience = TimeSpan.FromMilliseconds(kills < 6 ? (250 * (kills + 1)) + random.Next(400) : 600_000);
            using var limit = new CancellationTokenSource(patience);
            try
            {
                await life.WaitForExitAsync(limit.Token);
                Assert.True(life.ExitCode == 0, $"exit {life.ExitCode}: {await life.StandardOutput.ReadToEndAsync()} {await life.StandardError.ReadToEndAsync()}");
                break;
            }
            catch (OperationCanceledException)
            {
                life.Kill();
                await life.WaitForExitAsync();
                kills++;
            }
        }

        using (var whole = Start(folder, "whole", "read"))
        {
            await whole.WaitForExitAsync();
            Assert.Equal(0, whole.ExitCode);
        }

        var expected = await File.ReadAllLinesAsync(folder["files/whole.jsonl"]);
        Assert.Equal(Devices * Rounds, expected.Length);
        Assert.Equal(expected, await File.ReadAllLinesAsync(folder["files/killed.jsonl"]));
        Assert.Equal(Devices, expected.Count(l => l.Contains("\"use\":null")));
        Assert.True(kills > 0);
    }

    // The meters' clocks lie a few days back, within the tolerance for late readings, so that LAG reaches over days.
    private static readonly string Began = DateTime.UtcNow.AddDays(-Rounds).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static void WriteJob(TempFolder folder, string name) => File.WriteAllText(folder[name + ".json"], $$$"""
        {"query":"SELECT id, register, register - LAG(register) OVER (PARTITION BY id LIMIT DURATION(day, 7)) AS use INTO rows FROM telemetry TIMESTAMP BY time",
         "startFrom":"beginning","outputs":{"rows":{"kind":"files","path":"{{{name}}}.jsonl"}},"settings":{"late_arrival_seconds":604800}}
        """);

    private static Process Start(TempFolder folder, string job, string mode)
    {
        var runner = Path.Combine(AppContext.BaseDirectory, "Millrace.JobRunner.dll");
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])[runner, folder.Path, job, Devices.ToString(CultureInfo.InvariantCulture), Rounds.ToString(CultureInfo.InvariantCulture), mode, Began])
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
