using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>How the history is written.</summary>
public sealed record ArchiveOptions
{
    /// <summary>Readings that are held in memory at most before they are written (1,000 to 10 million).</summary>
    public int BufferRows { get; init; } = 200_000;

    /// <summary>Bytes of ids and values that are held in memory at most.</summary>
    public int BufferBytes { get; init; } = 48 << 20;

    /// <summary>As many files of one hour and generation are merged into one (2 to 64).</summary>
    public int MergeFiles { get; init; } = 32;

    /// <summary>Files are not merged beyond this many rows: at the highest rates each reading is then written twice in all.</summary>
    public long MergeRowsMax { get; init; } = 4_000_000;

    /// <summary>zlib level of first files, which are merged soon.</summary>
    public int FirstGzipLevel { get; init; } = 1;

    /// <summary>zlib level of merged files.</summary>
    public int MergedGzipLevel { get; init; } = 6;

    /// <summary>Merged files of at most so many rows take level 9: where few readings come the time does not matter, and files stay.</summary>
    public long BestGzipRows { get; init; } = 500_000;

    /// <summary>Age at which a tenant's readings leave the history, by their hour; null for never.</summary>
    public Func<ushort, TimeSpan?>? Retention { get; init; }

    /// <summary>Age at which readings leave the log: until then it holds what was erased from the history.</summary>
    public TimeSpan LogRetention { get; init; } = TimeSpan.FromDays(7);

    /// <summary>A reading whose time lies further before its arrival than this is kept on the day of its arrival, and no trend counts it.</summary>
    public const int SkewDaysDefault = 400;

    /// <inheritdoc cref="SkewDaysDefault"/>
    public int SkewDaysMax { get; init; } = SkewDaysDefault;

    /// <summary>Whether a reading's clock is broken: years behind its arrival.</summary>
    internal static bool IsSkewed(long time, long receivedAt, int daysMax) => time < receivedAt - daysMax * 86_400L * Micros.PerSecond;

    /// <summary>Gives the type that is declared for a tenant's field (an integer or a decimal), by the name of its column.</summary>
    public Func<ushort, string, FieldType?>? Declared { get; init; }
}
