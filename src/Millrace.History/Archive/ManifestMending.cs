using System.Globalization;
using System.Text.RegularExpressions;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>What a day's manifest would say, by the names and contents of its files: for one that is missing or damaged.</summary>
internal static partial class ManifestMending
{
    /// <param name="committed">How far the log was taken in: a file that reaches further was never committed. Null when nobody knows.</param>
    public static List<ArchivedFile> FilesOf(IHistoryStore store, string day, PositionVector? committed)
    {
        var files = new List<ArchivedFile>();
        foreach (var name in store.DataFiles(day))
        {
            if (NamePattern().Match(name) is { Success: true } match && (committed is null || Number(match, 3) <= committed.Total))
                files.Add(Describe(store, day, name, (int)Number(match, 1), Number(match, 2), Number(match, 3)));
        }

        // Ranges of one hour do not overlap: of two that do, one was made of the other, and has replaced it or was about to.
        files.RemoveAll(file => files.Exists(other =>
            other.Generation > file.Generation && other.Hour == file.Hour && other.From <= file.From && other.To >= file.To));
        return [.. files.OrderBy(file => file.From).ThenBy(file => file.Name, StringComparer.Ordinal)];
    }

    private static long Number(Match match, int group) => long.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    private static ArchivedFile Describe(IHistoryStore store, string day, string name, int generation, long from, long to)
    {
        long bytes;
        using (var source = store.Open($"{day}/{name}"))
            bytes = source.Length;
        try
        {
            using var reader = HistoryFile.Open(store, $"{day}/{name}");
            var unit = HistoryFileWriter.UnitOf(reader.Columns[HistoryFileWriter.Time]);
            var scan = reader.Scan(new ParquetScanOptions { Columns = ["time", "received_at"] });
            var (times, arrivals) = ((Min: long.MaxValue, Max: long.MinValue), (Min: long.MaxValue, Max: long.MinValue));
            while (scan.Read())
            {
                foreach (var time in scan[0].Int64s[..scan.RowCount])
                    times = (Math.Min(times.Min, time * unit), Math.Max(times.Max, time * unit));
                foreach (var arrival in scan[1].Int64s[..scan.RowCount])
                    arrivals = (Math.Min(arrivals.Min, arrival), Math.Max(arrivals.Max, arrival));
            }

            return new ArchivedFile(name, reader.RowCount, bytes, from, to, generation, times.Min, times.Max, arrivals.Min, arrivals.Max);
        }
        catch (ParquetFormatException)
        {
            // Damaged as well: it stays in the list, so that it is told and nobody deletes it.
            return new ArchivedFile(name, 0, bytes, from, to, generation, 0, 0, 0, 0);
        }
    }

    [GeneratedRegex(@"^hour=\d\d/r(\d{1,9})-(\d{1,18})-(\d{1,18})\.parquet$", RegexOptions.CultureInvariant)]
    private static partial Regex NamePattern();
}
