using Millrace.History.Archive;
using Millrace.Parquet;

namespace Millrace.History.Queries;

/// <summary>
/// Walks over the numbers of one file of the history, column by column, without putting payloads together. What a column could not hold is
/// found in the rest, so the numbers are those of the payloads. Hot.
/// </summary>
internal sealed class NumberScan
{
    private readonly ParquetScan _scan;
    private readonly NumericFields _fields;
    private readonly List<(int Vector, int Field, double Divisor)> _numbers = [];
    private readonly int _rest = -1;
    private readonly long _timeUnit;

    /// <param name="fields">Numbers the fields; columns that find no room are passed over.</param>
    /// <param name="wanted">Null: all.</param>
    public NumberScan(ParquetReader file, NumericFields fields, IReadOnlyCollection<string>? wanted, IReadOnlyList<ParquetFilter> filters)
    {
        _fields = fields;
        List<string> columns = ["device", "time", "received_at", "partition", "sequence"];
        foreach (var column in file.Columns)
        {
            if (column.Name == HistoryFileWriter.RestColumn)
            {
                _rest = columns.Count;
                columns.Add(column.Name);
            }
            else if (IsNumber(column) && !columns.Contains(column.Name) && !NumericFields.IsTime(column.Name) && wanted?.Contains(column.Name) != false
                && fields.NumberOf(column.Name) is var number and >= 0)
            {
                _numbers.Add((columns.Count, number, Math.Pow(10, column.Scale)));
                columns.Add(column.Name);
            }
        }

        _timeUnit = HistoryFileWriter.UnitOf(file.Columns[HistoryFileWriter.Time]);
        _scan = file.Scan(new ParquetScanOptions { Columns = columns, Filters = filters });
    }

    public int RowCount => _scan.RowCount;

    public bool Read() => _scan.Read();

    public ReadOnlySpan<byte> Device(int row) => _scan[0].Bytes(row);

    public long Time(int row) => _scan[1].Int64s[row] * _timeUnit;

    public long ReceivedAt(int row) => _scan[2].Int64s[row];

    public int Partition(int row) => (int)_scan[3].Int64s[row];

    public long Sequence(int row) => _scan[4].Int64s[row];

    /// <summary>Adds the row's numbers to the list.</summary>
    public void Numbers(int row, List<(int Field, double Value)> into)
    {
        foreach (var (place, field, divisor) in _numbers)
        {
            var vector = _scan[place];
            if (vector.IsNull(row))
                continue;
            var value = vector.Column.Kind == ParquetKind.Double ? vector.Doubles[row] : vector.Int64s[row] / divisor;
            if (Rollups.ExactSum.Accepts(value))
                into.Add((field, value));
        }

        if (_rest < 0 || _scan[_rest].IsNull(row))
            return;
        _fields.Read(_scan[_rest].Bytes(row));
        into.AddRange(_fields.Values);
    }

    private static bool IsNumber(ParquetColumn column) =>
        column.Kind is ParquetKind.Double or ParquetKind.Int64 || (column.Kind == ParquetKind.Decimal && !column.IsWideDecimal);
}
