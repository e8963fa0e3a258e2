namespace Millrace.Parquet;

/// <summary>Bounds on what a reader believes and holds.</summary>
public sealed record ParquetReaderOptions
{
    /// <summary>The greatest footer, and the greatest page index of one chunk, in bytes.</summary>
    public int FooterBytesMax { get; init; } = 64 << 20;

    /// <summary>The greatest page, on disk and unpacked, in bytes.</summary>
    public int PageBytesMax { get; init; } = 256 << 20;

    /// <summary>The most values that one page may claim.</summary>
    public int PageValuesMax { get; init; } = 16 << 20;

    /// <summary>The most bytes of text that one batch of a column may hold.</summary>
    public int BatchBytesMax { get; init; } = 1 << 30;

    /// <summary>Whether pages that carry a checksum are checked against it.</summary>
    public bool VerifyChecksums { get; init; } = true;

    /// <summary>Bytes fetched at once from the source while reading a chunk.</summary>
    public int ReadAheadBytes { get; init; } = 512 << 10;
}
