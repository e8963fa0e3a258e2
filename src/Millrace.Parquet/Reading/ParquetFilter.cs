using System.Buffers.Binary;
using System.Text;
using Millrace.Parquet.Compression;
using Millrace.Parquet.Metadata;

namespace Millrace.Parquet;

/// <summary>
/// A range that wanted rows lie in, both ends included. A scan uses it to skip row groups and pages that can hold no such row;
/// the rows it does return may still lie outside. Rows without a value never match.
/// </summary>
public sealed class ParquetFilter
{
    private readonly Bound _kind;
    private readonly (long? Min, long? Max) _integers;
    private readonly (double? Min, double? Max) _doubles;
    private readonly (byte[]? Min, byte[]? Max) _bytes;

    private ParquetFilter(
        string column, Bound kind, (long?, long?) integers = default, (double?, double?) doubles = default,
        (byte[]?, byte[]?) bytes = default)
    {
        Column = column;
        _kind = kind;
        _integers = integers;
        _doubles = doubles;
        _bytes = bytes;
    }

    private enum Bound
    {
        Integer,
        Double,
        Bytes,
    }

    public string Column { get; }

    public static ParquetFilter Equal(string column, long value) => Between(column, value, value);

    public static ParquetFilter Equal(string column, double value) => Between(column, value, value);

    public static ParquetFilter Equal(string column, string value) => Between(column, value, value);

    /// <summary>Integers, times in the column's unit, dates, unscaled decimals; null leaves that end open.</summary>
    public static ParquetFilter Between(string column, long? min, long? max) =>
        new(column, Bound.Integer, integers: (min, max));

    public static ParquetFilter Between(string column, double? min, double? max) =>
        new(column, Bound.Double, doubles: (min, max));

    /// <summary>Texts, in the order of their UTF-8 bytes.</summary>
    public static ParquetFilter Between(string column, string? min, string? max) =>
        new(column, Bound.Bytes, bytes: (ToBytes(min), ToBytes(max)));

    internal void Check(ParquetColumn column)
    {
        var fits = _kind switch
        {
            Bound.Integer => column.IsInteger || column.IsWideDecimal,
            Bound.Double => column.Physical is PhysicalType.Double or PhysicalType.Float,
            _ => column.IsBytes && !column.IsWideDecimal,
        };
        if (!fits)
            throw new ArgumentException($"Column '{column.Name}' is {column.Kind} and is not compared with such a value.");
    }

    /// <summary>Whether values between these bounds can lie in the range. Bounds that make no sense exclude nothing.</summary>
    internal bool Overlaps(ParquetColumn column, byte[]? min, byte[]? max)
    {
        if (!PlainValue.Fits(column, min) || !PlainValue.Fits(column, max))
            return true;

        return _kind switch
        {
            Bound.Integer => !(Integer(column, max!) < _integers.Min) && !(Integer(column, min!) > _integers.Max),
            Bound.Double => !(Double(column, max!) < _doubles.Min) && !(Double(column, min!) > _doubles.Max),
            _ => !(_bytes.Min is not null && max.AsSpan().SequenceCompareTo(_bytes.Min) < 0)
                && !(_bytes.Max is not null && min.AsSpan().SequenceCompareTo(_bytes.Max) > 0),
        };
    }

    /// <summary>The hash of the one value asked for; null for a range, or where a Bloom filter would be of no use.</summary>
    internal ulong? Hash(ParquetColumn column) => _kind switch
    {
        Bound.Integer when _integers.Min is { } value && value == _integers.Max => column.Physical switch
        {
            PhysicalType.Int32 when value is >= int.MinValue and <= int.MaxValue => BloomFilter.HashOf((int)value),
            PhysicalType.Int64 => BloomFilter.HashOf(value),
            _ => null,
        },
        Bound.Bytes when _bytes.Min is { } value && value.AsSpan().SequenceEqual(_bytes.Max) => XxHash64.Compute(value),
        _ => null,
    };

    private static Int128 Integer(ParquetColumn column, byte[] value) => column.Physical switch
    {
        PhysicalType.Int32 when column.IsUnsigned => BinaryPrimitives.ReadUInt32LittleEndian(value),
        PhysicalType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(value),
        PhysicalType.Int64 when column.IsUnsigned => BinaryPrimitives.ReadUInt64LittleEndian(value),
        PhysicalType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(value),
        _ => PlainValue.Decimal(value),
    };

    private static double Double(ParquetColumn column, byte[] value) => column.Physical == PhysicalType.Float
        ? BinaryPrimitives.ReadSingleLittleEndian(value)
        : BinaryPrimitives.ReadDoubleLittleEndian(value);

    private static byte[]? ToBytes(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text);
}
