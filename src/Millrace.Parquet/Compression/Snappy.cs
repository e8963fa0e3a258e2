using System.Buffers.Binary;

namespace Millrace.Parquet.Compression;

/// <summary>Snappy's raw block format: a length, then literals and copies from what was already written.</summary>
internal static class Snappy
{
    private const int TableBits = 14;
    private const int MatchMin = 4;

    /// <summary>Copies with a two-byte offset reach this far.</summary>
    private const int WindowBytes = 1 << 16;

    /// <summary>Fills <paramref name="target"/> exactly, or says why the bytes are not Snappy.</summary>
    public static void Decompress(ReadOnlySpan<byte> source, Span<byte> target)
    {
        var at = 0;
        if (ReadLength(source, ref at) != (ulong)target.Length)
            throw new InvalidDataException("the Snappy block has another length than its page header says");

        var written = 0;
        while (at < source.Length)
        {
            var tag = source[at++];
            if ((tag & 3) == 0)
            {
                var length = LiteralLength(source, tag, ref at);
                if (length > source.Length - at || length > target.Length - written)
                    throw new InvalidDataException("a Snappy literal runs over the end");

                source.Slice(at, (int)length).CopyTo(target[written..]);
                at += (int)length;
                written += (int)length;
            }
            else
            {
                var (length, distance) = Copy(source, tag, ref at);
                if (distance == 0 || distance > written || length > target.Length - written)
                    throw new InvalidDataException("a Snappy copy reaches outside what was written");

                CopyBack(target, written, (int)distance, length);
                written += length;
            }
        }

        if (written != target.Length)
            throw new InvalidDataException("the Snappy block ends early");
    }

    /// <summary>Repeats bytes already written; the stretch may overlap what it produces.</summary>
    internal static void CopyBack(Span<byte> target, int written, int distance, int length)
    {
        if (distance >= length)
        {
            target.Slice(written - distance, length).CopyTo(target[written..]);
            return;
        }

        for (var i = written; i < written + length; i++)
            target[i] = target[i - distance];
    }

    public static int BoundOf(int length) => 32 + length + length / 6;

    /// <summary>Compresses into <paramref name="target"/> of at least <see cref="BoundOf"/> bytes; returns the bytes used.</summary>
    public static int Compress(ReadOnlySpan<byte> source, Span<byte> target)
    {
        var at = 0;
        for (var length = (uint)source.Length; ; length >>= 7)
        {
            target[at++] = (byte)(length < 0x80 ? length : length | 0x80);
            if (length < 0x80)
                break;
        }

        Span<int> table = new int[1 << TableBits];
        var literal = 0;
        var misses = 32;
        var i = 1;
        while (i + 8 <= source.Length)
        {
            var word = BinaryPrimitives.ReadUInt32LittleEndian(source[i..]);
            var slot = (int)(word * 0x1E35A7BD >> (32 - TableBits));
            var candidate = table[slot];
            table[slot] = i;
            if (i - candidate >= WindowBytes || BinaryPrimitives.ReadUInt32LittleEndian(source[candidate..]) != word)
            {
                i += misses++ >> 5;
                continue;
            }

            misses = 32;
            WriteLiteral(source[literal..i], target, ref at);
            var length = MatchMin + source[(i + MatchMin)..].CommonPrefixLength(source[(candidate + MatchMin)..]);
            WriteCopy(i - candidate, length, target, ref at);
            i += length;
            literal = i;
        }

        WriteLiteral(source[literal..], target, ref at);
        return at;
    }

    private static void WriteLiteral(ReadOnlySpan<byte> bytes, Span<byte> target, ref int at)
    {
        if (bytes.IsEmpty)
            return;

        var last = bytes.Length - 1;
        if (last < 60)
        {
            target[at++] = (byte)(last << 2);
        }
        else
        {
            var size = last < 1 << 8 ? 1 : last < 1 << 16 ? 2 : last < 1 << 24 ? 3 : 4;
            target[at++] = (byte)(59 + size << 2);
            for (var i = 0; i < size; i++)
                target[at++] = (byte)(last >> (8 * i));
        }

        bytes.CopyTo(target[at..]);
        at += bytes.Length;
    }

    private static void WriteCopy(int distance, int length, Span<byte> target, ref int at)
    {
        while (length > 0)
        {
            var part = Math.Min(length, 64);
            target[at] = (byte)(part - 1 << 2 | 2);
            BinaryPrimitives.WriteUInt16LittleEndian(target[(at + 1)..], (ushort)distance);
            at += 3;
            length -= part;
        }
    }

    private static ulong ReadLength(ReadOnlySpan<byte> source, ref int at)
    {
        ulong length = 0;
        for (var shift = 0; shift < 35; shift += 7)
        {
            if (at == source.Length)
                break;

            var next = source[at++];
            length |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return length;
        }

        throw new InvalidDataException("the Snappy block has no length");
    }

    private static long LiteralLength(ReadOnlySpan<byte> source, byte tag, ref int at)
    {
        var code = tag >> 2;
        if (code < 60)
            return code + 1;

        return Number(source, code - 59, ref at) + 1;
    }

    private static (int Length, long Distance) Copy(ReadOnlySpan<byte> source, byte tag, ref int at) => (tag & 3) switch
    {
        1 => ((tag >> 2 & 7) + 4, (tag >> 5 << 8) + Number(source, 1, ref at)),
        2 => ((tag >> 2) + 1, Number(source, 2, ref at)),
        _ => ((tag >> 2) + 1, Number(source, 4, ref at)),
    };

    private static long Number(ReadOnlySpan<byte> source, int size, ref int at)
    {
        if (size > source.Length - at)
            throw new InvalidDataException("the Snappy block ends inside a tag");

        long value = 0;
        for (var i = 0; i < size; i++)
            value |= (long)source[at++] << (8 * i);
        return value;
    }
}
