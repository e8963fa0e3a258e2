namespace Millrace.Jobs;

/// <summary>
/// Tells jobs that their folder was restored from a backup. Targets may hold rows that were made after the backup, under numbers that a
/// version would give out again for other rows; so every job finishes what the restored log holds and goes on as a new version.
/// </summary>
public static class JobRestore
{
    private const string FileName = "restored";

    /// <summary>Marks a folder of jobs; the next <see cref="JobHost"/> heeds it once.</summary>
    public static void Mark(string folder)
    {
        if (Directory.Exists(folder))
            File.WriteAllText(PathOf(folder), "");
    }

    internal static bool IsMarked(string folder) => File.Exists(PathOf(folder));

    internal static void Done(string folder) => File.Delete(PathOf(folder));

    private static string PathOf(string folder) => Path.Combine(folder, FileName);
}
