namespace Millrace.Parquet;

/// <summary>What a scan reads.</summary>
public sealed record ParquetScanOptions
{
    /// <summary>Names of the columns wanted, in the order of the vectors; null for all. No others are touched.</summary>
    public IReadOnlyList<string>? Columns { get; init; }

    /// <summary>Ranges by which row groups and pages are skipped; a row must lie in all of them.</summary>
    public IReadOnlyList<ParquetFilter> Filters { get; init; } = [];

    /// <summary>The row groups to look at; null for all. With it, several scans share one file.</summary>
    public IReadOnlyList<int>? RowGroups { get; init; }

    /// <summary>The most rows of a batch.</summary>
    public int BatchRows { get; init; } = 16_384;
}
