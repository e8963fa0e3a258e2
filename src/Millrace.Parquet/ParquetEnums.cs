namespace Millrace.Parquet;

/// <summary>What a column's values mean. The comment names the form in memory: the writer's and the reader's spans.</summary>
public enum ParquetKind
{
    /// <summary>bool.</summary>
    Boolean,

    /// <summary>Signed 32-bit, held as <see cref="long"/>.</summary>
    Int32,

    /// <summary>Signed 64-bit, held as <see cref="long"/>.</summary>
    Int64,

    /// <summary>double.</summary>
    Double,

    /// <summary>UTF-8 bytes.</summary>
    String,

    /// <summary>Milliseconds since 1970 UTC, held as <see cref="long"/>.</summary>
    TimestampMillis,

    /// <summary>Microseconds since 1970 UTC, held as <see cref="long"/>.</summary>
    TimestampMicros,

    /// <summary>Unscaled value: <see cref="long"/> up to precision 18, <see cref="Int128"/> above.</summary>
    Decimal,

    /// <summary>JSON text in UTF-8 bytes.</summary>
    Json,

    /// <summary>Bytes.</summary>
    Bytes,

    /// <summary>Days since 1970, held as <see cref="long"/>.</summary>
    Date,

    /// <summary>Single precision, held as <see cref="double"/>. Read only.</summary>
    Float,

    /// <summary>Bytes of one length. Read only.</summary>
    FixedBytes,

    /// <summary>Nanoseconds since 1970, held as <see cref="long"/>. Read only.</summary>
    TimestampNanos,

    /// <summary>Unsigned 8 to 32 bits, held as <see cref="long"/>. Read only.</summary>
    UInt32,

    /// <summary>Unsigned 64 bits, its bits held as <see cref="long"/>. Read only.</summary>
    UInt64,
}

/// <summary>How values are laid out in a page. The numbers are the format's own.</summary>
public enum ParquetEncoding
{
    Plain = 0,
    PlainDictionary = 2,
    Rle = 3,
    BitPacked = 4,
    DeltaBinaryPacked = 5,
    DeltaLengthByteArray = 6,
    DeltaByteArray = 7,
    RleDictionary = 8,
    ByteStreamSplit = 9,
}

/// <summary>How pages are compressed. The numbers are the format's own.</summary>
public enum ParquetCodec
{
    Uncompressed = 0,
    Snappy = 1,
    Gzip = 2,

    /// <summary>Not supported.</summary>
    Lzo = 3,
    Brotli = 4,

    /// <summary>The old framing of Hadoop. Not supported.</summary>
    Lz4 = 5,

    /// <summary>Not supported: .NET 10 has no Zstandard.</summary>
    Zstd = 6,

    /// <summary>Read only.</summary>
    Lz4Raw = 7,
}

internal enum PhysicalType
{
    Boolean = 0,
    Int32 = 1,
    Int64 = 2,
    Int96 = 3,
    Float = 4,
    Double = 5,
    ByteArray = 6,
    FixedLenByteArray = 7,
}

internal enum PageType
{
    Data = 0,
    Index = 1,
    Dictionary = 2,
    DataV2 = 3,
}
