namespace Millrace.Outputs;

/// <summary>One result row on its way out.</summary>
/// <param name="Timestamp">The row's System.Timestamp(), in µs since the epoch.</param>
/// <param name="Json">One JSON object in UTF-8. Owned by the row; never changed after it was made.</param>
public readonly record struct OutputRow(RowId Id, long Timestamp, ReadOnlyMemory<byte> Json);

/// <summary>Whose rows an output takes: names that stay the same over restarts and edits.</summary>
public sealed record OutputSource(string Job, string Output)
{
    /// <summary>By which a target's rows are known to be this job's.</summary>
    public Lineage Lineage { get; init; } = Lineage.None;

    public override string ToString() => $"{Job}/{Output}";
}
