using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>How a file of the history is written: quickly, to be merged soon, or to stay.</summary>
internal enum FileEffort
{
    First,
    Merged,
}

/// <summary>Writes one file of the history: the fixed columns, one for each field that occurs, how the time was said, and the rest. Hot.</summary>
internal sealed class HistoryFileWriter : IDisposable
{
    public const int Device = 0;
    public const int Time = 1;
    public const int ReceivedAt = 2;
    public const int Partition = 3;
    public const int Sequence = 4;
    public const int FixedColumns = 5;
    public const string DeviceColumn = "device";
    public const string TimeColumn = "time";
    public const string ReceivedAtColumn = "received_at";
    public const string PartitionColumn = "partition";
    public const string SequenceColumn = "sequence";
    public const string RestColumn = "rest";

    /// <summary>The footer key that says the columns are these, and its value.</summary>
    public const string SchemaKey = "millrace.schema";
    public const string Schema = "history 1";

    private const int CommitRows = 8192;

    private readonly FileStream _file;
    private readonly ParquetWriter _writer;
    private readonly ParquetColumnWriter[] _columns;
    private readonly Dictionary<string, int> _places = new(StringComparer.Ordinal);
    private readonly int[] _filled;
    private readonly string _folder;
    private readonly long _timeUnit;
    private int _row;
    private long _rows;
    private (long Min, long Max) _times = (long.MaxValue, long.MinValue);
    private (long Min, long Max) _arrivals = (long.MaxValue, long.MinValue);

