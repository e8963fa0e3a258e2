using System.IO.Compression;
using Millrace.Parquet.Encodings;

namespace Millrace.Parquet.Compression;

/// <summary>Compresses page bodies with one codec, into a buffer that is kept for the next page.</summary>
internal sealed class PageCompressor(ParquetCodec codec, int gzipLevel, int brotliQuality)
{
    private readonly ByteBuffer _output = new();
    private readonly ZLibCompressionOptions _gzip = new() { CompressionLevel = gzipLevel };

    public ParquetCodec Codec => codec;

    /// <summary>The compressed bytes; they live until the next call. Uncompressed pages come back as they are.</summary>
    public ReadOnlySpan<byte> Compress(ReadOnlySpan<byte> body)
    {
        if (codec == ParquetCodec.Uncompressed)
            return body;

        _output.Clear();
        switch (codec)
        {
            case ParquetCodec.Gzip:
                // One member, RFC 1952: a zlib stream under the name GZIP is refused by other readers.
                using (var target = new BufferStream(_output))
                using (var gzip = new GZipStream(target, _gzip, leaveOpen: true))
                    gzip.Write(body);
                if (body.IsEmpty)
                    WriteEmptyGzip();
                break;
            case ParquetCodec.Snappy:
                _output.Advance(Snappy.Compress(body, _output.GetSpan(Snappy.BoundOf(body.Length))));
                break;
            case ParquetCodec.Brotli:
                CompressBrotli(body);
                break;
            default:
                throw new NotSupportedException($"Pages cannot be written with {codec}.");
        }

        return _output.Written;
    }

    /// <summary>Gives the buffer back.</summary>
    public void Release() => _output.Release();

    /// <summary>GZipStream writes nothing at all for nothing, and nothing is not a member.</summary>
    private void WriteEmptyGzip()
    {
        if (_output.Length == 0)
            _output.Write([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    private void CompressBrotli(ReadOnlySpan<byte> body)
    {
        var target = _output.GetSpan(BrotliEncoder.GetMaxCompressedLength(body.Length) + 16);
        if (!BrotliEncoder.TryCompress(body, target, out var written, brotliQuality, window: 22))
            throw new InvalidOperationException("Brotli needs more room than it says it can.");

        _output.Advance(written);
    }

    /// <summary>The write side of a stream over a <see cref="ByteBuffer"/>.</summary>
    private sealed class BufferStream(ByteBuffer buffer) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] destination, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] source, int offset, int count) => buffer.Write(source.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> source) => buffer.Write(source);
    }
}
