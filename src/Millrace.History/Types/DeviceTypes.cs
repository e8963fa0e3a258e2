using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.RegularExpressions;
using Millrace.History.Archive;
using Millrace.Parquet;

namespace Millrace.History.Types;

/// <summary>
/// The declarations of device types: a JSON file each, put there by the API or by hand. A changed file counts from the next question on.
/// Thread-safe.
/// </summary>
public sealed partial class DeviceTypes(string folder)
{
    /// <summary>A file changed by hand is seen after so long at most.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, (DateTime Written, long LookedAt, DeviceType? Type)> _held = new(StringComparer.Ordinal);

    public static bool IsName(string name) => NamePattern.IsMatch(name);

    /// <summary>The names of a tenant's types, in order.</summary>
    public IReadOnlyList<string> Names(ushort tenant)
    {
        var place = FolderOf(tenant);
        return Directory.Exists(place) ? [.. Directory.GetFiles(place, "*.json").Select(file => Path.GetFileNameWithoutExtension(file)!).Order(StringComparer.Ordinal)] : [];
    }

    /// <summary>The declaration as it was put; null when there is none.</summary>
    public async Task<byte[]?> ReadAsync(ushort tenant, string name, CancellationToken cancel)
    {
        var path = PathOf(tenant, name);
        return File.Exists(path) ? await File.ReadAllBytesAsync(path, cancel) : null;
    }

    public async Task PutAsync(ushort tenant, string name, byte[] json, CancellationToken cancel)
    {
        var path = PathOf(tenant, name);
        Directory.CreateDirectory(FolderOf(tenant));
        // Written aside and moved, so that a reader never meets half of it.
        var aside = $"{path}.{Guid.NewGuid():N}.tmp";
        await File.WriteAllBytesAsync(aside, json, cancel);
        File.Move(aside, path, overwrite: true);
        _held.TryRemove(path, out _);
    }

    /// <summary>What is declared of a type; null when nothing is, or when the file made by hand has mistakes.</summary>
    public DeviceType? Find(ushort tenant, string? name)
    {
        if (name is null || !IsName(name))
            return null;

        var path = PathOf(tenant, name);
        var now = System.Diagnostics.Stopwatch.GetTimestamp();
        if (_held.TryGetValue(path, out var held) && System.Diagnostics.Stopwatch.GetElapsedTime(held.LookedAt, now) < LookAgain)
            return held.Type;

        var written = File.GetLastWriteTimeUtc(path);
        var type = held.Written == written && held.LookedAt != 0 ? held.Type : Read(path, name);
        _held[path] = (written, now, type);
        return type;
    }

    /// <summary>What a field's column in the archive is declared to be, by any of the tenant's types; of several the first by name counts.</summary>
    public FieldType? ColumnOf(ushort tenant, string field)
    {
        foreach (var name in Names(tenant))
        {
            if (Find(tenant, name)?.Fields.GetValueOrDefault(field)?.Column is { } column)
                return column.Kind == ColumnKind.Int64 ? new FieldType(ParquetKind.Int64) : new FieldType(ParquetKind.Decimal, column.Scale);
        }

        return null;
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    private static partial Regex NamePattern { get; }

    private static DeviceType? Read(string path, string name)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            return json.RootElement.ValueKind == JsonValueKind.Object ? DeviceTypeReader.Read(name, json.RootElement, []) : null;
        }
        catch (Exception fault) when (fault is JsonException or FileNotFoundException or DirectoryNotFoundException)
        {
            return null; // Nothing that could be gone by; the API shows the file as it is.
        }
    }

    private string FolderOf(ushort tenant) => tenant == 0 ? folder : Path.Combine(folder, $"tenant-{tenant}");

    private string PathOf(ushort tenant, string name) => Path.Combine(FolderOf(tenant), name + ".json");
}
