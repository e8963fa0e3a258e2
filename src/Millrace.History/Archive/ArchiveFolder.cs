using System.Text.Json;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// The files of the history and their commit: archive.json is replaced once for all files and the position, then each change is put
/// in place by steps that may be repeated (docs/formats/history.md). One writer; readers go by the manifests.
/// </summary>
internal sealed class ArchiveFolder
{
    private const int Version = 1;
    private const string StateFile = "archive.json";
    private const string ManifestFile = "manifest.json";

    private readonly string _root;
    private readonly SortedDictionary<string, DayManifest> _days = new(StringComparer.Ordinal);
    private readonly Dictionary<ushort, ColumnSet> _columns = [];

    private ArchiveFolder(string root) => _root = root;

    /// <summary>Called before each change on disk; tests stop here as a crash would.</summary>
    internal static AsyncLocal<Action?> BeforeStep { get; } = new();

    /// <summary>How far the log was taken in; null in a new folder.</summary>
    public PositionVector? Position { get; private set; }

    /// <summary>Files that a manifest names and that are not there; what they held is not served.</summary>
    public List<string> Missing { get; } = [];

    public IReadOnlyDictionary<string, DayManifest> Days => _days;

    /// <summary>Opens the folder, makes it if need be, and finishes what a crash left half done.</summary>
    /// <exception cref="InvalidDataException">archive.json is damaged or of a newer release.</exception>
    public static ArchiveFolder Open(string root)
    {
        Directory.CreateDirectory(root);
        var folder = new ArchiveFolder(root);
        if (ReadState(root) is { } state)
            folder.Restore(state);

        folder.DeleteLeftovers();
        folder.LoadManifests();
        return folder;
    }

    public static string FolderOf(ushort tenant, long day) =>
        $"tenant={tenant}/date={Micros.ToDateTime(day * 86_400 * Micros.PerSecond):yyyy-MM-dd}";

    public string PathOf(string folder, string name) => Path.Combine(_root, folder, name);

    /// <summary>Where a new file is written before it is committed.</summary>
    public string TemporaryPathOf(string folder, string name)
    {
        Directory.CreateDirectory(Path.Combine(_root, folder));
        return PathOf(folder, name) + ".tmp";
    }

    public ColumnSet ColumnsOf(ushort tenant)
    {
        if (!_columns.TryGetValue(tenant, out var columns))
            _columns.Add(tenant, columns = new ColumnSet());
        return columns;
    }

    /// <summary>Makes the changes and the position durable together. New files lie at their temporary paths, flushed.</summary>
    public void Commit(PositionVector position, List<PendingChange> changes)
    {
        var columns = _columns.ToDictionary(
            pair => pair.Key.ToString(), pair => pair.Value.Kinds.Select(kind => new[] { kind.Key, kind.Value.ToString() }).ToList());
        var state = new ArchiveState(Version, position.ToString(), columns, changes, Position?.ToString());
        Replace(Path.Combine(_root, StateFile), JsonSerializer.SerializeToUtf8Bytes(state, ArchiveJson.Default.ArchiveState));
        Position = position.Copy();
        foreach (var change in changes)
            Apply(change);
    }

    /// <summary>Every step finds out whether it was done before.</summary>
    private void Apply(PendingChange change)
    {
        foreach (var name in change.Remove)
        {
            var path = PathOf(change.Folder, name);
            if (File.Exists(path))
                Move(path, path + ".replaced");
        }

        if (change.Add is { } add)
        {
            var path = PathOf(change.Folder, add.Name);
            if (File.Exists(path + ".tmp"))
                Move(path + ".tmp", path);
        }

        var manifest = ReadManifest(change.Folder);
        var files = manifest.Files.Where(file => !change.Remove.Contains(file.Name) && file.Name != change.Add?.Name).ToList();
        if (change.Add is not null)
            files.Add(change.Add);
        manifest = new DayManifest(Version, [.. files.OrderBy(file => file.From)]);
        Replace(PathOf(change.Folder, ManifestFile), JsonSerializer.SerializeToUtf8Bytes(manifest, ArchiveJson.Default.DayManifest));
        _days[change.Folder] = manifest;
        BeforeStep.Value?.Invoke();
        foreach (var name in change.Remove)
            File.Delete(PathOf(change.Folder, name) + ".replaced");
    }

    /// <summary>The state as it was committed last; null where there is no history yet.</summary>
    /// <exception cref="InvalidDataException">archive.json is damaged or of a newer release.</exception>
    internal static ArchiveState? ReadState(string root)
    {
        var path = Path.Combine(root, StateFile);
        ArchiveState? state;
        try
        {
            state = JsonSerializer.Deserialize(File.ReadAllBytes(path), ArchiveJson.Default.ArchiveState);
        }
        catch (Exception fault) when (fault is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (JsonException fault)
        {
            throw new InvalidDataException($"{path} is damaged: {fault.Message}", fault);
        }

        return state is not null && state.Version == Version
            ? state
            : throw new InvalidDataException($"{path} has format version {state?.Version}; this release knows {Version}.");
    }

    private void Restore(ArchiveState state)
    {
        Position = PositionVector.Parse(state.Position);
        foreach (var (tenant, columns) in state.Columns)
        {
            foreach (var column in columns)
                ColumnsOf(ushort.Parse(tenant)).Takes(column[0], Enum.Parse<ParquetKind>(column[1]));
        }

        foreach (var change in state.Pending)
            Apply(change);
    }

    /// <summary>Uncommitted files: their readings are still in the log and will be written again.</summary>
    private void DeleteLeftovers()
    {
        foreach (var path in Directory.EnumerateFiles(_root, "*.tmp", SearchOption.AllDirectories))
            File.Delete(path);
    }

    private void LoadManifests()
    {
        foreach (var tenant in Directory.EnumerateDirectories(_root, "tenant=*"))
        {
            foreach (var day in Directory.EnumerateDirectories(tenant, "date=*"))
            {
                var folder = $"{Path.GetFileName(tenant)}/{Path.GetFileName(day)}";
                var manifest = ReadManifest(folder);
                if (manifest.Files.Count > 0)
                    _days[folder] = manifest;
                Missing.AddRange(manifest.Files.Select(file => PathOf(folder, file.Name)).Where(path => !File.Exists(path)));
            }
        }
    }

    private DayManifest ReadManifest(string folder) => ReadManifest(_root, folder);

    /// <summary>What tells one manifest of a day from the next; a clock's step may be coarser than two commits are apart.</summary>
    internal static (DateTime Written, long Bytes) ManifestMark(string root, string folder)
    {
        var file = new FileInfo(Path.Combine(root, folder, ManifestFile));
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
    }

    internal static DayManifest ReadManifest(string root, string folder)
    {
        var path = Path.Combine(root, folder, ManifestFile);
        if (!File.Exists(path))
            return new DayManifest(Version, []);

        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), ArchiveJson.Default.DayManifest)!;
        }
        catch (JsonException fault)
        {
            throw new InvalidDataException($"{path} is damaged: {fault.Message}", fault);
        }
    }

    private static void Replace(string path, byte[] bytes)
    {
        using (var file = File.Create(path + ".tmp"))
        {
            file.Write(bytes);
            file.Flush(flushToDisk: true);
        }

        Move(path + ".tmp", path);
    }

    private static void Move(string from, string to)
    {
        BeforeStep.Value?.Invoke();
        File.Move(from, to, overwrite: true);
    }
}
