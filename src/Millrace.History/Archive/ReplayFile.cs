using System.Buffers;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>What a replay takes out of one file: the columns it needs, row group by row group, so that several threads may share it. Hot.</summary>
internal sealed class ReplayFile(ParquetReader file, ushort tenant, ReplayRange range)
{
    private readonly FieldSelection _selection = FieldSelection.Of(file, range.Fields);
    private readonly List<ParquetFilter> _filters = FiltersOf(range);

    /// <summary>The row groups that statistics leave.</summary>
    public IEnumerable<int> Groups => Enumerable.Range(0, file.RowGroups.Count).Where(group =>
        !(file.RowGroups[group].Columns[HistoryFileWriter.ReceivedAt].Int64Range is var (first, last) && (last < range.From || first >= range.To)));

    /// <summary>Adds the wanted readings of a row group.</summary>
    /// <exception cref="ParquetFormatException">The file is damaged.</exception>
    public void Collect(int group, ReplaySorter sorter, CancellationToken cancel)
    {
        var hasRest = HasAny(group, HistoryFileWriter.RestColumn);
        var hasTimeAs = _selection.HasTimeAs && HasAny(group, TimeForm.ColumnName);
        var inPieces = _selection.InPieces;
        var sequences = file.RowGroups[group].Columns[HistoryFileWriter.Sequence].Int64Range;
        var isBounded = range.Since is not null || !(sequences?.Max < Least(range.Until));
        List<string> columns = [HistoryFileWriter.DeviceColumn, HistoryFileWriter.ReceivedAtColumn, HistoryFileWriter.PartitionColumn];
        if (isBounded || !inPieces)
            columns.Add(HistoryFileWriter.SequenceColumn);
        if (hasTimeAs || !inPieces)
            columns.Add(HistoryFileWriter.TimeColumn);
        columns.AddRange(_selection.Columns(hasRest).Select(column => column.Name).Where(name => HasAny(group, name)));
        if (hasTimeAs)
            columns.Add(TimeForm.ColumnName);
        if (hasRest)
            columns.Add(HistoryFileWriter.RestColumn);

        var scan = file.Scan(new ParquetScanOptions { Columns = columns, Filters = _filters, RowGroups = [group] });
        var json = new RowJson(scan);
        var pieces = inPieces ? new RowPieces(scan, _selection) : null;
        var unit = HistoryFileWriter.UnitOf(file.Columns[HistoryFileWriter.Time]);
        var devices = scan[HistoryFileWriter.DeviceColumn];
        while (scan.Read())
        {
            cancel.ThrowIfCancellationRequested();
            var arrivals = scan[HistoryFileWriter.ReceivedAtColumn].Int64s;
            var partitions = scan[HistoryFileWriter.PartitionColumn].Int64s;
            var times = columns.Contains(HistoryFileWriter.TimeColumn) ? scan[HistoryFileWriter.TimeColumn].Int64s : default;
            var places = isBounded || !inPieces ? scan[HistoryFileWriter.SequenceColumn].Int64s : default;
            for (var row = 0; row < scan.RowCount; row++)
            {
                var partition = (int)partitions[row];
                if (arrivals[row] < range.From || arrivals[row] >= range.To)
                    continue;
                if (isBounded && (places[row] < range.Since?[partition] || places[row] >= range.Until?[partition]))
                    continue;

                var isInPieces = pieces is not null && !json.HasRest(row);
                sorter.Begin(tenant, devices.Bytes(row), times.IsEmpty ? 0 : times[row] * unit, arrivals[row], partition, places.IsEmpty ? 0 : places[row], isInPieces);
                if (isInPieces)
                    pieces!.Write(row, sorter);
                else
                    json.Write(row, sorter);
                sorter.End();
            }
        }
    }

    /// <summary>Whether a column has values there, as far as statistics tell.</summary>
    private bool HasAny(int group, string column) =>
        file.IndexOf(column) is >= 0 and var place && file.RowGroups[group].Columns[place].NullCount != file.RowGroups[group].RowCount;

    private static List<ParquetFilter> FiltersOf(ReplayRange range)
    {
        List<ParquetFilter> filters = [ParquetFilter.Between(HistoryFileWriter.ReceivedAtColumn, range.From, range.To - 1)];
        if (range.Since is not null && Least(range.Since) is var least and > 0)
            filters.Add(ParquetFilter.Between(HistoryFileWriter.SequenceColumn, least, null));
        return filters;
    }

