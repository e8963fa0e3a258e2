using Millrace.Parquet.Metadata;

namespace Millrace.Parquet;

/// <summary>A row group, as the footer describes it.</summary>
public sealed class ParquetRowGroup
{
    private readonly RowGroupMetadata _group;

    internal ParquetRowGroup(
        IReadOnlyList<ParquetColumn> columns, ChunkMetadata[] chunks, RowGroupMetadata group, long firstRow)
    {
        _group = group;
        FirstRow = firstRow;
        Columns = [.. columns.Zip(chunks, (column, chunk) => new ParquetChunk(column, chunk))];
    }

    public long RowCount => _group.RowCount;

    /// <summary>The number of its first row in the file, from 0.</summary>
    public long FirstRow { get; }

    /// <summary>Columns that the writer says the rows are sorted by.</summary>
    public IReadOnlyList<ParquetSort> Sorting => _group.Sorting;

    /// <summary>One chunk for each column of the reader.</summary>
    public IReadOnlyList<ParquetChunk> Columns { get; }
}

/// <summary>One column of a row group, as the footer describes it.</summary>
public sealed class ParquetChunk
{
    internal ParquetChunk(ParquetColumn column, ChunkMetadata chunk)
    {
        Column = column;
        Metadata = chunk;
    }

    public ParquetColumn Column { get; }

    public ParquetCodec Codec => Metadata.Codec;

    public IReadOnlyList<ParquetEncoding> Encodings => Metadata.Encodings;

    public long CompressedBytes => Metadata.CompressedBytes;

    public long UncompressedBytes => Metadata.UncompressedBytes;

    public long? NullCount => Metadata.Statistics?.NullCount;

    public bool HasPageIndex => Metadata.OffsetIndexOffset is not null && Metadata.ColumnIndexOffset is not null;

    public bool HasBloomFilter => Metadata.BloomOffset is not null;

    /// <summary>The least value in the plain encoding, or a shortened text not greater than it; null when unknown.</summary>
    public ReadOnlyMemory<byte>? Min => PlainValue.Fits(Column, Metadata.Statistics?.Min) ? Metadata.Statistics!.Min : null;

    /// <summary>The greatest value in the plain encoding, or a shortened text not less than it; null when unknown.</summary>
    public ReadOnlyMemory<byte>? Max => PlainValue.Fits(Column, Metadata.Statistics?.Max) ? Metadata.Statistics!.Max : null;

    /// <summary>Least and greatest of integers, times, dates and narrow decimals; null when unknown.</summary>
    public (long Min, long Max)? Int64Range => Column.IsInteger && Min is { } min && Max is { } max
        ? (ToInt64(min.Span), ToInt64(max.Span))
        : null;

    internal ChunkMetadata Metadata { get; }

    private static long ToInt64(ReadOnlySpan<byte> plain) => plain.Length == 4
        ? System.Buffers.Binary.BinaryPrimitives.ReadInt32LittleEndian(plain)
        : System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(plain);
}
