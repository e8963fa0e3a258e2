using System.Globalization;
using System.Text.Json;
using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>
/// The files of the history and their commit: archive.json is replaced once for all files and the position, then each change is put
/// in place by steps that may be repeated (docs/formats/history.md). One writer; readers go by the manifests.
/// </summary>
internal sealed class ArchiveFolder
{
    private const int Version = 1;
    internal const string StateFile = "archive.json";
    internal const string ManifestFile = "manifest.json";

    private readonly IHistoryStore _store;
    private readonly Func<ushort, string, FieldType?>? _declared;
    private readonly SortedDictionary<string, DayManifest> _days = new(StringComparer.Ordinal);
    private readonly Dictionary<ushort, ColumnSet> _columns = [];

    private ArchiveFolder(IHistoryStore store, Func<ushort, string, FieldType?>? declared) => (_store, _declared) = (store, declared);

    /// <summary>How far the log was taken in; null in a new folder.</summary>
    public PositionVector? Position { get; private set; }

    /// <summary>Files that a manifest names and that are not there; what they held is not served.</summary>
    public List<string> Missing { get; } = [];

    /// <summary>Days whose manifest was missing or damaged, and was made again from the files.</summary>
    public List<string> Mended { get; } = [];

    /// <summary>Devices whose older readings must not be taken in again.</summary>
    public List<ErasedDevice> Erased { get; } = [];

    public IReadOnlyDictionary<string, DayManifest> Days => _days;

    public IHistoryStore Store => _store;

    /// <summary>Opens the folder, makes it if need be, and finishes what a crash left half done.</summary>
    /// <param name="declared">Gives the type that is declared for a tenant's field.</param>
    /// <exception cref="InvalidDataException">archive.json is damaged or of a newer release.</exception>
    public static ArchiveFolder Open(IHistoryStore store, Func<ushort, string, FieldType?>? declared = null)
    {
        var folder = new ArchiveFolder(store, declared);
        if (ReadState(store) is { } state)
            folder.Restore(state);
        else
            folder.LoadManifests();

        var known = folder._days.SelectMany(day => day.Value.Files.Select(file => $"{day.Key}/{file.Name}")).ToHashSet(StringComparer.Ordinal);
        var found = store.Sweep(known);
        folder.Missing.AddRange(known.Where(name => !found.Contains(name)).Order(StringComparer.Ordinal));
        return folder;
    }

    public static string FolderOf(ushort tenant, DateTime time) => $"tenant={tenant}/date={time:yyyy-MM-dd}";

    /// <summary>The tenant of a day's folder.</summary>
    public static ushort TenantOf(string day) => ushort.Parse(day.AsSpan(7, day.IndexOf('/', StringComparison.Ordinal) - 7), CultureInfo.InvariantCulture);

    /// <summary>Where the hour of a file begins, in µs.</summary>
    public static long StartOf(string day, ArchivedFile file)
    {
        var date = DateTime.ParseExact(
            day.AsSpan(day.Length - 10), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);
        return Micros.FromDateTime(date.AddHours(file.Hour.Length > 5 ? int.Parse(file.Hour.AsSpan(5), CultureInfo.InvariantCulture) : 0));
    }

    public ColumnSet ColumnsOf(ushort tenant)
    {
        if (!_columns.TryGetValue(tenant, out var columns))
            _columns.Add(tenant, columns = new ColumnSet(name => _declared?.Invoke(tenant, name)));
        return columns;
    }

    /// <summary>Makes the changes and the position durable together. New files are staged.</summary>
    public void Commit(PositionVector position, List<PendingChange> changes)
    {
        var columns = _columns.ToDictionary(
            pair => pair.Key.ToString(CultureInfo.InvariantCulture),
            pair => pair.Value.Columns.Select(column => new[] { column.Name, column.Type.ToString() }).ToList());
        Erased.RemoveAll(erased => erased.IsBehind(position));
        var state = new ArchiveState(Version, position.ToString(), columns, changes, Position?.ToString(), Erased.Count > 0 ? Erased : null);
        _store.Replace(StateFile, JsonSerializer.SerializeToUtf8Bytes(state, ArchiveJson.Default.ArchiveState));
        Position = position.Copy();
        Apply(changes);
    }

