namespace Millrace.Outputs.Files;

/// <summary>
/// The folders jobs may read and write files in: the data folder's <c>files</c> and those the operator named. A job's author is
/// not the machine's owner, so links that lead outside are refused too.
/// </summary>
/// <param name="filesFolder">Relative paths lie below this one.</param>
public sealed class AllowedFolders(string filesFolder, IReadOnlyList<string> others)
{
    private readonly string _files = Path.GetFullPath(filesFolder);

    /// <summary>The full path of a file named in a job.</summary>
    /// <exception cref="OutputException">The path is empty or leads outside the allowed folders.</exception>
    public string Resolve(string path)
    {
        if (string.IsNullOrWhiteSpace(path) || path.Contains('\0'))
            throw new OutputException("a file needs a path", refused: true);
        var full = Path.GetFullPath(path, _files);
        var real = RealPath(full);
        foreach (var folder in others.Prepend(_files))
        {
            if (IsBelow(full, Path.GetFullPath(folder)) && IsBelow(real, RealPath(Path.GetFullPath(folder))))
                return full;
        }

        throw new OutputException(
            $"'{path}' lies outside the allowed folders; use a path below the data folder's files/, or let the operator add its folder to Jobs:Folders",
            refused: true);
    }

    private static bool IsBelow(string path, string folder) =>
        path.StartsWith(folder.EndsWith(Path.DirectorySeparatorChar) ? folder : folder + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    /// <summary>The path with every link on it followed, as far as it exists.</summary>
    private static string RealPath(string full)
    {
        var current = Path.GetPathRoot(full)!;
        foreach (var part in full[current.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            current = Path.Combine(current, part);
            FileSystemInfo info = Directory.Exists(current) ? new DirectoryInfo(current) : new FileInfo(current);
            if (info.LinkTarget is not null)
                current = info.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? current;
        }

        return current;
    }
}
