using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>What a field's column holds.</summary>
/// <param name="Kind">Double, String and Boolean are found out; Int64 and Decimal are declared.</param>
/// <param name="Scale">Digits after the point of a decimal.</param>
public readonly record struct FieldType(ParquetKind Kind, int Scale = 0)
{
    /// <summary>Digits of a declared decimal: what 64 bits hold.</summary>
    private const int DecimalPrecision = 18;

    public override string ToString() => Kind == ParquetKind.Decimal ? $"{Kind}:{Scale}" : Kind.ToString();

    internal static FieldType Parse(string text)
    {
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon < 0
            ? new FieldType(Enum.Parse<ParquetKind>(text))
            : new FieldType(Enum.Parse<ParquetKind>(text.AsSpan(0, colon)), int.Parse(text.AsSpan(colon + 1)));
    }

    internal static FieldType Of(ParquetColumn column) => new(column.Kind, column.Scale);

    internal ParquetColumn Column(string name) => Kind switch
    {
        ParquetKind.Double => ParquetColumn.Double(name),
        ParquetKind.Boolean => ParquetColumn.Boolean(name),
        ParquetKind.Int64 => ParquetColumn.Int64(name),
        ParquetKind.Decimal => ParquetColumn.Decimal(name, DecimalPrecision, Scale),
        _ => ParquetColumn.String(name),
    };
}
