namespace Millrace.Log.Disk;

/// <summary>
/// All the log wants of a disk: the one seam that tests replace. Paths are absolute. Every failure is an
/// <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/>; a full disk is a <see cref="DiskFullException"/>.
/// </summary>
public interface IDisk
{
    /// <summary>Makes the folder and those above it, if missing.</summary>
    void CreateFolder(string folder);

    /// <summary>The files of a folder with their lengths, in no particular order.</summary>
    IReadOnlyList<DiskEntry> List(string folder);

    /// <summary>Opens a file. <see cref="DiskOpen.Create"/> truncates one that exists.</summary>
    /// <exception cref="FileNotFoundException">It does not exist and was not to be created.</exception>
    IDiskFile Open(string path, DiskOpen how);

    /// <summary>Renames within a folder, replacing a file of the new name.</summary>
    void Rename(string from, string to);

    /// <summary>Deletes a file; open handles go on reading it.</summary>
    void Delete(string path);

    /// <summary>Makes names created, renamed and deleted in the folder durable.</summary>
    void SyncFolder(string folder);

    /// <summary>Bytes free for us, and the size of the file system.</summary>
    (long Free, long Total) Space(string folder);
}

public enum DiskOpen
{
    Read,
    ReadWrite,
    Create,
}

public readonly record struct DiskEntry(string Name, long Length);

/// <summary>An open file. Reads are thread-safe; writes come from one thread.</summary>
public interface IDiskFile : IDisposable
{
    long Length { get; }

    /// <summary>Reads up to the target's length; less only at the end of the file.</summary>
    int ReadAt(long offset, Span<byte> target);

    /// <summary>Writes everything or throws; after an exception the bytes there are unknown.</summary>
    void WriteAt(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Puts what was written on stable storage, with as much metadata as is needed to read it back.</summary>
    void Flush();

    /// <summary>Cuts the file and makes the cut durable.</summary>
    void Truncate(long length);
}

/// <summary>The disk has no room for a write.</summary>
public sealed class DiskFullException(string message, Exception? inner = null) : IOException(message, inner);
