using System.Text;
using Millrace.Parquet.Metadata;
using Millrace.Parquet.Reading;

namespace Millrace.Parquet;

/// <summary>
/// One column of the batch that a scan stands on, one entry a row; entries of rows without a value are zero or empty. Spans and
/// bytes are the scan's own and change with its next step.
/// </summary>
public sealed class ParquetVector
{
    private byte[] _data = [];
    private int _dataLength;
    private TextDictionary? _dictionary;

    internal ParquetVector(ParquetColumn column) => Column = column;

    public ParquetColumn Column { get; }

    public int Count { get; private set; }

    /// <summary>Whether any row of the batch lacks a value.</summary>
    public bool HasNulls { get; internal set; }

    /// <summary>For each row whether it has a value; empty when all have.</summary>
    public ReadOnlySpan<bool> Present => HasNulls ? PresentBuffer.AsSpan(0, Count) : default;

    /// <summary>Integers, times in the column's unit, dates, decimals of up to 18 digits.</summary>
    public ReadOnlySpan<long> Int64s => Column.IsInteger ? NumberBuffer.AsSpan(0, Count) : throw Wrong("integers");

    public ReadOnlySpan<double> Doubles => Column.Physical is PhysicalType.Double or PhysicalType.Float
        ? DoubleBuffer.AsSpan(0, Count)
        : throw Wrong("doubles");

    public ReadOnlySpan<bool> Booleans => Column.Physical == PhysicalType.Boolean
        ? BooleanBuffer.AsSpan(0, Count)
        : throw Wrong("bools");

    /// <summary>Whether the batch's texts are numbers into a dictionary that holds for the whole row group.</summary>
    public bool IsDictionary => _dictionary is not null;

    /// <summary>Entries of the dictionary; 0 when there is none.</summary>
    public int DictionaryCount => _dictionary?.Count ?? 0;

    /// <summary>Each row's number in the dictionary; empty when there is none.</summary>
    public ReadOnlySpan<int> DictionaryIndexes => _dictionary is null ? default : IndexBuffer.AsSpan(0, Count);

    internal long[] NumberBuffer { get; private set; } = [];

    internal double[] DoubleBuffer { get; private set; } = [];

    internal bool[] BooleanBuffer { get; private set; } = [];

    internal bool[] PresentBuffer { get; private set; } = [];

    internal int[] IndexBuffer { get; private set; } = [];

    /// <summary>Where each row's bytes end, when no dictionary holds them.</summary>
    internal int[] EndBuffer { get; private set; } = [];

    internal TextDictionary? Dictionary => _dictionary;

    internal int DataLength => _dataLength;

    public bool IsNull(int row) => HasNulls && !PresentBuffer[row];

    public ReadOnlySpan<byte> DictionaryBytes(int entry) =>
        _dictionary is { } dictionary ? dictionary[entry] : throw Wrong("a dictionary");

    /// <summary>The bytes of one row's text, JSON or bytes.</summary>
    public ReadOnlySpan<byte> Bytes(int row)
    {
        if ((uint)row >= (uint)Count || !Column.IsBytes)
            throw Column.IsBytes ? new ArgumentOutOfRangeException(nameof(row)) : Wrong("bytes");
        if (_dictionary is { } dictionary)
            return IsNull(row) ? default : dictionary[IndexBuffer[row]];

        var start = row == 0 ? 0 : EndBuffer[row - 1];
        return _data.AsSpan(start, EndBuffer[row] - start);
    }

    /// <summary>One row's text; null when it has none.</summary>
    public string? Text(int row) => IsNull(row) ? null : Encoding.UTF8.GetString(Bytes(row));

    /// <summary>One row's unscaled decimal, of any width.</summary>
    public Int128 Decimal(int row) => Column.IsWideDecimal ? PlainValue.Decimal(Bytes(row)) : Int64s[row];

    internal void Begin(int count)
    {
        Count = count;
        HasNulls = false;
        _dictionary = null;
        _dataLength = 0;
        if (Column.IsNullable && PresentBuffer.Length < count)
            PresentBuffer = new bool[count];

        if (Column.IsInteger && NumberBuffer.Length < count)
            NumberBuffer = new long[count];
        else if (Column.Physical is PhysicalType.Double or PhysicalType.Float && DoubleBuffer.Length < count)
            DoubleBuffer = new double[count];
        else if (Column.Physical == PhysicalType.Boolean && BooleanBuffer.Length < count)
            BooleanBuffer = new bool[count];
        else if (Column.IsBytes && IndexBuffer.Length < count)
            (IndexBuffer, EndBuffer) = (new int[count], new int[count]);
    }

    /// <summary>Rows before a batch's first null had no reason to be flagged.</summary>
    internal void BeginNulls(int rowsBefore)
    {
        if (HasNulls)
            return;

        HasNulls = true;
        PresentBuffer.AsSpan(0, rowsBefore).Fill(true);
    }

    internal void UseDictionary(TextDictionary dictionary) => _dictionary = dictionary;

    /// <summary>Turns rows read by dictionary into plain ones, since a page without it follows in the same batch.</summary>
    internal void LeaveDictionary(int rows, int bytesMax)
    {
        if (_dictionary is not { } dictionary)
            return;

        _dictionary = null;
        for (var row = 0; row < rows; row++)
        {
            if (!IsNull(row))
                Append(dictionary[IndexBuffer[row]], bytesMax);
            EndBuffer[row] = _dataLength;
        }
    }

    internal Span<byte> Append(int length, int bytesMax)
    {
        if (length > bytesMax - _dataLength)
            throw new ParquetFormatException($"one batch holds more than {bytesMax} bytes of text; read fewer rows at once");
        if (_data.Length - _dataLength < length)
            Array.Resize(ref _data, (int)Math.Min(Array.MaxLength, Math.Max(_data.Length * 2L, (long)_dataLength + length + 256)));

        _dataLength += length;
        return _data.AsSpan(_dataLength - length, length);
    }

    internal void Append(ReadOnlySpan<byte> bytes, int bytesMax) => bytes.CopyTo(Append(bytes.Length, bytesMax));

    private InvalidOperationException Wrong(string what) => new($"Column '{Column.Name}' is {Column.Kind} and has no {what}.");
}
