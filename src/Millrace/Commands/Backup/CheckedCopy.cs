using System.Buffers;
using System.Security.Cryptography;

namespace Millrace.Commands.Backup;

/// <summary>Copies files and tells what was copied; every copy is on the disk when the call returns.</summary>
internal sealed class CheckedCopy(string folder, Progress progress)
{
    private const int BufferBytes = 1 << 20;

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private long _bytes;

    /// <summary>Copies as much as the source holds now, at most <paramref name="bytesMax"/>.</summary>
    public BackupFile Copy(Stream source, string name, long bytesMax, CancellationToken cancel)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            using var target = Create(name);
            long length = 0;
            while (length < bytesMax)
            {
                cancel.ThrowIfCancellationRequested();
                var read = source.Read(buffer, 0, (int)Math.Min(BufferBytes, bytesMax - length));
                if (read == 0)
                    break;
                target.Write(buffer, 0, read);
                hash.AppendData(buffer, 0, read);
                length += read;
                _bytes += read;
                progress.Show($"{_bytes >> 20:N0} MiB, {name}");
            }

            target.Flush(flushToDisk: true);
            return new BackupFile(name, length, Convert.ToHexStringLower(hash.GetHashAndReset()));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public BackupFile Copy(string path, string name, CancellationToken cancel)
    {
        using var source = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        return Copy(source, name, source.Length, cancel);
    }

    /// <summary>Tells of a file that something else wrote into the folder.</summary>
    public BackupFile Describe(string name)
    {
        using var file = new FileStream(Path.Combine(folder, name), FileMode.Open, FileAccess.Read);
        return new BackupFile(name, file.Length, Convert.ToHexStringLower(SHA256.HashData(file)));
    }

    /// <summary>Tokens and keys are among the files: nobody else may read any of them.</summary>
    private FileStream Create(string name)
    {
        var path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = OwnerOnly;
        return new FileStream(path, options);
    }
}
