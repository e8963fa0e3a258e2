using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>Merges sorted files of one day into one, holding a batch of rows of each.</summary>
internal static class ArchiveMerge
{
    /// <summary>Rows of each input held at once; with thirty-two inputs of twenty columns some tens of megabytes.</summary>
    private const int BatchRows = 2048;

    /// <summary>The files to merge next in a day: neighbours of one generation, the youngest generation first; empty when there is nothing to do.</summary>
    public static List<ArchivedFile> Choose(IReadOnlyList<ArchivedFile> files, ArchiveOptions options)
    {
        foreach (var generation in files.GroupBy(file => file.Generation).OrderBy(group => group.Key))
        {
            var chosen = new List<ArchivedFile>();
            foreach (var file in generation.OrderBy(file => file.From))
            {
                if (chosen.Count == 64 || chosen.Sum(c => c.Rows) + file.Rows > options.MergeRowsMax)
                    break;
                chosen.Add(file);
            }

            if (chosen.Count >= options.MergeFiles)
                return chosen;
        }

        return [];
    }

    /// <exception cref="ParquetFormatException">An input is damaged.</exception>
    /// <exception cref="FileNotFoundException">An input is gone.</exception>
    public static ArchivedFile Merge(IReadOnlyList<string> inputs, IReadOnlyList<ArchivedFile> files, string output, string folder)
    {
        var cursors = new List<Cursor>();
        try
        {
            foreach (var input in inputs)
                cursors.Add(new Cursor(input));

            var fields = cursors.SelectMany(cursor => cursor.Fields).Distinct().OrderBy(field => field.Name, StringComparer.Ordinal).ToList();
            using var writer = new HistoryFileWriter(output, folder, fields, gzipLevel: 9);
            Copy(cursors, writer);
            var merged = writer.Complete(files.Max(file => file.Generation) + 1, files.Min(file => file.From), files.Max(file => file.To));
            return merged.Rows == files.Sum(file => file.Rows)
                ? merged
                : throw new InvalidDataException($"Merging gave {merged.Rows} rows of {files.Sum(file => file.Rows)} in {folder}.");
        }
        finally
        {
            cursors.ForEach(cursor => cursor.Dispose());
        }
    }

    private static void Copy(List<Cursor> cursors, HistoryFileWriter writer)
    {
        var queue = new PriorityQueue<Cursor, Cursor>(Comparer<Cursor>.Create(Cursor.Compare));
        foreach (var cursor in cursors)
        {
            if (cursor.MoveNext())
                queue.Enqueue(cursor, cursor);
        }

        while (queue.TryDequeue(out var cursor, out _))
        {
            cursor.CopyTo(writer);
            if (cursor.MoveNext())
                queue.Enqueue(cursor, cursor);
        }
    }

    private sealed class Cursor : IDisposable
    {
        private readonly ParquetReader _reader;
        private readonly ParquetScan _scan;
        private readonly ParquetVector[] _extra;
        private int _row = -1;

        public Cursor(string path)
        {
            _reader = ParquetReader.Open(path);
            _scan = _reader.Scan(new ParquetScanOptions { BatchRows = BatchRows });
            _extra = [.. Enumerable.Range(HistoryFileWriter.FixedColumns, _reader.Columns.Count - HistoryFileWriter.FixedColumns)
                .Select(i => _scan[i])];
        }

        public IEnumerable<(string Name, ParquetKind Kind)> Fields => _extra
            .Where(vector => vector.Column.Name != HistoryFileWriter.RestColumn)
            .Select(vector => (vector.Column.Name, vector.Column.Kind));

        public bool MoveNext()
        {
            if (++_row < _scan.RowCount)
                return true;

            _row = 0;
            return _scan.Read();
        }

        public void CopyTo(HistoryFileWriter writer)
        {
            writer.Begin(
                _scan[HistoryFileWriter.Device].Bytes(_row), Number(HistoryFileWriter.Time), Number(HistoryFileWriter.ReceivedAt),
                (int)Number(HistoryFileWriter.Partition), Number(HistoryFileWriter.Sequence));
            foreach (var vector in _extra)
            {
                if (!vector.IsNull(_row))
                    writer.Copy(vector.Column.Name, vector, _row);
            }

            writer.End();
        }

        public static int Compare(Cursor a, Cursor b)
        {
            var order = a._scan[HistoryFileWriter.Device].Bytes(a._row).SequenceCompareTo(b._scan[HistoryFileWriter.Device].Bytes(b._row));
            if (order == 0)
                order = a.Number(HistoryFileWriter.Time).CompareTo(b.Number(HistoryFileWriter.Time));
            if (order == 0)
                order = a.Number(HistoryFileWriter.Partition).CompareTo(b.Number(HistoryFileWriter.Partition));
            return order != 0 ? order : a.Number(HistoryFileWriter.Sequence).CompareTo(b.Number(HistoryFileWriter.Sequence));
        }

        public void Dispose() => _reader.Dispose();

        private long Number(int column) => _scan[column].Int64s[_row];
    }
}
