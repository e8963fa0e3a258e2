namespace Millrace.Parquet;

/// <summary>A column of a flat table. Make one with the factory named after its kind.</summary>
public sealed record ParquetColumn
{
    internal ParquetColumn(string name, ParquetKind kind, bool nullable, PhysicalType physical)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Name = name;
        Kind = kind;
        IsNullable = nullable;
        Physical = physical;
    }

    public string Name { get; }

    public ParquetKind Kind { get; }

    /// <summary>Whether a row may lack a value.</summary>
    public bool IsNullable { get; }

    /// <summary>Decimal digits in all (1 to 38); 0 for other kinds.</summary>
    public int Precision { get; internal init; }

    /// <summary>Decimal digits after the point.</summary>
    public int Scale { get; internal init; }

    /// <summary>Whether times are instants (true for all that this library writes) or local readings of a clock.</summary>
    public bool IsUtc { get; internal init; }

    internal PhysicalType Physical { get; }

    /// <summary>Bytes of one value for <see cref="PhysicalType.FixedLenByteArray"/>.</summary>
    internal int FixedLength { get; init; }

    /// <summary>Whether the values are <see cref="Int128"/>: decimals too wide for 64 bits.</summary>
    public bool IsWideDecimal => Kind == ParquetKind.Decimal
        && Physical is PhysicalType.FixedLenByteArray or PhysicalType.ByteArray;

    internal bool IsInteger => Physical is PhysicalType.Int32 or PhysicalType.Int64;

    internal bool IsBytes => Physical is PhysicalType.ByteArray or PhysicalType.FixedLenByteArray;

    internal bool IsUnsigned => Kind is ParquetKind.UInt32 or ParquetKind.UInt64;

    public static ParquetColumn Boolean(string name, bool nullable = true) =>
        new(name, ParquetKind.Boolean, nullable, PhysicalType.Boolean);

    public static ParquetColumn Int32(string name, bool nullable = true) =>
        new(name, ParquetKind.Int32, nullable, PhysicalType.Int32);

    public static ParquetColumn Int64(string name, bool nullable = true) =>
        new(name, ParquetKind.Int64, nullable, PhysicalType.Int64);

    public static ParquetColumn Double(string name, bool nullable = true) =>
        new(name, ParquetKind.Double, nullable, PhysicalType.Double);

    public static ParquetColumn String(string name, bool nullable = true) =>
        new(name, ParquetKind.String, nullable, PhysicalType.ByteArray);

    public static ParquetColumn Json(string name, bool nullable = true) =>
        new(name, ParquetKind.Json, nullable, PhysicalType.ByteArray);

    public static ParquetColumn Bytes(string name, bool nullable = true) =>
        new(name, ParquetKind.Bytes, nullable, PhysicalType.ByteArray);

    public static ParquetColumn Date(string name, bool nullable = true) =>
        new(name, ParquetKind.Date, nullable, PhysicalType.Int32);

    /// <summary>UTC instants in milliseconds since 1970.</summary>
    public static ParquetColumn TimestampMillis(string name, bool nullable = true) =>
        new(name, ParquetKind.TimestampMillis, nullable, PhysicalType.Int64) { IsUtc = true };

    /// <summary>UTC instants in microseconds since 1970.</summary>
    public static ParquetColumn TimestampMicros(string name, bool nullable = true) =>
        new(name, ParquetKind.TimestampMicros, nullable, PhysicalType.Int64) { IsUtc = true };

    /// <summary>An exact number of <paramref name="precision"/> digits (1 to 38), <paramref name="scale"/> of them after the point.</summary>
    public static ParquetColumn Decimal(string name, int precision, int scale, bool nullable = true)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(precision, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(precision, 38);
        ArgumentOutOfRangeException.ThrowIfNegative(scale);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(scale, precision);

        var physical = precision switch
        {
            <= 9 => PhysicalType.Int32,
            <= 18 => PhysicalType.Int64,
            _ => PhysicalType.FixedLenByteArray,
        };
        return new(name, ParquetKind.Decimal, nullable, physical)
        {
            Precision = precision,
            Scale = scale,
            FixedLength = physical == PhysicalType.FixedLenByteArray ? 16 : 0,
        };
    }
}
