namespace Millrace.Log.Disk;

/// <summary>
/// A disk whose flushes do nothing: shows in a benchmark what durability costs. It loses acknowledged readings in a crash.
/// </summary>
public sealed class UnflushedDisk(IDisk disk) : IDisk
{
    public void CreateFolder(string folder) => disk.CreateFolder(folder);

    public IReadOnlyList<DiskEntry> List(string folder) => disk.List(folder);

    public IDiskFile Open(string path, DiskOpen how) => new UnflushedFile(disk.Open(path, how));

    public void Rename(string from, string to) => disk.Rename(from, to);

    public void Delete(string path) => disk.Delete(path);

    public void SyncFolder(string folder) { }

    public (long Free, long Total) Space(string folder) => disk.Space(folder);

    private sealed class UnflushedFile(IDiskFile file) : IDiskFile
    {
        public long Length => file.Length;

        public int ReadAt(long offset, Span<byte> target) => file.ReadAt(offset, target);

        public void WriteAt(long offset, ReadOnlySpan<byte> bytes) => file.WriteAt(offset, bytes);

        public void Flush() { }

        public void Truncate(long length) => file.Truncate(length);

        public void Dispose() => file.Dispose();
    }
}
