using Microsoft.Win32.SafeHandles;

namespace Millrace.Parquet;

/// <summary>
/// Where a file's bytes come from, by ranges: a local file, memory, or an object store through a class of your own. Reads may
/// run at the same time from several scans.
/// </summary>
public abstract class ParquetSource : IDisposable
{
    /// <summary>The name that errors show.</summary>
    public abstract string Name { get; }

    public abstract long Length { get; }

    /// <summary>Fills as much of <paramref name="destination"/> as the file has at <paramref name="offset"/>.</summary>
    /// <returns>The bytes filled: fewer than asked only at the file's end.</returns>
    public abstract ValueTask<int> ReadAsync(long offset, Memory<byte> destination, CancellationToken cancel);

    /// <summary>A local file, opened for shared reading; reads complete synchronously.</summary>
    public static ParquetSource File(string path) => new FileSource(path);

    /// <summary>Bytes in memory.</summary>
    public static ParquetSource Memory(ReadOnlyMemory<byte> bytes, string name = "memory") => new MemorySource(bytes, name);

    /// <summary>A stream that can seek; its reads are done one after the other.</summary>
    public static ParquetSource Stream(Stream stream, string name = "stream", bool leaveOpen = false) =>
        new StreamSource(stream, name, leaveOpen);

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
    }

    private sealed class FileSource(string path) : ParquetSource
    {
        private readonly SafeFileHandle _handle =
            System.IO.File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);

        public override string Name => path;

        public override long Length => RandomAccess.GetLength(_handle);

        public override ValueTask<int> ReadAsync(long offset, Memory<byte> destination, CancellationToken cancel)
        {
            var total = 0;
            while (total < destination.Length)
            {
                var read = RandomAccess.Read(_handle, destination.Span[total..], offset + total);
                if (read == 0)
                    break;
                total += read;
            }

            return new(total);
        }

        protected override void Dispose(bool disposing)
        {
            _handle.Dispose();
            base.Dispose(disposing);
        }
    }

    private sealed class MemorySource(ReadOnlyMemory<byte> bytes, string name) : ParquetSource
    {
        public override string Name => name;

        public override long Length => bytes.Length;

        public override ValueTask<int> ReadAsync(long offset, Memory<byte> destination, CancellationToken cancel)
        {
            var count = (int)Math.Clamp(bytes.Length - offset, 0, destination.Length);
            if (count > 0)
                bytes.Slice((int)offset, count).CopyTo(destination);
            return new(count);
        }
    }

    private sealed class StreamSource(Stream stream, string name, bool leaveOpen) : ParquetSource
    {
        private readonly Lock _oneAtATime = new();

        public override string Name => name;

        public override long Length => stream.Length;

        public override ValueTask<int> ReadAsync(long offset, Memory<byte> destination, CancellationToken cancel)
        {
            lock (_oneAtATime)
            {
                stream.Position = offset;
                return new(stream.ReadAtLeast(destination.Span, destination.Length, throwOnEndOfStream: false));
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (!leaveOpen)
                stream.Dispose();
            base.Dispose(disposing);
        }
    }
}
