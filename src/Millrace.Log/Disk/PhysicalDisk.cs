using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Millrace.Log.Disk;

/// <summary>The operating system's disk.</summary>
public sealed partial class PhysicalDisk : IDisk
{
    private const int OutOfSpace = 28; // ENOSPC
    private const int OverQuota = 122; // EDQUOT
    private const int WindowsDiskFull = unchecked((int)0x80070070);

    public static PhysicalDisk Instance { get; } = new();

    private PhysicalDisk() { }

    public void CreateFolder(string folder) => Directory.CreateDirectory(folder);

    public IReadOnlyList<DiskEntry> List(string folder) =>
        [.. new DirectoryInfo(folder).EnumerateFiles().Select(f => new DiskEntry(f.Name, f.Length))];

    public IDiskFile Open(string path, DiskOpen how)
    {
        var mode = how == DiskOpen.Create ? FileMode.Create : FileMode.Open;
        var access = how == DiskOpen.Read ? FileAccess.Read : FileAccess.ReadWrite;
        try
        {
            // Sharing everything keeps .NET from taking an advisory lock: who may write is settled by the data folder's lock.
            return new PhysicalFile(File.OpenHandle(path, mode, access, FileShare.ReadWrite | FileShare.Delete), path);
        }
        catch (IOException failure) when (IsFull(failure))
        {
            throw new DiskFullException($"No room to make {path}.", failure);
        }
    }

    public void Rename(string from, string to) => File.Move(from, to, overwrite: true);

    public void Delete(string path) => File.Delete(path);

    public void SyncFolder(string folder)
    {
        if (OperatingSystem.IsWindows())
            return; // NTFS journals names by itself and offers no flush of a folder.

        const int readOnly = 0; // O_RDONLY; File.OpenHandle refuses folders.
        var descriptor = LibC.Open(folder, readOnly);
        if (descriptor < 0)
            throw Failure("open", folder);
        try
        {
            if (LibC.FSync(descriptor) != 0)
                throw Failure("fsync", folder);
        }
        finally
        {
            _ = LibC.Close(descriptor);
        }
    }

    public (long Free, long Total) Space(string folder)
    {
        var drive = new DriveInfo(folder);
        return (drive.AvailableFreeSpace, drive.TotalSize);
    }

    private static bool IsFull(IOException failure) => failure.HResult is OutOfSpace or OverQuota or WindowsDiskFull;

    private static IOException Failure(string call, string path)
    {
        var error = Marshal.GetLastPInvokeError();
        return new IOException($"{call} of {path} failed: {Marshal.GetPInvokeErrorMessage(error)}", error);
    }

    private sealed class PhysicalFile(SafeFileHandle handle, string path) : IDiskFile
    {
        private const int Interrupted = 4; // EINTR

        public long Length => RandomAccess.GetLength(handle);

        public int ReadAt(long offset, Span<byte> target)
        {
            var done = 0;
            while (done < target.Length)
            {
                var read = RandomAccess.Read(handle, target[done..], offset + done);
                if (read == 0)
                    break;
                done += read;
            }

            return done;
        }

        public void WriteAt(long offset, ReadOnlySpan<byte> bytes)
        {
            try
            {
                RandomAccess.Write(handle, bytes, offset);
            }
            catch (IOException failure) when (IsFull(failure))
            {
                throw new DiskFullException($"No room to write {bytes.Length} bytes to {path}.", failure);
            }
        }

        public void Flush()
        {
            if (!OperatingSystem.IsLinux())
            {
                RandomAccess.FlushToDisk(handle);
                return;
            }

            // fdatasync: spares the journal commit that fsync makes for time stamps alone.
            while (LibC.FDataSync(handle) != 0)
            {
                if (Marshal.GetLastPInvokeError() != Interrupted)
                    throw Failure("fdatasync", path);
            }
        }

        public void Truncate(long length)
        {
            RandomAccess.SetLength(handle, length);
            RandomAccess.FlushToDisk(handle);
        }

        public void Dispose() => handle.Dispose();
    }

    private static partial class LibC
    {
        [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
        public static partial int FDataSync(SafeFileHandle file);

        [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
        public static partial int FSync(int descriptor);

        [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Open(string path, int flags);

        [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
        public static partial int Close(int descriptor);
    }
}
