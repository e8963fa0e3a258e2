using System.IO.Compression;

namespace Millrace.Parquet.Compression;

/// <summary>Turns a page body on disk into the bytes its header promises, exactly that many.</summary>
internal static class PageDecompressor
{
    /// <summary>
    /// The most that a codec can make of one byte, with room: a header that claims more is wrong, and no memory is
    /// taken for it. Brotli has no such bound; the page limit alone holds it.
    /// </summary>
    public static bool IsPlausible(ParquetCodec codec, long compressed, long uncompressed) => codec switch
    {
        ParquetCodec.Uncompressed => compressed == uncompressed,
        ParquetCodec.Gzip => uncompressed <= compressed * 1100 + 1024,
        ParquetCodec.Snappy => uncompressed <= compressed * 64 + 64,
        ParquetCodec.Lz4Raw => uncompressed <= compressed * 256 + 64,
        _ => true,
    };

    public static bool IsSupported(ParquetCodec codec) => codec
        is ParquetCodec.Uncompressed or ParquetCodec.Snappy or ParquetCodec.Gzip or ParquetCodec.Brotli or ParquetCodec.Lz4Raw;

    /// <exception cref="InvalidDataException">The bytes are not what the codec writes.</exception>
    public static void Decompress(ParquetCodec codec, ArraySegment<byte> body, Span<byte> target)
    {
        switch (codec)
        {
            case ParquetCodec.Uncompressed:
                body.AsSpan().CopyTo(target);
                break;
            case ParquetCodec.Snappy:
                Snappy.Decompress(body, target);
                break;
            case ParquetCodec.Gzip:
                Gunzip(body, target);
                break;
            case ParquetCodec.Brotli:
                if (!BrotliDecoder.TryDecompress(body, target, out var written) || written != target.Length)
                    throw new InvalidDataException("the Brotli data is damaged or has another length than its header says");
                break;
            case ParquetCodec.Lz4Raw:
                Lz4Block.Decompress(body, target);
                break;
            default:
                throw new NotSupportedException($"Pages compressed with {codec} are not read.");
        }
    }

    private static void Gunzip(ArraySegment<byte> body, Span<byte> target)
    {
        using var source = new MemoryStream(body.Array!, body.Offset, body.Count, writable: false);
        using var gzip = new GZipStream(source, CompressionMode.Decompress);
        if (gzip.ReadAtLeast(target, target.Length, throwOnEndOfStream: false) != target.Length)
            throw new InvalidDataException("the GZIP data ends early");
        if (gzip.ReadByte() >= 0)
            throw new InvalidDataException("the GZIP data is longer than its header says");
    }
}
