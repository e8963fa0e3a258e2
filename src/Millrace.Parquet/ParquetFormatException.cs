namespace Millrace.Parquet;

/// <summary>A file is not Parquet, is damaged, or uses something this library does not read. The message says what and where.</summary>
public sealed class ParquetFormatException : IOException
{
    /// <param name="message">What is wrong, with the file's name: for readers of files that are Parquet, and not what they should be.</param>
    public ParquetFormatException(string message)
        : this(message, -1)
    {
    }

    internal ParquetFormatException(string what, long offset, Exception? cause = null)
        : base(offset < 0 ? what : $"{what} (at byte {offset})", cause)
    {
        What = what;
        Offset = offset;
    }

    private ParquetFormatException(string message, ParquetFormatException inner, string? file, string? column)
        : base(message, inner.InnerException)
    {
        What = inner.What;
        Offset = inner.Offset;
        File = file;
        Column = column;
    }

    /// <summary>The byte offset in the file near which the fault was seen; -1 when it has no place.</summary>
    public long Offset { get; }

    /// <summary>The file, as its source names it.</summary>
    public string? File { get; }

    /// <summary>The column being read, when there was one.</summary>
    public string? Column { get; }

    /// <summary>True when the bytes simply ended: more of them may make sense of it.</summary>
    internal bool Incomplete { get; init; }

    private string What { get; }

    /// <summary>Adds the file and column to a fault found by code that knows neither.</summary>
    internal ParquetFormatException In(string? file, string? column)
    {
        if (File is not null)
            return this;

        var place = column is null ? "" : $", column '{column}'";
        var offset = Offset < 0 ? "" : $", byte {Offset}";
        return new ParquetFormatException($"{file ?? "Parquet data"}{place}{offset}: {What}", this, file, column);
    }
}
