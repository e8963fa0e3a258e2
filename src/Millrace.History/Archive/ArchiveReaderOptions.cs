namespace Millrace.History.Archive;

/// <summary>What a replay of the history may take.</summary>
public sealed record ArchiveReaderOptions
{
    /// <summary>Bytes of readings that are sorted in memory; more go through temporary files.</summary>
    public int SortBytesMax { get; init; } = 96 << 20;

    /// <summary>Threads that read files side by side.</summary>
    public int Threads { get; init; } = Math.Clamp(Environment.ProcessorCount, 1, 4);

    /// <summary>About so many readings are taken up at once: with the 430 bytes of a meter's JSON, 2 GB of temporary files.</summary>
    public long RoundRows { get; init; } = 4_000_000;

    /// <summary>Bytes of footers and page indexes that are kept, so that opening a file again reads nothing of them.</summary>
    public long FooterBytesMax { get; init; } = 32 << 20;

    /// <summary>Where temporary files go.</summary>
    public string TemporaryFolder { get; init; } = Path.GetTempPath();
}
