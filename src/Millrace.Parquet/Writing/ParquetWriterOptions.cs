namespace Millrace.Parquet;

/// <summary>How a file is written. The defaults suit telemetry sorted by device and time.</summary>
public sealed record ParquetWriterOptions
{
    /// <summary>GZIP is what every reader knows and what .NET has.</summary>
    public ParquetCodec Codec { get; init; } = ParquetCodec.Gzip;

    /// <summary>zlib level, 1 to 9. The default spends about 0.1 µs a value more than 6 and saves 6 %.</summary>
    public int GzipLevel { get; init; } = 9;

    /// <summary>Brotli quality, 0 to 11.</summary>
    public int BrotliQuality { get; init; } = 5;

    /// <summary>Rows of a row group: what is held in memory while writing. DuckDB's own unit by default.</summary>
    public int RowGroupRows { get; init; } = 122_880;

    /// <summary>A row group also ends when its raw values reach this many bytes.</summary>
    public long RowGroupBytesMax { get; init; } = 64 << 20;

    /// <summary>Rows of a page. All columns are cut at the same rows.</summary>
    public int PageRows { get; init; } = 20_000;

    /// <summary>A page also ends before one column's raw bytes pass this.</summary>
    public int PageBytesMax { get; init; } = 1 << 20;

    /// <summary>Writes pages of the second form, with levels outside the compression. Older readers stumble over it.</summary>
    public bool PagesV2 { get; init; }

    /// <summary>Writes column and offset indexes, by which readers skip pages.</summary>
    public bool PageIndex { get; init; } = true;

    /// <summary>
    /// Lets doubles be written as BYTE_STREAM_SPLIT where it is smaller. Off, because Trino does not read it.
    /// </summary>
    public bool ByteStreamSplit { get; init; }

    /// <summary>Names of the columns that rows are sorted by, ascending. The writer trusts this.</summary>
    public IReadOnlyList<string> SortedBy { get; init; } = [];

    /// <summary>Names of the columns that get a Bloom filter in each row group.</summary>
    public IReadOnlyList<string> BloomFilters { get; init; } = [];

    /// <summary>Encodings chosen by the caller, by column name; the others are chosen by trying.</summary>
    public IReadOnlyDictionary<string, ParquetEncoding> Encodings { get; init; } =
        new Dictionary<string, ParquetEncoding>();

    /// <summary>
    /// Whether encodings are found by trying each on a sample. Without, a column gets a dictionary where it has few values, else its kind's
    /// plain choice: quicker, and a little larger.
    /// </summary>
    public bool EncodingTrials { get; init; } = true;

    /// <summary>Who wrote the file, in the form that readers parse.</summary>
    public string CreatedBy { get; init; } = "millrace version 0.1.0 (build 0)";

    internal void Check(IReadOnlyList<ParquetColumn> columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(RowGroupRows, 1, nameof(RowGroupRows));
        ArgumentOutOfRangeException.ThrowIfLessThan(RowGroupBytesMax, 1, nameof(RowGroupBytesMax));
        ArgumentOutOfRangeException.ThrowIfLessThan(PageRows, 1, nameof(PageRows));
        ArgumentOutOfRangeException.ThrowIfLessThan(PageBytesMax, 1, nameof(PageBytesMax));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(PageBytesMax, 256 << 20, nameof(PageBytesMax));
        ArgumentOutOfRangeException.ThrowIfLessThan(GzipLevel, 1, nameof(GzipLevel));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(GzipLevel, 9, nameof(GzipLevel));
        ArgumentOutOfRangeException.ThrowIfNegative(BrotliQuality, nameof(BrotliQuality));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(BrotliQuality, 11, nameof(BrotliQuality));
        if (Codec is not (ParquetCodec.Uncompressed or ParquetCodec.Snappy or ParquetCodec.Gzip or ParquetCodec.Brotli))
            throw new NotSupportedException($"Pages cannot be written with {Codec}.");

        foreach (var name in SortedBy.Concat(BloomFilters).Concat(Encodings.Keys))
        {
            if (!columns.Any(column => column.Name == name))
                throw new ArgumentException($"There is no column '{name}'.");
        }
    }
}
