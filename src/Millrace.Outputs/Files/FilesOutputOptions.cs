namespace Millrace.Outputs.Files;

public enum FileFormat
{
    /// <summary>One JSON object per line.</summary>
    JsonLines,

    /// <summary>RFC 4180 with a header line; nested values as JSON text.</summary>
    Csv,

    /// <summary>A table for every file that rolling completes; until then the rows lie in it as JSON lines.</summary>
    Parquet,
}

/// <summary>Where rows are written and when a new file begins.</summary>
public sealed record FilesOutputOptions
{
    /// <summary>Full path of the file, already checked. With rolling it gives folder, beginning and ending of the names.</summary>
    public required string Path { get; init; }

    public FileFormat Format { get; init; } = FileFormat.JsonLines;

    /// <summary>A new file at the latest so long after the first row of the old one; zero: never.</summary>
    public TimeSpan RollAfter { get; init; }

    /// <summary>A new file when the old one has reached this size, counted as JSON lines for Parquet; zero: never.</summary>
    public long RollBytes { get; init; }

    public bool Rolls => RollAfter > TimeSpan.Zero || RollBytes > 0;
}
