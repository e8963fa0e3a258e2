using System.Text.Json;
using Millrace.History;
using Millrace.History.Archive;
using Millrace.History.Rollups.Groups;
using Millrace.Registry;
using Millrace.Settings;

namespace Millrace.Commands.Backup;

/// <summary>
/// Copies a data folder, also under a running server, so that the copy opens as after a crash of that moment. The order makes it so:
/// whatever says how far it has come is copied before what it came to. A job's snapshot before its outbox, the outbox before the books
/// of what was delivered, these before the targets, and the log last; then nothing in the copy speaks of what the copy does not have.
/// </summary>
internal sealed class BackupRun(string data, string output, TextWriter errors)
{
    private const int Attempts = 20;

    private static readonly string[] LeftOut = [".new", ".tmp", ".replaced", "-wal", "-shm", "-journal"];

    /// <summary>Folders that have a place of their own in the order.</summary>
    private static readonly string[] Ordered = ["log", "views", "jobs", "files", "history"];

    /// <summary>The file system's own, where the data folder is a disk.</summary>
    private const string LostAndFound = "lost+found";

    private const string Trends = "views/trends";
    private const string Rollups = "views/rollups";

    private readonly Progress _progress = new(errors);
    private readonly Dictionary<string, BackupFile> _copied = new(StringComparer.Ordinal);
    private readonly List<string> _missing = [];
    private CheckedCopy _copy = null!;

    /// <summary>Files that the folder says it has and has not.</summary>
    public IReadOnlyList<string> Missing => _missing;

    public BackupManifest Run(CancellationToken cancel)
    {
        var version = ReadVersion();
        PrepareOutput();
        _copy = new CheckedCopy(output, _progress);

        // Opened now the segments stay readable, also when retention removes them meanwhile.
        using var held = new HeldSegments(Path.Combine(data, "log"));
        CopyAll(Plain("views").Where(name => !IsBelow(name, Trends) && !IsBelow(name, Rollups)), cancel);
        CopyMoments(Trends, GroupSnapshot.Take, cancel);
        CopyAll(Plain("jobs").Where(name => !name.EndsWith(".rows", StringComparison.Ordinal) && Path.GetFileName(name) != "delivered.json"), cancel);
        CopyAll(Plain("jobs").Where(name => name.EndsWith(".rows", StringComparison.Ordinal)), cancel);
        CopyAll(Plain("jobs").Where(name => Path.GetFileName(name) == "delivered.json"), cancel);
        CopyTargets(cancel);
        CopyMoments("history", ArchiveSnapshot.Take, cancel);
        // Behind the archive, so that they hold nothing of a device that the archive holds no more; what they hold beyond it comes from the log.
        CopyAll(Plain(Rollups), cancel);
        CopyAll(OtherFolders().SelectMany(Plain), cancel);
        CopyAll(TopLevel(), cancel);
        CopyLog(held, cancel);
        _progress.End();
        return Finish(version);
    }

    private int ReadVersion()
    {
        var path = Path.Combine(data, "version");
        if (!File.Exists(path) || !Directory.Exists(Path.Combine(data, "log")))
            throw new CommandException($"{Path.GetFullPath(data)} is not a server's data folder; name the folder that serve was given with --data DIR");
        return int.TryParse(File.ReadAllText(path).Trim(), out var version) && version <= DataFolder.Version
            ? version
            : throw new CommandException($"{data} was written by a newer release; make the backup with that release");
    }

