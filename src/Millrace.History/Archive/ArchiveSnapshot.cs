using System.Text.Json;

namespace Millrace.History.Archive;

/// <summary>One moment of the history: its state, its days' manifests and the files they name.</summary>
public static class ArchiveSnapshot
{
    private const int Attempts = 100;

    /// <exception cref="IOException">The history changes faster than it can be looked at.</exception>
    public static FolderMoment Take(string root)
    {
        for (var attempt = 1; attempt <= Attempts; attempt++)
        {
            var before = ReadState(root);
            var days = ReadDays(root);
            if (!before.AsSpan().SequenceEqual(ReadState(root)))
                continue; // A commit in between: manifests and position may tell of different moments.
            return Of(root, before, days);
        }

        throw new IOException($"{root} changes all the time; try again when less is going on");
    }

    private static FolderMoment Of(string root, byte[] stateBytes, List<(string Folder, byte[] Manifest)> days)
    {
        var texts = days.ConvertAll(day => ($"{day.Folder}/{ArchiveFolder.ManifestFile}", day.Manifest));
        if (stateBytes.Length > 0)
            texts.Add((ArchiveFolder.StateFile, stateBytes));
        var names = days.SelectMany(day => FilesOf(root, day.Folder, day.Manifest)).ToHashSet(StringComparer.Ordinal);

        // What is committed and perhaps not yet in its manifest: opening the copy finishes it.
        foreach (var change in Pending(stateBytes))
        {
            names.ExceptWith(change.Remove.Select(name => $"{change.Folder}/{name}"));
            if (change.Add is { } add)
                names.Add($"{change.Folder}/{add.Name}");
        }

        return new FolderMoment(texts, [.. names.Order(StringComparer.Ordinal).Select(name => (name, PathOf(root, name)))]);
    }

    /// <summary>Without a manifest that can be read, all files of the day: the server that opens the copy makes it again from them.</summary>
    private static IEnumerable<string> FilesOf(string root, string day, byte[] manifest)
    {
        try
        {
            return ArchiveFolder.ParseManifest(manifest, day).Files.Select(file => $"{day}/{file.Name}");
        }
        catch (InvalidDataException)
        {
            return new LocalHistoryStore(root).DataFiles(day).Select(file => $"{day}/{file}");
        }
    }

    private static List<PendingChange> Pending(byte[] state) =>
        state.Length > 0 ? JsonSerializer.Deserialize(state, ArchiveJson.Default.ArchiveState)?.Pending ?? [] : [];

    private static byte[] ReadState(string root)
    {
        var path = Path.Combine(root, ArchiveFolder.StateFile);
        return File.Exists(path) ? File.ReadAllBytes(path) : [];
    }

    private static string PathOf(string root, string name)
    {
        var path = Path.Combine(root, name);
        if (File.Exists(path))
            return path;
        // Committed and not yet, or no longer, under its name.
        return File.Exists(path + LocalHistoryStore.Unpublished) ? path + LocalHistoryStore.Unpublished : path + LocalHistoryStore.Retired;
    }

    private static List<(string Folder, byte[] Manifest)> ReadDays(string root)
    {
        var days = new List<(string, byte[])>();
        if (!Directory.Exists(root))
            return days;
        foreach (var path in Directory.EnumerateFiles(root, ArchiveFolder.ManifestFile, SearchOption.AllDirectories))
            days.Add((Path.GetRelativePath(root, Path.GetDirectoryName(path)!), File.ReadAllBytes(path)));
        return days;
    }
}
