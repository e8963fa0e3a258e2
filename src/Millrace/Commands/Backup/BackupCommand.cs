using System.CommandLine;
using System.Globalization;

namespace Millrace.Commands.Backup;

/// <summary><c>millrace backup</c> and <c>millrace restore</c>.</summary>
internal static class BackupCommand
{
    public static Command Backup()
    {
        var data = new Option<string>("--data") { Description = "the server's data folder; the server may be running", DefaultValueFactory = _ => "./data" };
        var config = DataFolders.Config();
        var output = new Option<string>("--output") { Description = "folder for the backup, new or empty", Required = true };
        var command = new Command("backup", "Copy a data folder, also while its server runs, with a checksum of every file.") { data, config, output };
        command.SetAction((parsed, cancel) => Guarded(() =>
        {
            var run = new BackupRun(parsed.GetValue(data)!, parsed.GetValue(output)!, Console.Error);
            var made = run.Run(cancel);
            Console.WriteLine($"backed up {Contents(made)} to {parsed.GetValue(output)}");
            var history = DataFolders.OpenHistory(parsed.GetValue(data)!, parsed.GetValue(config));
            using var connection = history as IDisposable;
            if (connection is not null)
                Console.Error.WriteLine($"millrace: the history lies in {history.Name} and is not in the backup; keep a copy of it by the store's own means");
            return run.Missing.Count == 0 ? ExitCode.Done : ExitCode.Failed;
        }));
        return command;
    }

    public static Command Restore()
    {
        var input = new Option<string>("--input") { Description = "folder that millrace backup made", Required = true };
        var data = new Option<string>("--data") { Description = "the data folder to make, new or empty", Required = true };
        var command = new Command("restore", "Make a data folder out of a backup, every checksum verified.") { input, data };
        command.SetAction((parsed, cancel) => Guarded(() =>
        {
            var restored = new RestoreRun(parsed.GetValue(input)!, parsed.GetValue(data)!, Console.Error).Run(cancel);
            Console.WriteLine($"restored {Contents(restored)} to {parsed.GetValue(data)}; start it with millrace serve --data {parsed.GetValue(data)}");
            return ExitCode.Done;
        }));
        return command;
    }

    private static string Contents(BackupManifest manifest) => string.Create(
        CultureInfo.InvariantCulture, $"{manifest.Readings:N0} readings of the log and everything beside it ({manifest.Files.Count:N0} files, {manifest.Files.Sum(file => file.Bytes):N0} bytes)");

    private static Task<int> Guarded(Func<int> work)
    {
        try
        {
            return Task.FromResult(work());
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new CommandException(failure.Message, failure);
        }
    }
}