    private void PrepareOutput()
    {
        if (File.Exists(output) || (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any()))
            throw new CommandException($"{output} exists already; give --output a folder that is new or empty");
        if (Path.GetFullPath(output).StartsWith(Path.GetFullPath(data) + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new CommandException($"{output} lies in the data folder itself; give --output a folder elsewhere, best on another disk");
        var folder = Directory.CreateDirectory(output);
        if (!OperatingSystem.IsWindows())
            folder.UnixFileMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    }

    /// <summary>Files below a folder of the data folder, oldest names first, without what is on its way in or out.</summary>
    private List<string> Plain(string folder)
    {
        var root = Path.Combine(data, folder);
        return Directory.Exists(root)
            ? [.. Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(data, path)).Where(IsKept).Order(StringComparer.Ordinal)]
            : [];
    }

    /// <summary>Folders of files that stand for themselves.</summary>
    private IEnumerable<string> OtherFolders() =>
        Directory.EnumerateDirectories(data).Select(path => Path.GetFileName(path)).Where(name => !Ordered.Contains(name) && name != LostAndFound).Order(StringComparer.Ordinal);

    private IEnumerable<string> TopLevel() =>
        Directory.EnumerateFiles(data).Select(path => Path.GetFileName(path)).Where(name => IsKept(name) && name is not ("lock" or ".lock")).Order(StringComparer.Ordinal);

    private static bool IsKept(string name) => !LeftOut.Any(suffix => name.EndsWith(suffix, StringComparison.Ordinal));

    private void CopyAll(IEnumerable<string> names, CancellationToken cancel)
    {
        foreach (var name in names)
        {
            try
            {
                Take(SqliteCopy.IsDatabase(Path.Combine(data, name)) ? CopyDatabase(name, cancel) : _copy.Copy(Path.Combine(data, name), name, cancel));
            }
            catch (Exception gone) when (gone is FileNotFoundException or DirectoryNotFoundException)
            {
                // Delivered, merged or replaced meanwhile: what comes after it in the order knows.
            }
        }
    }

    private void Take(BackupFile file) => _copied[file.Name] = file;

    /// <summary>
    /// What jobs write to: a file's books (<c>.NAME.millrace</c>) before the file. When one was closed and the next begun meanwhile they are
    /// taken again, since books and files would tell of different ones.
    /// </summary>
    private void CopyTargets(CancellationToken cancel)
    {
        for (var attempt = 1; attempt <= Attempts; attempt++)
        {
            var names = Plain("files");
            CopyAll(names.Where(IsBooks), cancel);
            CopyAll(names.Where(name => !IsBooks(name)), cancel);
            if (names.SequenceEqual(Plain("files")))
                return;
            Drop(name => IsBelow(name, "files"));
        }

        throw new CommandException($"the files in {Path.Combine(data, "files")} are begun anew faster than they can be copied; stop the jobs that write them, or make their rollSeconds and rollBytes larger");
    }

    private static bool IsBooks(string name) => Path.GetFileName(name) is ['.', ..] && name.EndsWith(".millrace", StringComparison.Ordinal);

    /// <summary>Copies a folder whose files are merged while it is read: files of one moment, or else of the next.</summary>
    private void CopyMoments(string folder, Func<string, FolderMoment> take, CancellationToken cancel)
    {
        var root = Path.Combine(data, folder);
        var before = new HashSet<string>(StringComparer.Ordinal);
        for (var attempt = 1; attempt <= Attempts; attempt++)
        {
            var moment = take(root);
            var missing = moment.Files.Select(file => (file.Path, Name: $"{folder}/{file.Name}")).Where(file => !TryCopyOnce(file.Path, file.Name, cancel))
                .Select(file => file.Name).ToList();
            // What one moment after the other names and has not was not merged away: it is lost, and the copy has what the folder has.
            if (!missing.TrueForAll(before.Contains))
            {
                before = [.. missing];
                continue;
            }

            missing.ForEach(TellMissing);
            foreach (var (name, content) in moment.Texts)
                Take(_copy.Copy(new MemoryStream(content), $"{folder}/{name}", long.MaxValue, cancel));
            var wanted = moment.Files.Select(file => $"{folder}/{file.Name}").Concat(moment.Texts.Select(text => $"{folder}/{text.Name}")).ToHashSet(StringComparer.Ordinal);
            Drop(name => IsBelow(name, folder) && !wanted.Contains(name));
            return;
        }

        throw new CommandException($"the files in {root} are merged faster than they can be copied; give --output a faster disk, or stop the server for the time of the backup");
    }

    private void TellMissing(string name)
    {
        _missing.Add(name);
        _progress.End();
        errors.WriteLine($"millrace: {Path.Combine(data, name)} is missing, although the manifests name it: it is not in the backup; older backups may have it");
    }

    private static bool IsBelow(string name, string folder) => name.StartsWith(folder + "/", StringComparison.Ordinal);

    /// <summary>These files never change under a name.</summary>
    /// <returns>False when it is gone: merged into another.</returns>
    private bool TryCopyOnce(string path, string name, CancellationToken cancel)
    {
        if (_copied.ContainsKey(name))
            return true;
        try
        {
            Take(_copy.Copy(path, name, cancel));
            return true;
        }
        catch (Exception gone) when (gone is FileNotFoundException or DirectoryNotFoundException)
        {
            return false;
        }
    }

    private void Drop(Func<string, bool> isUnwanted)
    {
        foreach (var name in _copied.Keys.Where(isUnwanted).ToList())
        {
            File.Delete(Path.Combine(output, name));
            _copied.Remove(name);
        }
    }

    private void CopyLog(HeldSegments held, CancellationToken cancel)
    {
        Take(_copy.Copy(Path.Combine(data, "log", "meta"), "log/meta", cancel));
        held.AddNew();
        foreach (var (name, segment) in held.InOrder())
        {
            // The last one grows while it is read; a block that is cut off there is what a crash leaves too, and was not acknowledged yet.
            Take(_copy.Copy(segment, $"log/{name}", segment.Length, cancel));
        }
    }

    private BackupFile CopyDatabase(string name, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        var target = Path.Combine(output, name);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        SqliteCopy.Make(Path.Combine(data, name), target);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(target, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return _copy.Describe(name);
    }

    private BackupManifest Finish(int version)
    {
        using var log = DataFolders.OpenLog(output);
        var manifest = new BackupManifest(
            BackupManifest.FormatVersion, DateTime.UtcNow, version, log.Durable.ToString(), log.Oldest.LagBehind(log.Durable),
            [.. _copied.Values.OrderBy(file => file.Name, StringComparer.Ordinal)]);
        var json = JsonSerializer.SerializeToUtf8Bytes(manifest, BackupJson.Default.BackupManifest);
        _copy.Copy(new MemoryStream(json), BackupManifest.FileName + ".new", long.MaxValue, CancellationToken.None);
        File.Move(Path.Combine(output, BackupManifest.FileName + ".new"), Path.Combine(output, BackupManifest.FileName));
        return manifest;
    }

    /// <summary>The log's segments, opened.</summary>
    private sealed class HeldSegments : IDisposable
    {
        private readonly string _folder;
        private readonly SortedDictionary<string, FileStream> _segments = new(StringComparer.Ordinal);

        public HeldSegments(string folder)
        {
            _folder = folder;
            AddNew();
        }

        /// <summary>Opens those that were begun since.</summary>
        public void AddNew()
        {
            foreach (var path in Directory.EnumerateFiles(_folder, "*.segment"))
            {
                try
                {
                    var name = Path.GetFileName(path);
                    if (!_segments.ContainsKey(name))
                        _segments.Add(name, new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0));
                }
                catch (FileNotFoundException)
                {
                    // Removed by retention between the look and the opening; it was the oldest.
                }
            }
        }

        public IEnumerable<(string Name, FileStream Segment)> InOrder() => _segments.Select(pair => (pair.Key, pair.Value));

        public void Dispose()
        {
            foreach (var segment in _segments.Values)
                segment.Dispose();
        }
    }
}
