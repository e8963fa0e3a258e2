using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>Writes one file of the history: the fixed columns, one for each field that occurs, and the rest.</summary>
internal sealed class HistoryFileWriter : IDisposable
{
    public const int Device = 0;
    public const int Time = 1;
    public const int ReceivedAt = 2;
    public const int Partition = 3;
    public const int Sequence = 4;
    public const int FixedColumns = 5;
    public const string RestColumn = "rest";

    private const int CommitRows = 8192;

    private readonly FileStream _file;
    private readonly ParquetWriter _writer;
    private readonly Dictionary<string, int> _places = new(StringComparer.Ordinal);
    private readonly int[] _filled;
    private readonly int _rest;
    private readonly string _folder;
    private int _row;
    private long _rows;
    private (long Min, long Max) _times = (long.MaxValue, long.MinValue);
    private (long Min, long Max) _arrivals = (long.MaxValue, long.MinValue);

    /// <param name="fields">In the order of their columns.</param>
    public HistoryFileWriter(string path, string folder, IReadOnlyList<(string Name, ParquetKind Kind)> fields, int gzipLevel)
    {
        var columns = new List<ParquetColumn>
        {
            ParquetColumn.String("device", nullable: false),
            ParquetColumn.TimestampMicros("time", nullable: false),
            ParquetColumn.TimestampMicros("received_at", nullable: false),
            ParquetColumn.Int32("partition", nullable: false),
            ParquetColumn.Int64("sequence", nullable: false),
        };
        foreach (var (name, kind) in fields)
        {
            _places.Add(name, columns.Count);
            columns.Add(ColumnSet.Column(name, kind));
        }

        _rest = columns.Count;
        columns.Add(ParquetColumn.Json(RestColumn));
        _filled = new int[columns.Count];
        _folder = folder;
        _file = File.Create(path);
        _writer = new ParquetWriter(_file, columns, new ParquetWriterOptions
        {
            GzipLevel = gzipLevel,
            SortedBy = ["device", "time"],
            BloomFilters = ["device"],
        });
    }

    public void Begin(ReadOnlySpan<byte> device, long time, long receivedAt, int partition, long sequence)
    {
        _writer[Device].Add(device);
        _writer[Time].Add(time);
        _writer[ReceivedAt].Add(receivedAt);
        _writer[Partition].Add(partition);
        _writer[Sequence].Add(sequence);
        _times = (Math.Min(_times.Min, time), Math.Max(_times.Max, time));
        _arrivals = (Math.Min(_arrivals.Min, receivedAt), Math.Max(_arrivals.Max, receivedAt));
    }

    public void Add(in FieldValue value)
    {
        var column = Column(_places[value.Column]);
        if (value.Kind == ParquetKind.Double)
            column.Add(value.Number);
        else if (value.Kind == ParquetKind.Boolean)
            column.Add(value.Flag);
        else
            column.Add(value.Text!);
    }

    /// <summary>Copies one value of a row that another file holds.</summary>
    public void Copy(string name, ParquetVector from, int row)
    {
        var column = Column(name == RestColumn ? _rest : _places[name]);
        switch (from.Column.Kind)
        {
            case ParquetKind.Double:
                column.Add(from.Doubles[row]);
                break;
            case ParquetKind.Boolean:
                column.Add(from.Booleans[row]);
                break;
            default:
                column.Add(from.Bytes(row));
                break;
        }
    }

    public void AddRest(ReadOnlySpan<byte> json)
    {
        if (!json.IsEmpty)
            Column(_rest).Add(json);
    }

    public void End()
    {
        _rows++;
        if (++_row == CommitRows)
            Commit();
    }

    /// <summary>Writes the footer and flushes to the disk.</summary>
    public ArchivedFile Complete(int generation, long from, long to)
    {
        Commit();
        _writer.Metadata["millrace.schema"] = "history 1";
        _writer.Metadata["millrace.rows"] = _rows.ToString();
        _writer.Metadata["millrace.partition"] = _folder;
        _writer.Metadata["millrace.source"] = $"{from}-{to}";
        _writer.Complete();
        _file.Flush(flushToDisk: true);
        return new ArchivedFile(
            ArchivedFile.NameOf(generation, from, to), _rows, _file.Length, from, to, generation,
            _times.Min, _times.Max, _arrivals.Min, _arrivals.Max);
    }

    public void Dispose() => _file.Dispose();

    /// <summary>The column, with nulls for the rows since its last value.</summary>
    private ParquetColumnWriter Column(int place)
    {
        var column = _writer[place];
        if (_row > _filled[place])
            column.AddNulls(_row - _filled[place]);
        _filled[place] = _row + 1;
        return column;
    }

    private void Commit()
    {
        for (var place = FixedColumns; place < _filled.Length; place++)
        {
            if (_row > _filled[place])
                _writer[place].AddNulls(_row - _filled[place]);
            _filled[place] = 0;
        }

        _writer.CommitRows();
        _row = 0;
    }
}