    /// <param name="path">Where it is written.</param>
    /// <param name="folder">Tenant, day and hour, for the footer.</param>
    /// <param name="fields">Names and types of the fields' columns.</param>
    /// <param name="isMillis">All times are whole milliseconds: the microseconds would be most of a file's bytes.</param>
    /// <param name="sorted">The rows come by device and time.</param>
    public HistoryFileWriter(
        string path, string folder, IEnumerable<(string Name, FieldType Type)> fields, bool isMillis, FileEffort effort, int gzipLevel, bool sorted = true)
    {
        List<ParquetColumn> columns =
        [
            ParquetColumn.String(DeviceColumn, nullable: false),
            isMillis ? ParquetColumn.TimestampMillis(TimeColumn, nullable: false) : ParquetColumn.TimestampMicros(TimeColumn, nullable: false),
            ParquetColumn.TimestampMicros(ReceivedAtColumn, nullable: false),
            ParquetColumn.Int32(PartitionColumn, nullable: false),
            ParquetColumn.Int64(SequenceColumn, nullable: false),
            .. fields.OrderBy(field => field.Name, StringComparer.Ordinal).Select(field => field.Type.Column(field.Name)),
            ParquetColumn.String(TimeForm.ColumnName),
            ParquetColumn.Json(RestColumn),
        ];
        for (var i = 0; i < columns.Count; i++)
            _places.Add(columns[i].Name, i);
        _filled = new int[columns.Count];
        _folder = folder;
        _timeUnit = UnitOf(columns[Time]);
        _file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, 256 << 10);
        _writer = new ParquetWriter(_file, columns, new ParquetWriterOptions
        {
            GzipLevel = gzipLevel,
            SortedBy = sorted ? [DeviceColumn, TimeColumn] : [],
            BloomFilters = effort == FileEffort.Merged ? [DeviceColumn] : [],
            // Many first files are read side by side when they are merged: small pages bound what that holds.
            PageRows = 4096,
            EncodingTrials = effort == FileEffort.Merged,
        });
        _columns = [.. columns.Select((_, i) => _writer[i])];
    }

    /// <summary>Whether a column is there in every file and no field of a payload.</summary>
    public static bool IsFixed(string column) => column is DeviceColumn or TimeColumn or ReceivedAtColumn or PartitionColumn or SequenceColumn;

    /// <summary>Microseconds of a time column's unit.</summary>
    public static long UnitOf(ParquetColumn time) => time.Kind == ParquetKind.TimestampMillis ? 1000 : 1;

    /// <summary>The rows with from ≤ time &lt; to (µs), and perhaps some beside them, in the unit of the file.</summary>
    public static ParquetFilter TimeFilter(ParquetReader file, long from, long to)
    {
        var unit = UnitOf(file.Columns[Time]);
        // A bound that the division moves towards zero must exclude nothing that is wanted.
        return unit == 1
            ? ParquetFilter.Between(TimeColumn, from, to - 1)
            : ParquetFilter.Between(TimeColumn, (from / unit) - 1, ((to - 1) / unit) + 1);
    }

    /// <summary>The place of a column, to be used with the row's values.</summary>
    public int PlaceOf(string column) => _places[column];

    public void Begin(ReadOnlySpan<byte> device, long time, long receivedAt, int partition, long sequence)
    {
        _columns[Device].Add(device);
        _columns[Time].Add(time / _timeUnit);
        _columns[ReceivedAt].Add(receivedAt);
        _columns[Partition].Add(partition);
        _columns[Sequence].Add(sequence);
        _times = (Math.Min(_times.Min, time), Math.Max(_times.Max, time));
        _arrivals = (Math.Min(_arrivals.Min, receivedAt), Math.Max(_arrivals.Max, receivedAt));
    }

    /// <param name="places">For each column of the cell's tenant its place here.</param>
    public void Add(in PayloadCell cell, PayloadCells store, ReadOnlySpan<int> places)
    {
        if (cell.Column == PayloadSplitter.TimeAs)
        {
            Column(_columns.Length - 2).Add(TimeForm.Codes[cell.Bits]);
            return;
        }

        var column = Column(places[cell.Column]);
        switch (column.Column.Kind)
        {
            case ParquetKind.Double:
                column.Add(cell.Double);
                break;
            case ParquetKind.Boolean:
                column.Add(cell.Bits != 0);
                break;
            case ParquetKind.String:
                column.Add(store.Text(cell.Bits, cell.TextLength));
                break;
            default:
                column.Add(cell.Bits);
                break;
        }
    }

    /// <summary>Copies one value of a row that another file holds.</summary>
    public void Copy(int place, ParquetVector from, int row)
    {
        var column = Column(place);
        switch (from.Column.Kind)
        {
            case ParquetKind.Double:
                column.Add(from.Doubles[row]);
                break;
            case ParquetKind.Boolean:
                column.Add(from.Booleans[row]);
                break;
            case ParquetKind.String or ParquetKind.Json:
                column.Add(from.Bytes(row));
                break;
            default:
                column.Add(from.Int64s[row]);
                break;
        }
    }

    public void AddRest(ReadOnlySpan<byte> json)
    {
        if (!json.IsEmpty)
            Column(_columns.Length - 1).Add(json);
    }

    public void End()
    {
        _rows++;
        if (++_row == CommitRows)
            Commit();
    }

    /// <summary>Writes the footer. Staging makes it durable.</summary>
    /// <param name="hour">The folder of the hour below the day's.</param>
    public ArchivedFile Complete(string hour, int generation, long from, long to)
    {
        Commit();
        _writer.Metadata[SchemaKey] = Schema;
        _writer.Metadata["millrace.rows"] = _rows.ToString(System.Globalization.CultureInfo.InvariantCulture);
        _writer.Metadata["millrace.partition"] = _folder;
        _writer.Metadata["millrace.source"] = $"{from}-{to}";
        _writer.Complete();
        return new ArchivedFile(
            ArchivedFile.NameOf(hour, generation, from, to), _rows, _file.Length, from, to, generation,
            _times.Min, _times.Max, _arrivals.Min, _arrivals.Max);
    }

    public void Dispose() => _file.Dispose();

    /// <summary>The column, with nulls for the rows since its last value.</summary>
    private ParquetColumnWriter Column(int place)
    {
        var column = _columns[place];
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
                _columns[place].AddNulls(_row - _filled[place]);
            _filled[place] = 0;
        }

        _writer.CommitRows();
        _row = 0;
    }
}
