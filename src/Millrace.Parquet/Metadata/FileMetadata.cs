namespace Millrace.Parquet.Metadata;

/// <summary>The footer, as the format has it.</summary>
internal sealed class FileMetadata
{
    public int Version { get; set; } = 1;

    public List<SchemaElement> Schema { get; set; } = [];

    public long RowCount { get; set; }

    public List<RowGroupMetadata> RowGroups { get; set; } = [];

    public List<KeyValuePair<string, string?>> KeyValues { get; set; } = [];

    public string? CreatedBy { get; set; }
}

internal sealed class SchemaElement
{
    public PhysicalType? Type { get; set; }

    public int TypeLength { get; set; }

    public int? Repetition { get; set; }

    public string Name { get; set; } = "";

    public int ChildCount { get; set; }

    public int? ConvertedType { get; set; }

    public int Scale { get; set; }

    public int Precision { get; set; }

    public LogicalType Logical { get; set; }
}

internal enum LogicalKind
{
    None = 0,
    String = 1,
    Decimal = 5,
    Date = 6,
    Timestamp = 8,
    Integer = 10,
    Json = 12,
    Uuid = 14,
}

/// <remarks><paramref name="Unit"/>: 1 milliseconds, 2 microseconds, 3 nanoseconds.</remarks>
internal readonly record struct LogicalType(
    LogicalKind Kind, int Precision = 0, int Scale = 0, int Unit = 0, bool IsUtc = false, int BitWidth = 0, bool IsSigned = true);

internal sealed class RowGroupMetadata
{
    public List<ChunkMetadata> Columns { get; set; } = [];

    public long TotalBytes { get; set; }

    public long RowCount { get; set; }

    public List<ParquetSort> Sorting { get; set; } = [];

    public long FileOffset { get; set; }

    public long CompressedBytes { get; set; }

    public int Ordinal { get; set; }
}

internal sealed class ChunkMetadata
{
    public PhysicalType Type { get; set; }

    public List<ParquetEncoding> Encodings { get; set; } = [];

    public List<string> Path { get; set; } = [];

    public ParquetCodec Codec { get; set; }

    public long ValueCount { get; set; }

    public long UncompressedBytes { get; set; }

    public long CompressedBytes { get; set; }

    public long DataPageOffset { get; set; }

    public long? DictionaryPageOffset { get; set; }

    public ColumnStatistics? Statistics { get; set; }

    public List<(PageType Page, ParquetEncoding Encoding, int Count)> EncodingStats { get; set; } = [];

    public long? BloomOffset { get; set; }

    public int BloomLength { get; set; }

    public long? OffsetIndexOffset { get; set; }

    public int OffsetIndexLength { get; set; }

    public long? ColumnIndexOffset { get; set; }

    public int ColumnIndexLength { get; set; }

    public bool IsPresent { get; set; }
}

/// <summary>Least and greatest value of a chunk or page, in the plain encoding, and the number of nulls.</summary>
internal sealed class ColumnStatistics
{
    public long? NullCount { get; set; }

    public long? NanCount { get; set; }

    public byte[]? Min { get; set; }

    public byte[]? Max { get; set; }

    public bool MinExact { get; set; } = true;

    public bool MaxExact { get; set; } = true;
}

internal readonly record struct PageLocation(long Offset, int CompressedBytes, long FirstRow);

internal enum BoundaryOrder
{
    Unordered = 0,
    Ascending = 1,
    Descending = 2,
}

internal sealed class ColumnIndex
{
    public List<bool> NullPages { get; set; } = [];

    public List<byte[]> Mins { get; set; } = [];

    public List<byte[]> Maxs { get; set; } = [];

    public BoundaryOrder Order { get; set; }

    public List<long> NullCounts { get; set; } = [];
}
