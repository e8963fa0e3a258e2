using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;
using Millrace.Parquet.Encodings;

namespace Millrace.Parquet;

/// <summary>
/// Takes the values of one column, row by row or as spans, until the row group is written. Values lie dense here;
/// nulls are kept apart. Hot: adding allocates only while the buffers grow to a row group's size.
/// </summary>
public sealed class ParquetColumnWriter
{
    private long[] _numbers = [];
    private bool[] _booleans = [];
    private int[] _ends = [];
    private bool[] _present = [];
    private readonly ByteBuffer _bytes = new();
    private bool _hasNulls;

    internal ParquetColumnWriter(ParquetColumn column) => Column = column;

    public ParquetColumn Column { get; }

    internal int RowCount { get; private set; }

    internal int ValueCount { get; private set; }

    internal long RawBytes => Column.IsBytes ? _bytes.Length + 4L * ValueCount : Column.Physical == PhysicalType.Boolean
        ? ValueCount
        : 8L * ValueCount;

    public void AddNull() => AddNulls(1);

    public void AddNulls(int count)
    {
        if (!Column.IsNullable)
            throw new InvalidOperationException($"Column '{Column.Name}' takes no nulls.");

        if (!_hasNulls)
        {
            // Only now that there is one do the rows before it need their flags.
            PooledArray.Reserve(ref _present, 0, RowCount + count);
            _present.AsSpan(0, RowCount).Fill(true);
            _hasNulls = true;
        }

        PooledArray.Reserve(ref _present, RowCount, count);
        _present.AsSpan(RowCount, count).Clear();
        RowCount += count;
    }

    /// <summary>Adds an integer, a time in the column's unit, a date in days or an unscaled decimal.</summary>
    public void Add(long value)
    {
        if (Column.IsWideDecimal)
        {
            Add((Int128)value);
            return;
        }

        CheckNumbers(Column.IsInteger);
        CheckRange(value);
        PooledArray.Reserve(ref _numbers, ValueCount, 1);
        _numbers[ValueCount] = value;
        Added(1);
    }

    public void Add(ReadOnlySpan<long> values)
    {
        CheckNumbers(Column.IsInteger);
        if (Column.Physical == PhysicalType.Int32)
        {
            foreach (var value in values)
                CheckRange(value);
        }

        PooledArray.Reserve(ref _numbers, ValueCount, values.Length);
        values.CopyTo(_numbers.AsSpan(ValueCount));
        Added(values.Length);
    }

    public void Add(ReadOnlySpan<int> values)
    {
        CheckNumbers(Column.IsInteger);
        PooledArray.Reserve(ref _numbers, ValueCount, values.Length);
        for (var i = 0; i < values.Length; i++)
            _numbers[ValueCount + i] = values[i];
        Added(values.Length);
    }

    public void Add(double value)
    {
        CheckNumbers(Column.Physical == PhysicalType.Double);
        PooledArray.Reserve(ref _numbers, ValueCount, 1);
        _numbers[ValueCount] = BitConverter.DoubleToInt64Bits(value);
        Added(1);
    }

    public void Add(ReadOnlySpan<double> values)
    {
        CheckNumbers(Column.Physical == PhysicalType.Double);
        PooledArray.Reserve(ref _numbers, ValueCount, values.Length);
        MemoryMarshal.Cast<double, long>(values).CopyTo(_numbers.AsSpan(ValueCount));
        Added(values.Length);
    }

    public void Add(bool value)
    {
        CheckNumbers(Column.Physical == PhysicalType.Boolean);
        PooledArray.Reserve(ref _booleans, ValueCount, 1);
        _booleans[ValueCount] = value;
        Added(1);
    }

    public void Add(ReadOnlySpan<bool> values)
    {
        CheckNumbers(Column.Physical == PhysicalType.Boolean);
        PooledArray.Reserve(ref _booleans, ValueCount, values.Length);
        values.CopyTo(_booleans.AsSpan(ValueCount));
        Added(values.Length);
    }

    /// <summary>Adds text as UTF-8, JSON or bytes. The bytes are copied.</summary>
    public void Add(ReadOnlySpan<byte> value)
    {
        CheckNumbers(Column.Physical == PhysicalType.ByteArray);
        _bytes.Write(value);
        AddEnd();
    }

    public void Add(string value)
    {
        CheckNumbers(Column.Physical == PhysicalType.ByteArray);
        var room = _bytes.GetSpan(Encoding.UTF8.GetMaxByteCount(value.Length));
        _bytes.Advance(Encoding.UTF8.GetBytes(value, room));
        AddEnd();
    }

    /// <summary>Adds the same text to <paramref name="count"/> rows: the device of a sorted run.</summary>
    public void AddRepeated(ReadOnlySpan<byte> value, int count)
    {
        for (var i = 0; i < count; i++)
            Add(value);
    }

