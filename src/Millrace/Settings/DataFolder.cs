using System.Text;
using Millrace.Core;

namespace Millrace.Settings;

/// <summary>Everything the server keeps, below one folder, held by one process at a time.</summary>
internal sealed class DataFolder : IDisposable
{
    /// <summary>Raised when a release writes something an older one cannot read.</summary>
    public const int Version = 1;

    /// <summary>EAGAIN: another process holds the advisory lock.</summary>
    private const int WouldBlock = 11;

    private readonly FileStream _lock;

    private DataFolder(string path, FileStream held)
    {
        Path = path;
        _lock = held;
    }

    public string Path { get; }

    public string Log => System.IO.Path.Combine(Path, "log");
    public string Registry => System.IO.Path.Combine(Path, "registry.db");
    public string History => System.IO.Path.Combine(Path, "history");
    public string DeadLetters => System.IO.Path.Combine(Path, "dead-letter");
    public string Jobs => System.IO.Path.Combine(Path, "jobs");
    public string Files => System.IO.Path.Combine(Path, "files");
    public string DeviceTypes => System.IO.Path.Combine(Path, "device-types");
    public string Views => System.IO.Path.Combine(Path, "views");
    public string NewestValues => System.IO.Path.Combine(Path, "newest-values.db");
    public string AdminToken => System.IO.Path.Combine(Path, "admin-token");

    /// <summary>Opens or makes the folder and takes its lock.</summary>
    /// <exception cref="StartException">Another process holds it, a newer release wrote it, or it cannot be written.</exception>
    public static DataFolder Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        try
        {
            Directory.CreateDirectory(path);
            var held = TakeLock(path);
            CheckVersion(path);
            foreach (var folder in (string[])["log", "history", "jobs", "files", "dead-letter", "views"])
                Directory.CreateDirectory(System.IO.Path.Combine(path, folder));
            return new DataFolder(path, held);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new StartException(
                $"cannot write the data folder {path}: {e.Message}; give another with --data DIR or make it writable for this user", e);
        }
    }

    public void Dispose()
    {
        File.Delete(System.IO.Path.Combine(Path, "lock"));
        _lock.Dispose();
    }

    /// <summary>
    /// Holds <c>.lock</c> and says in <c>lock</c> who does. Two files, because the runtime takes an advisory lock on every
    /// file it opens: text in the held file could not be read by the process that wants to know.
    /// </summary>
    private static FileStream TakeLock(string path)
    {
        var holder = System.IO.Path.Combine(path, "lock");
        FileStream held;
        try
        {
            held = new FileStream(System.IO.Path.Combine(path, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not FileNotFoundException and not DirectoryNotFoundException && e.HResult == WouldBlock)
        {
            var who = File.Exists(holder) ? File.ReadAllText(holder).Trim() : "unknown";
            throw new StartException($"the data folder {path} is in use by process {who}; stop that server or give another folder with --data DIR");
        }

        File.WriteAllText(holder, $"{Environment.ProcessId} on {Environment.MachineName}\n");
        return held;
    }

    /// <summary>Whole or not at all: without it the folder would not open again.</summary>
    private static void WriteVersion(string file)
    {
        var temporary = file + ".new";
        using (var written = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            written.Write(Encoding.ASCII.GetBytes($"{Version}\n"));
            written.Flush(flushToDisk: true);
        }

        File.Move(temporary, file, overwrite: true);
    }

    private static void CheckVersion(string path)
    {
        var file = System.IO.Path.Combine(path, "version");
        var text = File.Exists(file) ? File.ReadAllText(file).Trim() : "";
        if (text.Length == 0)
        {
            // None, or one that a full disk or a power cut left empty when the folder was made.
            WriteVersion(file);
            return;
        }

        if (!int.TryParse(text, out var version))
            throw new StartException($"{file} holds '{text}' where a version number should stand; restore it from a backup");
        if (version > Version)
            throw new StartException($"the data folder {path} was written by a newer release (format {version}, this one knows {Version}); start that release or give another folder with --data DIR");
    }
}
