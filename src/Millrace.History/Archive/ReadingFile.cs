using System.Buffers;
using System.Text;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// Readings as one Parquet file with the columns of the history (docs/formats/history.md), in the order they are given: for taking
/// them elsewhere. Held in memory until it is written, so that the columns are known; use one for some hundred thousand readings.
/// </summary>
public sealed class ReadingFile
{
    private readonly RowBuffer _rows = new(ArchiveOptions.SkewDaysDefault);
    private ColumnSet _columns = new(_ => null);

    public int Count => _rows.Count;

    public int ByteCount => _rows.ByteCount;

    public void Add(in ReadingRecord record, int partition) => _rows.Add(record, partition, _ => _columns);

    /// <summary>Writes what was added, flushed to the disk, and begins anew.</summary>
    public void Write(string path)
    {
        var used = new bool[_columns.Columns.Count];
        for (var row = 0; row < _rows.Count; row++)
        {
            foreach (ref readonly var cell in _rows.Cells.Cells(_rows[row].CellStart, _rows[row].CellEnd))
            {
                if (cell.Column != PayloadSplitter.TimeAs)
                    used[cell.Column] = true;
            }
        }

        using (var writer = new HistoryFileWriter(path, "", _columns.Columns.Where((_, i) => used[i]), isMillis: false, FileEffort.Merged, gzipLevel: 6, sorted: false))
        {
            var places = _columns.Columns.Select((column, i) => used[i] ? writer.PlaceOf(column.Name) : -1).ToArray();
            for (var row = 0; row < _rows.Count; row++)
            {
                ref readonly var reading = ref _rows[row];
                writer.Begin(_rows.Id(row), reading.Time, reading.ReceivedAt, reading.Partition, reading.Sequence);
                foreach (ref readonly var cell in _rows.Cells.Cells(reading.CellStart, reading.CellEnd))
                    writer.Add(cell, _rows.Cells, places);
                writer.AddRest(_rows.Rest(row));
                writer.End();
            }

            writer.Complete("", 0, 0, _rows.Count);
        }

        using (var written = new FileStream(path, FileMode.Open, FileAccess.ReadWrite))
            written.Flush(flushToDisk: true);
        _rows.Reset();
        _columns = new ColumnSet(_ => null);
    }

    /// <summary>Whether the columns of a Parquet file are those of the history.</summary>
    public static bool IsOne(ParquetReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        return HistoryFile.HasColumns(reader);
    }

    /// <summary>The readings of such a file, in its order. The payload's JSON view is lent until the next one.</summary>
    public static IEnumerable<(string Device, long Time, ReadOnlyMemory<byte> Json)> Read(ParquetReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        var scan = reader.Scan(new ParquetScanOptions());
        var view = new ArrayBufferWriter<byte>(512);
        var json = new RowJson(scan);
        var unit = HistoryFileWriter.UnitOf(reader.Columns[HistoryFileWriter.Time]);
        while (scan.Read())
        {
            for (var row = 0; row < scan.RowCount; row++)
            {
                view.ResetWrittenCount();
                json.Write(row, view);
                yield return (Encoding.UTF8.GetString(scan[HistoryFileWriter.Device].Bytes(row)), scan[HistoryFileWriter.Time].Int64s[row] * unit, view.WrittenMemory);
            }
        }
    }
}