    /// <summary>Adds an unscaled decimal of any width.</summary>
    public void Add(Int128 value)
    {
        if (!Column.IsWideDecimal)
        {
            Add(checked((long)value));
            return;
        }

        BinaryPrimitives.WriteInt128BigEndian(_bytes.GetSpan(16), value);
        _bytes.Advance(16);
        AddEnd();
    }

    /// <summary>Adds rows where <paramref name="present"/> tells which have a value; the others' values are not looked at.</summary>
    public void Add(ReadOnlySpan<long> values, ReadOnlySpan<bool> present)
    {
        CheckLengths(values.Length, present.Length);
        for (var i = 0; i < present.Length;)
        {
            var run = RunOf(present, i);
            if (present[i])
                Add(values.Slice(i, run));
            else
                AddNulls(run);
            i += run;
        }
    }

    /// <inheritdoc cref="Add(ReadOnlySpan{long}, ReadOnlySpan{bool})"/>
    public void Add(ReadOnlySpan<double> values, ReadOnlySpan<bool> present)
    {
        CheckLengths(values.Length, present.Length);
        for (var i = 0; i < present.Length;)
        {
            var run = RunOf(present, i);
            if (present[i])
                Add(values.Slice(i, run));
            else
                AddNulls(run);
            i += run;
        }
    }

    internal ReadOnlySpan<bool> Present(int rows) => _hasNulls ? _present.AsSpan(0, rows) : default;

    internal ReadOnlySpan<long> Numbers(int start, int end) => _numbers.AsSpan(start, end - start);

    internal ReadOnlySpan<bool> Booleans(int start, int end) => _booleans.AsSpan(start, end - start);

    internal ReadOnlySpan<byte> BytesOf(int value)
    {
        var start = StartOf(value);
        return _bytes.Written[start.._ends[value]];
    }

    internal int LengthOf(int value) => _ends[value] - StartOf(value);

    internal ReadOnlySpan<byte> BytesOf(int start, int end) =>
        start == end ? default : _bytes.Written[StartOf(start).._ends[end - 1]];

    internal int StartOf(int value) => value == 0 ? 0 : _ends[value - 1];

    internal int CountValues(int rowStart, int rowEnd) =>
        _hasNulls ? _present.AsSpan(rowStart, rowEnd - rowStart).Count(true) : rowEnd - rowStart;

    /// <summary>Forgets the first rows, which are written; what was added beyond them moves to the front.</summary>
    internal void RemoveRows(int rows)
    {
        var values = CountValues(0, rows);
        var keep = ValueCount - values;
        if (Column.IsBytes)
        {
            var cut = StartOf(values);
            var rest = _bytes.Length - cut;
            _bytes.Written[cut..].CopyTo(_bytes.Written);
            _bytes.Truncate(rest);
            for (var i = 0; i < keep; i++)
                _ends[i] = _ends[values + i] - cut;
        }
        else if (Column.Physical == PhysicalType.Boolean)
        {
            _booleans.AsSpan(values, keep).CopyTo(_booleans);
        }
        else
        {
            _numbers.AsSpan(values, keep).CopyTo(_numbers);
        }

        if (_hasNulls)
        {
            _present.AsSpan(rows, RowCount - rows).CopyTo(_present);
            _hasNulls = _present.AsSpan(0, RowCount - rows).Contains(false);
        }

        RowCount -= rows;
        ValueCount = keep;
    }

    /// <summary>Gives the buffers back: nothing is added any more.</summary>
    internal void Release()
    {
        PooledArray.Release(ref _numbers);
        PooledArray.Release(ref _booleans);
        PooledArray.Release(ref _ends);
        PooledArray.Release(ref _present);
        _bytes.Release();
        (RowCount, ValueCount, _hasNulls) = (0, 0, false);
    }

    private static int RunOf(ReadOnlySpan<bool> present, int start)
    {
        var run = present[start..].IndexOf(!present[start]);
        return run < 0 ? present.Length - start : run;
    }

    private void AddEnd()
    {
        PooledArray.Reserve(ref _ends, ValueCount, 1);
        _ends[ValueCount] = _bytes.Length;
        Added(1);
    }

    private void Added(int count)
    {
        if (_hasNulls)
        {
            PooledArray.Reserve(ref _present, RowCount, count);
            _present.AsSpan(RowCount, count).Fill(true);
        }

        ValueCount += count;
        RowCount += count;
    }

    private void CheckNumbers(bool fits)
    {
        if (!fits)
            ThrowWrongKind();
    }

    [DoesNotReturn]
    private void ThrowWrongKind() =>
        throw new InvalidOperationException($"Column '{Column.Name}' is {Column.Kind} and does not take such a value.");

    private void CheckRange(long value)
    {
        if (Column.Physical == PhysicalType.Int32 && value is (< int.MinValue or > int.MaxValue))
            throw new ArgumentOutOfRangeException(nameof(value), value, $"Column '{Column.Name}' holds 32 bits.");
    }

    private static void CheckLengths(int values, int present)
    {
        if (values != present)
            throw new ArgumentException($"{values} values and {present} flags do not belong together.");
    }
}
