using System.Text.Json;
using Millrace.Jobs.Recorded;
using Millrace.Outputs;

namespace Millrace.Jobs.Running;

/// <summary>
/// What a scheduled job has done, in <c>batch.json</c>. Replaced after every period, when the rows of it are on stable storage: a
/// period that a crash cut is run again, over the same readings and reference rows, and gives the same rows under the same numbers.
/// </summary>
/// <param name="DoneTo">Where the last finished period ended, µs; null before the first.</param>
/// <param name="Rows">Rows so far per output, in the query's order: the number of the next one.</param>
/// <param name="BegunTo">End of the period that was begun with <paramref name="References"/>.</param>
/// <param name="References">Per reference input the file that holds the rows in use.</param>
internal sealed record BatchBooks(
    int Version, long? DoneTo, IReadOnlyList<long> Rows, long BegunTo, IReadOnlyDictionary<string, string> References, BatchTotals Totals, long SavedAt)
{
    private const string FileName = "batch.json";

    /// <summary>The books of a version, or null when it has finished no period.</summary>
    public static BatchBooks? Load(string folder, int version)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return null;
        return JsonSerializer.Deserialize<BatchBooks>(File.ReadAllBytes(path)) is { } books && books.Version == version ? books : null;
    }

    public void Save(string folder) => AtomicFile.Write(Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this));
}

/// <summary>Events of the finished periods of a version.</summary>
internal sealed record BatchTotals(long RowsIn, long Bad, long Late, long Early, long OutOfOrder)
{
    public static BatchTotals None { get; } = new(0, 0, 0, 0, 0);

    public BatchTotals Plus(RecordedRun run)
    {
        var counters = run.Counters;
        return new(RowsIn + run.Readings, Bad + counters.Bad, Late + counters.Late, Early + counters.Early, OutOfOrder + counters.OutOfOrder);
    }
}
