using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Commands;
using Millrace.Commands.Backup;
using Millrace.Log;
using Millrace.Log.Disk;
using Millrace.Settings;
using Millrace.Testing;

namespace Millrace.Tests.Commands.Backup;

public sealed class BackupRunTests
{
    [Fact]
    public async Task A_restored_folder_has_every_folder_and_file_of_the_one_that_was_backed_up()
    {
        using var folder = new TempFolder();
        await MakeDataAsync(folder["data"]);
        foreach (var name in new[] { "device-types/water.json", "dead-letter/0.jsonl", "views/latest/0.snapshot", "views/rollups/tenant=0/date=2026-03-01.cells", "files/deep/rows.jsonl", "jobs/a.json", "of-tomorrow/x" })
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder[$"data/{name}"])!);
            await File.WriteAllTextAsync(folder[$"data/{name}"], name);
        }

        new BackupRun(folder["data"], folder["backup"], TextWriter.Null).Run(default);
        new RestoreRun(folder["backup"], folder["again"], TextWriter.Null).Run(default);

        Assert.Contains("device-types/water.json", Names(folder["again"]));
        // Beside them a restored folder says to the jobs that it is one.
        Assert.Equal(Names(folder["data"]), Names(folder["again"]).Where(name => name != "jobs/restored"));
    }

    [Fact]
    public async Task Of_trends_those_files_are_copied_that_one_state_names()
    {
        using var folder = new TempFolder();
        await MakeDataAsync(folder["data"]);
        Directory.CreateDirectory(folder["data/views/trends"]);
        foreach (var name in new[] { "c000000001.cells", "c000000002.cells", "p20000-1.bits", "devices.bin" })
            await File.WriteAllTextAsync(folder[$"data/views/trends/{name}"], name);
        await File.WriteAllTextAsync(
            folder["data/views/trends/state.json"],
            """{"version":1,"position":"1","devices":0,"next":3,"cells":[{"name":"c000000002.cells","from":0,"to":1,"day":null}],"presence":{"20000":"p20000-1.bits"},"series":[]}""");

        new BackupRun(folder["data"], folder["backup"], TextWriter.Null).Run(default);

        Assert.Equal(["c000000002.cells", "devices.bin", "p20000-1.bits", "state.json"], Names(folder["backup/views/trends"]));
    }

    [Fact]
    public async Task A_lost_file_of_the_history_is_told_and_the_backup_is_finished_without_it()
    {
        using var folder = new TempFolder();
        await MakeDataAsync(folder["data"]);
        Directory.CreateDirectory(folder["data/history/tenant=0/date=2026-03-01/hour=01"]);
        await File.WriteAllTextAsync(folder["data/history/tenant=0/date=2026-03-01/hour=01/r0-000000000001-000000000002.parquet"], "there");
        await File.WriteAllTextAsync(folder["data/history/tenant=0/date=2026-03-01/manifest.json"], """
            {"version":1,"files":[{"name":"hour=00/r0-000000000000-000000000001.parquet","rows":1,"from":0,"to":1},
                                  {"name":"hour=01/r0-000000000001-000000000002.parquet","rows":1,"from":1,"to":2}]}
            """);
        var errors = new StringWriter();

        var run = new BackupRun(folder["data"], folder["backup"], errors);
        var made = run.Run(default);

        Assert.Equal(["history/tenant=0/date=2026-03-01/hour=00/r0-000000000000-000000000001.parquet"], run.Missing);
        Assert.Contains("hour=00/r0-000000000000-000000000001.parquet is missing", errors.ToString(), StringComparison.Ordinal);
        Assert.Equal(2, made.Files.Count(file => file.Name.StartsWith("history/", StringComparison.Ordinal)));
        new RestoreRun(folder["backup"], folder["again"], TextWriter.Null).Run(default);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_backup_that_names_a_file_elsewhere_is_refused_and_nothing_is_written(bool isRooted)
    {
        using var folder = new TempFolder();
        await MakeDataAsync(folder["data"]);
        new BackupRun(folder["data"], folder["backup"], TextWriter.Null).Run(default);
        var manifest = await File.ReadAllTextAsync(folder["backup/backup.json"]);
        await File.WriteAllTextAsync(
            folder["backup/backup.json"], manifest.Replace("\"version\"", isRooted ? $"\"{folder["backup/version"]}\"" : "\"../backup/version\"", StringComparison.Ordinal));
        var before = File.GetLastWriteTimeUtc(folder["backup/version"]);

        var refused = Assert.Throws<CommandException>(() => new RestoreRun(folder["backup"], folder["again"], TextWriter.Null).Run(default));

        Assert.Contains("names a file outside it", refused.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.GetLastWriteTimeUtc(folder["backup/version"]));
        Assert.Equal(["backup", "data"], Directory.GetDirectories(folder.Path).Select(Path.GetFileName).Order());
    }

    private static async Task MakeDataAsync(string data)
    {
        using (DataFolder.Open(data))
        {
            // Made with its version and folders.
        }

        await using var log = await SegmentLog.OpenAsync(
            new LogOptions { Folder = Path.Combine(data, "log"), ReserveBytes = 0 }, PhysicalDisk.Instance, TimeProvider.System, NullLogger.Instance);
    }

    private static List<string> Names(string folder) =>
        [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(folder, path)).Where(name => name is not (".lock" or "lock")).Order(StringComparer.Ordinal)];
}
