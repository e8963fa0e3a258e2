namespace Millrace.Parquet.Compression;

/// <summary>Decodes LZ4's raw block format.</summary>
internal static class Lz4Block
{
    private const int MatchMin = 4;

    /// <summary>Fills <paramref name="target"/> exactly, or says why the bytes are not an LZ4 block.</summary>
    public static void Decompress(ReadOnlySpan<byte> source, Span<byte> target)
    {
        var (at, written) = (0, 0);
        while (at < source.Length)
        {
            var token = source[at++];
            var literal = Length(token >> 4, source, ref at);
            if (literal > source.Length - at || literal > target.Length - written)
                throw new InvalidDataException("an LZ4 literal runs over the end");

            source.Slice(at, (int)literal).CopyTo(target[written..]);
            at += (int)literal;
            written += (int)literal;
            if (at == source.Length)
                break; // The last sequence has no copy.

            if (source.Length - at < 2)
                throw new InvalidDataException("the LZ4 block ends inside a copy");

            var distance = source[at] | source[at + 1] << 8;
            at += 2;
            var length = Length(token & 15, source, ref at) + MatchMin;
            if (distance == 0 || distance > written || length > target.Length - written)
                throw new InvalidDataException("an LZ4 copy reaches outside what was written");

            Snappy.CopyBack(target, written, distance, (int)length);
            written += (int)length;
        }

        if (written != target.Length)
            throw new InvalidDataException("the LZ4 block ends early");
    }

    private static long Length(int nibble, ReadOnlySpan<byte> source, ref int at)
    {
        long length = nibble;
        if (nibble < 15)
            return length;

        while (at < source.Length)
        {
            var more = source[at++];
            length += more;
            if (more != 255)
                return length;
        }

        throw new InvalidDataException("the LZ4 block ends inside a length");
    }
}