    /// <summary>Every step finds out whether it was done before.</summary>
    private void Apply(List<PendingChange> changes)
    {
        foreach (var day in changes.GroupBy(change => change.Folder))
        {
            var removed = day.SelectMany(change => change.Remove).ToHashSet(StringComparer.Ordinal);
            var added = day.Select(change => change.Add).OfType<ArchivedFile>().ToList();
            var gone = removed.Select(name => $"{day.Key}/{name}").ToList();
            _store.Retire(gone);
            foreach (var file in added)
                _store.Publish($"{day.Key}/{file.Name}");

            var files = (_days.GetValueOrDefault(day.Key)?.Files ?? [])
                .Where(file => !removed.Contains(file.Name) && !added.Exists(a => a.Name == file.Name)).Concat(added);
            var manifest = new DayManifest(Version, [.. files.OrderBy(file => file.From).ThenBy(file => file.Name, StringComparer.Ordinal)]);
            if (manifest.Files.Count > 0)
                _store.Replace($"{day.Key}/{ManifestFile}", JsonSerializer.SerializeToUtf8Bytes(manifest, ArchiveJson.Default.DayManifest));
            if (gone.Count > 0)
                _store.Delete(gone);
            if (manifest.Files.Count > 0)
                _days[day.Key] = manifest;
            else if (_days.Remove(day.Key) || gone.Count > 0)
                _store.DeleteFolder(day.Key);
        }
    }

    /// <summary>The state as it was committed last; null where there is no history yet.</summary>
    /// <exception cref="InvalidDataException">archive.json is damaged or of a newer release.</exception>
    internal static ArchiveState? ReadState(IHistoryStore store)
    {
        if (store.Read(StateFile) is not { } bytes)
            return null;

        ArchiveState? state;
        try
        {
            state = JsonSerializer.Deserialize(bytes, ArchiveJson.Default.ArchiveState);
        }
        catch (JsonException fault)
        {
            throw new InvalidDataException($"{store.Name}/{StateFile} is damaged: {fault.Message}", fault);
        }

        return state is not null && state.Version == Version
            ? state
            : throw new InvalidDataException($"{store.Name}/{StateFile} has format version {state?.Version}; this release knows {Version}.");
    }

    internal static string? ManifestMark(IHistoryStore store, string day) => store.MarkOf($"{day}/{ManifestFile}");

    /// <summary>A day's manifest; null when there is none.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    /// <exception cref="NotSupportedException">It is of a newer release.</exception>
    internal static DayManifest? ReadManifest(IHistoryStore store, string day) =>
        store.Read($"{day}/{ManifestFile}") is { } bytes ? ParseManifest(bytes, $"{store.Name}/{day}/{ManifestFile}") : null;

    /// <inheritdoc cref="ReadManifest"/>
    internal static DayManifest ParseManifest(byte[] bytes, string name)
    {
        DayManifest? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(bytes, ArchiveJson.Default.DayManifest);
        }
        catch (JsonException fault)
        {
            throw new InvalidDataException($"{name} is damaged: {fault.Message}", fault);
        }

        if (manifest?.Version > Version)
            throw new NotSupportedException($"{name} has format version {manifest.Version}; this release knows {Version}.");
        return manifest?.Files is not null && !manifest.Files.Contains(null!)
            ? manifest
            : throw new InvalidDataException($"{name} is damaged: it has no list of files.");
    }

    /// <summary>Tenants that have a folder, in order.</summary>
    internal static IEnumerable<ushort> Tenants(IHistoryStore store) => store.Folders("")
        .Where(name => name.StartsWith("tenant=", StringComparison.Ordinal))
        .Select(name => ushort.TryParse(name.AsSpan(7), CultureInfo.InvariantCulture, out var tenant) ? tenant : (ushort?)null)
        .OfType<ushort>().Order();

    /// <summary>The days of a tenant as folders, in order.</summary>
    internal static IEnumerable<string> DaysOf(IHistoryStore store, ushort tenant) => store.Folders($"tenant={tenant}")
        .Where(name => name.StartsWith("date=", StringComparison.Ordinal)
            && DateOnly.TryParseExact(name.AsSpan(5), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _))
        .Select(name => $"tenant={tenant}/{name}");

    private void Restore(ArchiveState state)
    {
        Position = PositionVector.Parse(state.Position);
        foreach (var (tenant, columns) in state.Columns)
        {
            foreach (var column in columns)
                ColumnsOf(ushort.Parse(tenant, CultureInfo.InvariantCulture)).Restore(column[0], FieldType.Parse(column[1]));
        }

        Erased.AddRange(state.Erased ?? []);
        LoadManifests();
        Apply(state.Pending);
    }

    private void LoadManifests()
    {
        foreach (var day in Tenants(_store).SelectMany(tenant => DaysOf(_store, tenant)))
        {
            var manifest = ReadOrMend(day);
            if (manifest.Files.Count > 0)
                _days[day] = manifest;
        }
    }

    private DayManifest ReadOrMend(string day)
    {
        try
        {
            if (ReadManifest(_store, day) is { } manifest)
                return manifest;
        }
        catch (InvalidDataException)
        {
            // As if there were none.
        }

        var mended = new DayManifest(Version, ManifestMending.FilesOf(_store, day, Position));
        if (mended.Files.Count == 0)
            return mended;
        _store.Replace($"{day}/{ManifestFile}", JsonSerializer.SerializeToUtf8Bytes(mended, ArchiveJson.Default.DayManifest));
        Mended.Add(day);
        return mended;
    }
}
