using System.Runtime.InteropServices;

namespace Millrace.Outputs;

/// <summary>Replaces small files so that a crash leaves the old content or the new one, never a mixture.</summary>
public static class AtomicFile
{
    private const int OpenReadOnly = 0;

    /// <summary>Writes, flushes and renames into place; then makes the rename itself durable.</summary>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".new";
        using (var handle = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            RandomAccess.Write(handle, content, 0);
            RandomAccess.FlushToDisk(handle);
        }

        File.Move(temporary, path, overwrite: true);
        FlushFolder(Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/");
    }

    /// <summary>Makes names created, renamed or removed in a folder durable. Where the system has no such call it does nothing.</summary>
    public static void FlushFolder(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        var descriptor = Open(folder, OpenReadOnly);
        if (descriptor < 0)
            return;
        _ = Sync(descriptor);
        _ = Close(descriptor);
    }

#pragma warning disable CA5392, CA2101, SYSLIB1054 // libc is always the system's own; the strings are UTF-8 paths.
    [DllImport("libc", EntryPoint = "open", CharSet = CharSet.Ansi)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "fsync")]
    private static extern int Sync(int descriptor);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);
#pragma warning restore CA5392, CA2101, SYSLIB1054
}
