using System.Buffers.Binary;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>Walks over the rows of one file that is being merged, in its order. Hot.</summary>
internal sealed class MergeCursor : IDisposable
{
    private const int BatchRows = 2048;

    private readonly ParquetReader _reader;
    private readonly ParquetScan _scan;
    private readonly ParquetVector[] _extra;
    private readonly int[] _places;
    private readonly byte[]? _without;
    private readonly long _timeUnit;
    private int _row = -1;
    private ulong _key;
    private long _time;

    /// <param name="without">A device whose rows are passed over.</param>
    public MergeCursor(IHistoryStore store, string day, ArchivedFile file, byte[]? without)
    {
        _without = without;
        _reader = HistoryFile.Open(store, $"{day}/{file.Name}");
        _timeUnit = HistoryFileWriter.UnitOf(_reader.Columns[HistoryFileWriter.Time]);
        _scan = _reader.Scan(new ParquetScanOptions { BatchRows = BatchRows });
        _extra = [.. Enumerable.Range(HistoryFileWriter.FixedColumns, _reader.Columns.Count - HistoryFileWriter.FixedColumns).Select(i => _scan[i])];
        _places = new int[_extra.Length];
    }

    public IEnumerable<(string Name, FieldType Type)> Fields => _extra
        .Where(vector => vector.Column.Name is not (HistoryFileWriter.RestColumn or TimeForm.ColumnName))
        .Select(vector => (vector.Column.Name, FieldType.Of(vector.Column)));

    /// <summary>The device of the row it stands on.</summary>
    public ReadOnlySpan<byte> Device => _scan[HistoryFileWriter.Device].Bytes(_row);

    /// <summary>Whether its times are whole milliseconds.</summary>
    public bool IsMillis => _timeUnit == 1000;

    /// <summary>Rows passed over.</summary>
    public long Skipped { get; private set; }

    public void SetPlaces(HistoryFileWriter writer)
    {
        for (var i = 0; i < _extra.Length; i++)
            _places[i] = writer.PlaceOf(_extra[i].Column.Name);
    }

    public bool MoveNext()
    {
        do
        {
            if (++_row < _scan.RowCount)
                continue;
            _row = 0;
            if (!_scan.Read())
                return false;
        }
        while (IsSkipped());

        // Most neighbours are told apart by their first bytes, which need no look into the batch.
        var device = Device;
        Span<byte> key = stackalloc byte[8];
        key.Clear();
        device[..Math.Min(8, device.Length)].CopyTo(key);
        _key = BinaryPrimitives.ReadUInt64BigEndian(key);
        _time = _scan[HistoryFileWriter.Time].Int64s[_row] * _timeUnit;
        return true;
    }

    public void CopyTo(HistoryFileWriter writer)
    {
        writer.Begin(Device, _time, Number(HistoryFileWriter.ReceivedAt), (int)Number(HistoryFileWriter.Partition), Number(HistoryFileWriter.Sequence));
        for (var i = 0; i < _extra.Length; i++)
        {
            if (!_extra[i].IsNull(_row))
                writer.Copy(_places[i], _extra[i], _row);
        }

        writer.End();
    }

    public static int Compare(MergeCursor a, MergeCursor b)
    {
        var order = a._key.CompareTo(b._key);
        if (order == 0)
            order = a.Device.SequenceCompareTo(b.Device);
        if (order == 0)
            order = a._time.CompareTo(b._time);
        if (order == 0)
            order = a.Number(HistoryFileWriter.Partition).CompareTo(b.Number(HistoryFileWriter.Partition));
        return order != 0 ? order : a.Number(HistoryFileWriter.Sequence).CompareTo(b.Number(HistoryFileWriter.Sequence));
    }

    public void Dispose() => _reader.Dispose();

    private bool IsSkipped()
    {
        if (_without is null || !Device.SequenceEqual(_without))
            return false;
        Skipped++;
        return true;
    }

    private long Number(int column) => _scan[column].Int64s[_row];
}
