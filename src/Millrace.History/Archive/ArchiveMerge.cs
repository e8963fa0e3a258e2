using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>Merges sorted files of one hour into one, holding a batch of rows of each.</summary>
internal static class ArchiveMerge
{

    /// <summary>So many small files cost next to nothing to write again, and an outside reader opens fewer.</summary>
    private const int SmallFiles = 8;

    private const long SmallRows = 50_000;

    private const int FilesMax = 64;

    /// <summary>An hour that nothing came for in so long is put into as few files as may be.</summary>
    private const long QuietMicros = 10 * Micros.PerMinute;

    /// <summary>
    /// The files of a day to merge next: neighbours of one hour and generation where there are enough, or all small neighbours of an hour
    /// that is quiet. Empty when there is nothing to do. Nothing that stays lies between those that are merged, so ranges never overlap.
    /// </summary>
    /// <param name="isWanted">Leaves out files that could not be merged before.</param>
    public static List<ArchivedFile> Choose(IReadOnlyList<ArchivedFile> files, ArchiveOptions options, long now, Func<ArchivedFile, bool> isWanted)
    {
        foreach (var hour in files.GroupBy(file => file.Hour))
        {
            var runs = Neighbours([.. hour.OrderBy(file => file.From)], file => isWanted(file) && file.Rows < options.MergeRowsMax);
            foreach (var same in runs.SelectMany(OfOneGeneration).OrderBy(run => run[0].Generation))
            {
                var chosen = Bounded(same, options);
                if (chosen.Count >= options.MergeFiles || (chosen.Count >= SmallFiles && chosen.Sum(file => file.Rows) <= SmallRows))
                    return chosen;
            }

            if (hour.Max(file => file.ReceivedMax) >= now - QuietMicros)
                continue;
            foreach (var run in runs)
            {
                if (LeftOver(run, options) is { Count: > 0 } rest)
                    return rest;
            }
        }

        return [];
    }

    /// <summary>Runs of files that are all wanted.</summary>
    private static List<List<ArchivedFile>> Neighbours(List<ArchivedFile> inOrder, Func<ArchivedFile, bool> isWanted)
    {
        var runs = new List<List<ArchivedFile>>();
        var before = false;
        foreach (var file in inOrder)
        {
            var isOne = isWanted(file);
            if (isOne && !before)
                runs.Add([]);
            if (isOne)
                runs[^1].Add(file);
            before = isOne;
        }

        return runs;
    }

    private static IEnumerable<List<ArchivedFile>> OfOneGeneration(List<ArchivedFile> run)
    {
        for (int from = 0, to = 0; from < run.Count; from = to)
        {
            while (to < run.Count && run[to].Generation == run[from].Generation)
                to++;
            yield return run[from..to];
        }
    }

    /// <param name="without">A device that is left out.</param>
    /// <exception cref="ParquetFormatException">An input is damaged.</exception>
    /// <exception cref="FileNotFoundException">An input is gone.</exception>
    public static ArchivedFile Merge(
        IHistoryStore store, string day, IReadOnlyList<ArchivedFile> files, int gzipLevel, Func<bool> isAbandoned, byte[]? without = null)
    {
        var (hour, generation) = (files[0].Hour, files.Max(file => file.Generation) + 1);
        var (from, to) = (files.Min(file => file.From), files.Max(file => file.To));
        var output = store.NewFile($"{day}/{ArchivedFile.NameOf(hour, generation, from, to)}");
        var cursors = new List<MergeCursor>();
        try
        {
            foreach (var file in files)
                cursors.Add(new MergeCursor(store, day, file, without));

            var fields = cursors.SelectMany(cursor => cursor.Fields).Distinct();
            using var writer = new HistoryFileWriter(output, $"{day}/{hour}", fields, cursors.TrueForAll(cursor => cursor.IsMillis), FileEffort.Merged, gzipLevel);
            foreach (var cursor in cursors)
                cursor.SetPlaces(writer);
            Copy(cursors, writer, isAbandoned);
            var merged = writer.Complete(hour, generation, from, to);
            return merged.Rows + cursors.Sum(cursor => cursor.Skipped) == files.Sum(file => file.Rows)
                ? merged
                : throw new InvalidDataException($"Merging gave {merged.Rows} rows of {files.Sum(file => file.Rows)} in {day}/{hour}.");
        }
        catch
        {
            // Perhaps half of what was to be erased, and nobody's.
            File.Delete(output);
            throw;
        }
        finally
        {
            cursors.ForEach(cursor => cursor.Dispose());
        }
    }

    /// <summary>Neighbours of a quiet hour that can still be put together; a first file also alone, since it was written in haste.</summary>
    private static List<ArchivedFile> LeftOver(List<ArchivedFile> inOrder, ArchiveOptions options)
    {
        for (var at = 0; at < inOrder.Count;)
        {
            var run = Bounded(inOrder.Skip(at), options);
            if (run.Count > 1 || run[0].Generation == 0)
                return run;
            at += run.Count;
        }

        return [];
    }

    private static List<ArchivedFile> Bounded(IEnumerable<ArchivedFile> files, ArchiveOptions options)
    {
        var (chosen, rows) = (new List<ArchivedFile>(), 0L);
        foreach (var file in files.OrderBy(file => file.From))
        {
            if (chosen.Count == FilesMax || (rows > 0 && rows + file.Rows > options.MergeRowsMax))
                break;
            chosen.Add(file);
            rows += file.Rows;
        }

        return chosen;
    }

    /// <summary>Each step takes the least row; the inputs stand in a heap that the changed one sinks into again.</summary>
    private static void Copy(List<MergeCursor> cursors, HistoryFileWriter writer, Func<bool> isAbandoned)
    {
        var heap = cursors.Where(cursor => cursor.MoveNext()).ToArray();
        var count = heap.Length;
        for (var i = (count / 2) - 1; i >= 0; i--)
            Sink(heap, i, count);

        for (var rows = 0L; count > 0; rows++)
        {
            if (rows % 100_000 == 0 && isAbandoned())
                throw new OperationCanceledException();
            heap[0].CopyTo(writer);
            if (!heap[0].MoveNext())
                heap[0] = heap[--count];
            Sink(heap, 0, count);
        }
    }

    private static void Sink(MergeCursor[] heap, int at, int count)
    {
        while (true)
        {
            var least = (2 * at) + 1;
            if (least >= count)
                return;
            if (least + 1 < count && MergeCursor.Compare(heap[least + 1], heap[least]) < 0)
                least++;
            if (MergeCursor.Compare(heap[at], heap[least]) <= 0)
                return;
            (heap[at], heap[least]) = (heap[least], heap[at]);
            at = least;
        }
    }
}