    private static long Least(PositionVector? vector)
    {
        var least = long.MaxValue;
        for (var p = 0; p < (vector?.Count ?? 0); p++)
            least = Math.Min(least, vector![p]);
        return least;
    }
}

/// <summary>Writes the wanted members of rows piece by piece, as <see cref="FieldPieces"/> reads them. Hot.</summary>
internal sealed class RowPieces
{
    private static readonly double[] Tens = [.. Enumerable.Range(0, 19).Select(n => Math.Pow(10, n))];

    private readonly (int Path, ParquetVector Vector)[] _fields;
    private readonly (int Path, int Member)[] _times;
    private readonly ParquetVector? _timeAs;
    private readonly ParquetVector? _time;
    private readonly ArrayBufferWriter<byte> _digits = new(48);

    public RowPieces(ParquetScan scan, FieldSelection selection)
    {
        var vectors = scan.Vectors.ToDictionary(vector => vector.Column.Name);
        _fields = [.. selection.Pieces.Index().Where(piece => piece.Item.Column is { } column && vectors.ContainsKey(column))
            .Select(piece => (piece.Index, vectors[piece.Item.Column!]))];
        _timeAs = vectors.GetValueOrDefault(TimeForm.ColumnName);
        _time = vectors.GetValueOrDefault(HistoryFileWriter.TimeColumn);
        _times = _timeAs is null ? [] : [.. selection.Pieces.Index().Where(piece => piece.Item.TimeMember >= 0).Select(piece => (piece.Index, piece.Item.TimeMember))];
    }

    public void Write(int row, ReplaySorter output)
    {
        foreach (var (path, vector) in _fields)
        {
            if (!vector.IsNull(row))
                Write(path, vector, row, output);
        }

        if (_times.Length > 0 && !_timeAs!.IsNull(row))
            WriteTime(row, output);
    }

    private void Write(int path, ParquetVector vector, int row, ReplaySorter output)
    {
        switch (vector.Column.Kind)
        {
            case ParquetKind.Double:
                var value = vector.Doubles[row];
                if (RowJson.IsWhole(value, out var whole) || value == 0)
                    Write(path, PieceKind.Integer, whole, output);
                else
                    Write(path, PieceKind.Double, BitConverter.DoubleToInt64Bits(value), output);
                break;
            case ParquetKind.Boolean:
                Write(path, vector.Booleans[row] ? PieceKind.True : PieceKind.False, 0, output);
                break;
            case ParquetKind.Int64:
                Write(path, PieceKind.Integer, vector.Int64s[row], output);
                break;
            case ParquetKind.Decimal:
                WriteDecimal(path, vector.Int64s[row], vector.Column.Scale, output);
                break;
            default:
                Write(path, PieceKind.Text, vector.Bytes(row), output);
                break;
        }
    }

    private void WriteDecimal(int path, long unscaled, int scale, ReplaySorter output)
    {
        if (Math.Abs(unscaled) <= 1L << 53)
        {
            var value = unscaled / Tens[scale]; // Rounded once, so it is what the digits give.
            if (RowJson.IsWhole(value, out var whole) || value == 0)
                Write(path, PieceKind.Integer, whole, output);
            else
                Write(path, PieceKind.Double, BitConverter.DoubleToInt64Bits(value), output);
            return;
        }

        _digits.ResetWrittenCount();
        RowJson.WriteExact(unscaled, scale, _digits);
        Write(path, PieceKind.Digits, _digits.WrittenSpan, output);
    }

    private void WriteTime(int row, ReplaySorter output)
    {
        Span<byte> value = stackalloc byte[TimeForm.MemberBytesMax];
        var time = _time!.Int64s[row] * HistoryFileWriter.UnitOf(_time.Column);
        foreach (var (path, member) in _times)
        {
            var length = TimeForm.WriteValue(_timeAs!.Bytes(row), member, time, value);
            if (length == 0)
                continue;
            if (value[0] == '"')
                Write(path, PieceKind.Text, value[1..(length - 1)], output);
            else
                Write(path, PieceKind.Integer, long.Parse(value[..length], System.Globalization.CultureInfo.InvariantCulture), output);
        }
    }

    private static void Write(int path, PieceKind kind, long bits, ReplaySorter output) =>
        output.Advance(FieldPieces.Write(output.GetSpan(16), path, kind, bits));

    private static void Write(int path, PieceKind kind, ReadOnlySpan<byte> text, ReplaySorter output) =>
        output.Advance(FieldPieces.Write(output.GetSpan(text.Length + 16), path, kind, text));
}
