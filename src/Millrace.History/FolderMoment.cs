namespace Millrace.History;

/// <summary>
/// One moment of a folder that a server writes and merges, for a copy that opens as the original would. A file may be merged away before it is
/// copied, then a new moment is due.
/// </summary>
/// <param name="Texts">Contents of the files that change, by their names below the folder.</param>
/// <param name="Files">Files that never change: name in the copy, and where it lies now.</param>
public sealed record FolderMoment(IReadOnlyList<(string Name, byte[] Content)> Texts, IReadOnlyList<(string Name, string Path)> Files);
