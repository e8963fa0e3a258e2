namespace Millrace.Parquet.Metadata;

/// <summary>Between the format's schema elements and our columns.</summary>
internal static class ColumnSchema
{
    private const int Required = 0;
    private const int Optional = 1;
    private const int Repeated = 2;

    public static List<SchemaElement> ToElements(IReadOnlyList<ParquetColumn> columns)
    {
        var elements = new List<SchemaElement>(columns.Count + 1)
        {
            new() { Name = "schema", ChildCount = columns.Count },
        };
        foreach (var column in columns)
        {
            var (converted, logical) = Annotations(column);
            elements.Add(new SchemaElement
            {
                Type = column.Physical,
                TypeLength = column.FixedLength,
                Repetition = column.IsNullable ? Optional : Required,
                Name = column.Name,
                ConvertedType = converted,
                Precision = column.Precision,
                Scale = column.Scale,
                Logical = logical,
            });
        }

        return elements;
    }

    /// <summary>The flat columns and, for each, which leaf of the schema it is; nested and repeated ones are only counted.</summary>
    public static (List<ParquetColumn> Columns, List<int> Leaves, int LeafCount, List<string> Skipped) ToColumns(
        List<SchemaElement> elements)
    {
        if (elements.Count == 0 || elements[0].Type is not null)
            throw new ParquetFormatException("the schema has no root");

        var columns = new List<ParquetColumn>();
        var leaves = new List<int>();
        var skipped = new List<string>();
        var leafCount = 0;
        var at = 1;
        var children = 0;
        for (; at < elements.Count; children++)
        {
            var element = elements[at];
            if (element.Type is not null && element.Repetition != Repeated && ToColumn(element) is { } column)
            {
                columns.Add(column);
                leaves.Add(leafCount);
            }
            else
            {
                skipped.Add(element.Name);
            }

            leafCount += CountLeaves(elements, ref at);
        }

        if (children != elements[0].ChildCount)
            throw new ParquetFormatException($"the schema's root has {children} children, not {elements[0].ChildCount}");

        return (columns, leaves, leafCount, skipped);
    }

    private static int CountLeaves(List<SchemaElement> elements, ref int at)
    {
        var leaves = 0;
        for (long open = 1; open > 0; open--, at++)
        {
            if (at >= elements.Count)
                throw new ParquetFormatException("the schema ends inside a group");

            if (elements[at].Type is not null)
                leaves++;
            else if (elements[at].ChildCount is > 0 and var count)
                open += count;
        }

        return leaves;
    }

    private static (int? Converted, LogicalType Logical) Annotations(ParquetColumn column) => column.Kind switch
    {
        ParquetKind.String => (0, new LogicalType(LogicalKind.String)),
        ParquetKind.Json => (19, new LogicalType(LogicalKind.Json)),
        ParquetKind.Date => (6, new LogicalType(LogicalKind.Date)),
        ParquetKind.TimestampMillis => (9, new LogicalType(LogicalKind.Timestamp, Unit: 1, IsUtc: true)),
        ParquetKind.TimestampMicros => (10, new LogicalType(LogicalKind.Timestamp, Unit: 2, IsUtc: true)),
        ParquetKind.Decimal => (5, new LogicalType(LogicalKind.Decimal, column.Precision, column.Scale)),
        _ => (null, default),
    };

    private static ParquetColumn? ToColumn(SchemaElement element)
    {
        if (element.Name.Length == 0)
            throw new ParquetFormatException("a column has no name");

        var physical = element.Type!.Value;
        if (KindOf(element, physical) is not { } kind)
            return null;
        if (physical == PhysicalType.FixedLenByteArray && element.TypeLength is <= 0 or > 1 << 20)
            throw new ParquetFormatException($"column '{element.Name}' has values of {element.TypeLength} bytes");

        var isDecimal = kind == ParquetKind.Decimal;
        var precision = element.Logical.Kind == LogicalKind.Decimal ? element.Logical.Precision : element.Precision;
        var scale = element.Logical.Kind == LogicalKind.Decimal ? element.Logical.Scale : element.Scale;
        if (isDecimal && (precision is < 1 or > 38 || scale < 0 || scale > precision))
            throw new ParquetFormatException($"column '{element.Name}' is a decimal of {precision} digits with scale {scale}");

        return new ParquetColumn(element.Name, kind, element.Repetition == Optional, physical)
        {
            Precision = isDecimal ? precision : 0,
            Scale = isDecimal ? scale : 0,
            FixedLength = physical == PhysicalType.FixedLenByteArray ? element.TypeLength : 0,
            IsUtc = element.Logical.Kind == LogicalKind.Timestamp
                ? element.Logical.IsUtc
                : element.ConvertedType is 9 or 10,
        };
    }

    private static ParquetKind? KindOf(SchemaElement element, PhysicalType physical)
    {
        var logical = element.Logical.Kind;
        var converted = element.ConvertedType;
        return physical switch
        {
            PhysicalType.Boolean => ParquetKind.Boolean,
            PhysicalType.Int32 when logical == LogicalKind.Decimal || converted == 5 => ParquetKind.Decimal,
            PhysicalType.Int32 when logical == LogicalKind.Date || converted == 6 => ParquetKind.Date,
            PhysicalType.Int32 when IsUnsigned(element) => ParquetKind.UInt32,
            PhysicalType.Int32 => ParquetKind.Int32,
            PhysicalType.Int64 when logical == LogicalKind.Decimal || converted == 5 => ParquetKind.Decimal,
            PhysicalType.Int64 when logical == LogicalKind.Timestamp => element.Logical.Unit switch
            {
                1 => ParquetKind.TimestampMillis,
                2 => ParquetKind.TimestampMicros,
                _ => ParquetKind.TimestampNanos,
            },
            PhysicalType.Int64 when converted == 9 => ParquetKind.TimestampMillis,
            PhysicalType.Int64 when converted == 10 => ParquetKind.TimestampMicros,
            PhysicalType.Int64 when IsUnsigned(element) => ParquetKind.UInt64,
            PhysicalType.Int64 => ParquetKind.Int64,
            PhysicalType.Float => ParquetKind.Float,
            PhysicalType.Double => ParquetKind.Double,
            PhysicalType.ByteArray or PhysicalType.FixedLenByteArray
                when logical == LogicalKind.Decimal || converted == 5 => ParquetKind.Decimal,
            PhysicalType.ByteArray when logical == LogicalKind.Json || converted == 19 => ParquetKind.Json,
            PhysicalType.ByteArray when logical == LogicalKind.String || converted is 0 or 4 => ParquetKind.String,
            PhysicalType.ByteArray => ParquetKind.Bytes,
            PhysicalType.FixedLenByteArray => ParquetKind.FixedBytes,
            _ => null,
        };
    }

    private static bool IsUnsigned(SchemaElement element) =>
        element.ConvertedType is >= 11 and <= 14 || element.Logical is { Kind: LogicalKind.Integer, IsSigned: false };
}
