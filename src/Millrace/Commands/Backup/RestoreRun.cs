using Millrace.Core;
using Millrace.Jobs;
using Millrace.Settings;

namespace Millrace.Commands.Backup;

/// <summary>Makes a data folder out of a backup: beside its place first, checked, then by one rename.</summary>
internal sealed class RestoreRun(string backup, string data, TextWriter errors)
{
    public BackupManifest Run(CancellationToken cancel)
    {
        if (!Directory.Exists(backup))
            throw new CommandException($"{backup} is not there; name a folder that millrace backup made");
        var manifest = BackupManifest.Read(backup);
        if (manifest.DataVersion > DataFolder.Version)
            throw new CommandException($"{backup} was made by a newer release; restore it with that release");
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(data));
        if (File.Exists(target) || (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()))
            throw new CommandException($"{target} holds data already; give --data a folder that is new or empty, or move the old one away");

        var making = $"{target}.restoring-{Environment.ProcessId}";
        try
        {
            Directory.CreateDirectory(making);
            Copy(manifest, making, cancel);
            CheckLog(manifest, making);
            JobRestore.Mark(Path.Combine(making, "jobs"));
            if (Directory.Exists(target))
                Directory.Delete(target);
            Directory.Move(making, target);
            return manifest;
        }
        catch
        {
            Directory.Delete(making, recursive: true);
            throw;
        }
    }

    private void Copy(BackupManifest manifest, string making, CancellationToken cancel)
    {
        var progress = new Progress(errors);
        var copy = new CheckedCopy(making, progress);
        foreach (var file in manifest.Files)
        {
            var path = Path.GetFullPath(Path.Combine(backup, file.Name));
            if (Path.IsPathRooted(file.Name) || !IsBelow(path, backup) || !IsBelow(Path.GetFullPath(Path.Combine(making, file.Name)), making))
                throw new CommandException($"the backup is damaged: {BackupManifest.FileName} names a file outside it, {file.Name}; use another backup");
            if (!File.Exists(path))
                throw new CommandException($"the backup is damaged: {file.Name} is missing; use another backup");
            var copied = copy.Copy(path, file.Name, cancel);
            if (copied != file)
            {
                throw new CommandException(copied.Bytes == file.Bytes
                    ? $"the backup is damaged: {file.Name} has another SHA-256 than {BackupManifest.FileName} says; use another backup"
                    : $"the backup is damaged: {file.Name} has {copied.Bytes} bytes where {BackupManifest.FileName} says {file.Bytes}; use another backup");
            }
        }

        progress.End();
    }

    private static bool IsBelow(string path, string folder) =>
        path.StartsWith(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    /// <summary>The files are those that were written; this says that they also are a log that holds what the backup promises.</summary>
    private static void CheckLog(BackupManifest manifest, string making)
    {
        using var log = DataFolders.OpenLog(making);
        if (!log.Durable.Equals(PositionVector.Parse(manifest.Position)))
            throw new CommandException($"the restored log ends at {log.Durable} where {BackupManifest.FileName} says {manifest.Position}; use another backup");
    }
}
