using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Millrace.Parquet.Encodings;

namespace Millrace.Parquet.Writing;

/// <summary>Writes a stretch of a column's values in one encoding.</summary>
internal sealed class ValueEncoder
{
    private long[] _lengths = [];
    private int[] _flags = [];

    public void Write(
        ParquetColumnWriter column, int start, int end, ParquetEncoding encoding, DeltaShape shape,
        DictionaryBuilder dictionary, ByteBuffer output)
    {
        switch (encoding)
        {
            case ParquetEncoding.Plain:
                WritePlain(column, start, end, output);
                break;
            case ParquetEncoding.RleDictionary:
                var width = HybridEncoder.WidthOf(dictionary.Count);
                output.WriteByte((byte)width);
                HybridEncoder.Write(dictionary.Indexes(start, end), width, output);
                break;
            case ParquetEncoding.DeltaBinaryPacked:
                DeltaBinaryEncoder.Write(
                    column.Numbers(start, end), column.Column.Physical == PhysicalType.Int32, shape, output);
                break;
            case ParquetEncoding.DeltaLengthByteArray:
                DeltaBinaryEncoder.Write(Lengths(column, start, end), is32: true, shape, output);
                output.Write(column.BytesOf(start, end));
                break;
            case ParquetEncoding.DeltaByteArray:
                WriteFrontCoded(column, start, end, shape, output);
                break;
            case ParquetEncoding.ByteStreamSplit:
                WriteSplit(column, start, end, output);
                break;
            case ParquetEncoding.Rle:
                WriteRuns(column.Booleans(start, end), output);
                break;
            default:
                throw new NotSupportedException($"Values cannot be written as {encoding}.");
        }
    }

    /// <summary>Definition levels of a nullable column: one bit a row.</summary>
    public void WriteLevels(ReadOnlySpan<bool> present, int rows, ByteBuffer output)
    {
        if (present.IsEmpty)
        {
            if (rows > 0)
                output.WriteVarint((uint)rows << 1);
            if (rows > 0)
                output.WriteByte(1);
            return;
        }

        HybridEncoder.Write(Flags(present), 1, output);
    }

    /// <summary>Gives the buffers back.</summary>
    public void Release()
    {
        PooledArray.Release(ref _lengths);
        PooledArray.Release(ref _flags);
    }

    public static void WritePlain(ParquetColumnWriter column, int start, int end, ByteBuffer output)
    {
        switch (column.Column.Physical)
        {
            case PhysicalType.Boolean:
                WriteBits(column.Booleans(start, end), output);
                break;
            case PhysicalType.Int32:
                var room = output.GetSpan(4 * (end - start));
                foreach (var value in column.Numbers(start, end))
                {
                    BinaryPrimitives.WriteInt32LittleEndian(room, (int)value);
                    room = room[4..];
                }

                output.Advance(4 * (end - start));
                break;
            case PhysicalType.ByteArray:
                for (var i = start; i < end; i++)
                {
                    var bytes = column.BytesOf(i);
                    output.WriteInt32(bytes.Length);
                    output.Write(bytes);
                }

                break;
            case PhysicalType.FixedLenByteArray:
                output.Write(column.BytesOf(start, end));
                break;
            default:
                output.Write(MemoryMarshal.AsBytes(column.Numbers(start, end)));
                break;
        }
    }

    private static void WriteBits(ReadOnlySpan<bool> values, ByteBuffer output)
    {
        for (; !values.IsEmpty; values = values[Math.Min(8, values.Length)..])
        {
            var bits = 0;
            for (var i = 0; i < Math.Min(8, values.Length); i++)
                bits |= values[i] ? 1 << i : 0;
            output.WriteByte((byte)bits);
        }
    }

    private void WriteRuns(ReadOnlySpan<bool> values, ByteBuffer output)
    {
        var at = output.Length;
        output.WriteInt32(0);
        HybridEncoder.Write(Flags(values), 1, output);
        BinaryPrimitives.WriteInt32LittleEndian(output.Written[at..], output.Length - at - 4);
    }

    private static void WriteSplit(ParquetColumnWriter column, int start, int end, ByteBuffer output)
    {
        var (count, width) = (end - start, column.Column.Physical == PhysicalType.Int32 ? 4 : 8);
        var values = column.Numbers(start, end);
        var room = output.GetSpan(count * width);
        for (var b = 0; b < width; b++)
        {
            var stream = room.Slice(b * count, count);
            for (var i = 0; i < stream.Length; i++)
                stream[i] = (byte)(values[i] >> (8 * b));
        }

        output.Advance(count * width);
    }

    /// <summary>Each value as the length it shares with the one before it, and the rest.</summary>
    private void WriteFrontCoded(ParquetColumnWriter column, int start, int end, DeltaShape shape, ByteBuffer output)
    {
        var prefixes = new long[end - start];
        var suffixes = new long[end - start];
        for (var i = start; i < end; i++)
        {
            var shared = i == start ? 0 : column.BytesOf(i).CommonPrefixLength(column.BytesOf(i - 1));
            prefixes[i - start] = shared;
            suffixes[i - start] = column.LengthOf(i) - shared;
        }

        DeltaBinaryEncoder.Write(prefixes, is32: true, shape, output);
        DeltaBinaryEncoder.Write(suffixes, is32: true, shape, output);
        for (var i = start; i < end; i++)
            output.Write(column.BytesOf(i)[(int)prefixes[i - start]..]);
    }

    private Span<long> Lengths(ParquetColumnWriter column, int start, int end)
    {
        PooledArray.Reserve(ref _lengths, 0, end - start);
        for (var i = start; i < end; i++)
            _lengths[i - start] = column.LengthOf(i);

        return _lengths.AsSpan(0, end - start);
    }

    private Span<int> Flags(ReadOnlySpan<bool> values)
    {
        PooledArray.Reserve(ref _flags, 0, values.Length);
        for (var i = 0; i < values.Length; i++)
            _flags[i] = values[i] ? 1 : 0;

        return _flags.AsSpan(0, values.Length);
    }
}
