using Millrace.Outputs;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>The history in a local folder. A data file lies under <c>name.tmp</c> until it is published, retired ones under <c>name.replaced</c>.</summary>
public sealed class LocalHistoryStore : IHistoryStore
{
    internal const string Unpublished = ".tmp";
    internal const string Retired = ".replaced";

    private readonly string _root;
    private readonly bool _flush;

    /// <param name="root">The folder; made when something is written.</param>
    public LocalHistoryStore(string root)
        : this(root, flush: true)
    {
    }

    /// <param name="flush">Off in tests that break off thousands of times and never cut the power.</param>
    internal LocalHistoryStore(string root, bool flush) => (_root, _flush) = (root, flush);

    /// <summary>Called before each change on disk; tests stop here as a crash would.</summary>
    internal static AsyncLocal<Action?> BeforeStep { get; } = new();

    public string Name => _root;

    public IReadOnlyList<string> Folders(string folder)
    {
        var path = PathOf(folder);
        return Directory.Exists(path) ? [.. Directory.EnumerateDirectories(path).Select(p => Path.GetFileName(p)!).Order(StringComparer.Ordinal)] : [];
    }

    public byte[]? Read(string name)
    {
        try
        {
            return File.ReadAllBytes(PathOf(name));
        }
        catch (Exception fault) when (fault is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    public IReadOnlyList<string> DataFiles(string folder) =>
        [.. Directory.EnumerateFiles(PathOf(folder), "*.parquet", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(PathOf(folder), path).Replace(Path.DirectorySeparatorChar, '/')).Order(StringComparer.Ordinal)];

    public string? MarkOf(string name)
    {
        // A clock's step may be coarser than two commits are apart, hence the length.
        var file = new FileInfo(PathOf(name));
        return file.Exists ? $"{file.LastWriteTimeUtc.Ticks} {file.Length}" : null;
    }

    public ParquetSource Open(string name)
    {
        try
        {
            // Until the manifest names what takes its place, a retired file is still what our readers want.
            return ParquetSource.File(File.Exists(PathOf(name)) || !File.Exists(PathOf(name) + Retired) ? PathOf(name) : PathOf(name) + Retired);
        }
        catch (DirectoryNotFoundException fault)
        {
            throw new FileNotFoundException(fault.Message, PathOf(name), fault);
        }
    }

    public void Replace(string name, ReadOnlySpan<byte> content)
    {
        BeforeStep.Value?.Invoke();
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(name))!);
        if (_flush)
        {
            AtomicFile.Write(PathOf(name), content);
            return;
        }

        File.WriteAllBytes(PathOf(name) + ".new", content);
        File.Move(PathOf(name) + ".new", PathOf(name), overwrite: true);
    }

    public string NewFile(string name)
    {
        var folder = Path.GetDirectoryName(PathOf(name))!;
        if (!Directory.Exists(folder))
        {
            Directory.CreateDirectory(folder);
            for (var at = folder; at.Length > _root.Length; at = Path.GetDirectoryName(at)!)
                FlushFolder(Path.GetDirectoryName(at)!);
        }

        return PathOf(name) + Unpublished;
    }

    public void Stage(string name)
    {
        if (!_flush)
            return;
        using var file = File.OpenHandle(PathOf(name) + Unpublished, FileMode.Open, FileAccess.ReadWrite);
        RandomAccess.FlushToDisk(file);
        FlushFolder(Path.GetDirectoryName(PathOf(name))!);
    }

    public void Publish(string name)
    {
        if (File.Exists(PathOf(name) + Unpublished))
            Move(PathOf(name) + Unpublished, PathOf(name));
    }

    public void Retire(IReadOnlyList<string> names)
    {
        foreach (var name in names)
        {
            if (File.Exists(PathOf(name)))
                Move(PathOf(name), PathOf(name) + Retired);
        }
    }

    public void Delete(IReadOnlyList<string> names)
    {
        BeforeStep.Value?.Invoke();
        foreach (var name in names)
        {
            File.Delete(PathOf(name) + Retired);
            File.Delete(PathOf(name));
        }
    }

    public void DeleteFolder(string folder)
    {
        BeforeStep.Value?.Invoke();
        if (Directory.Exists(PathOf(folder)))
            Directory.Delete(PathOf(folder), recursive: true);
    }

    public IReadOnlySet<string> Sweep(IReadOnlySet<string> known)
    {
        ArgumentNullException.ThrowIfNull(known);
        Directory.CreateDirectory(_root);
        foreach (var path in Directory.EnumerateFiles(_root, "*", SearchOption.AllDirectories))
        {
            if (path.EndsWith(Unpublished, StringComparison.Ordinal) || path.EndsWith(Retired, StringComparison.Ordinal) || path.EndsWith(".new", StringComparison.Ordinal))
                File.Delete(path);
        }

        return known.Where(name => File.Exists(PathOf(name))).ToHashSet(StringComparer.Ordinal);
    }

    private string PathOf(string name) => Path.Combine(_root, name);

    /// <summary>The flush of the folder keeps the order of renames over a power cut: a replaced file must never be there beside what replaced it.</summary>
    private void Move(string from, string to)
    {
        BeforeStep.Value?.Invoke();
        File.Move(from, to, overwrite: true);
        FlushFolder(Path.GetDirectoryName(to)!);
    }

    private void FlushFolder(string folder)
    {
        if (_flush)
            AtomicFile.FlushFolder(folder);
    }
}
