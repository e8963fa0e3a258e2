using System.Text.Json;

namespace Millrace.History.Rollups.Groups;

/// <summary>One moment of the stored trends of groups: what state.json says, and the files it names.</summary>
public static class GroupSnapshot
{
    /// <exception cref="InvalidDataException">state.json is damaged.</exception>
    public static FolderMoment Take(string root)
    {
        var path = Path.Combine(root, GroupStore.StateFile);
        if (!File.Exists(path))
            return new FolderMoment([], []);

        var bytes = File.ReadAllBytes(path);
        var state = GroupStore.Parse(bytes, path);
        // Only ever added to, and written before the state that counts what was added.
        var devices = Path.Combine(root, GroupStore.DevicesFile);
        return new FolderMoment(
            [(GroupStore.StateFile, bytes), .. File.Exists(devices) ? new[] { (GroupStore.DevicesFile, File.ReadAllBytes(devices)) } : []],
            [.. state.Files.Select(name => (name, Path.Combine(root, name)))]);
    }
}
