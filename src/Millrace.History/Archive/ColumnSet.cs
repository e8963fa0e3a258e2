using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// The columns of one tenant's fields. A field's type is that of its first value and never changes; what does not fit has no column.
/// </summary>
internal sealed class ColumnSet
{
    /// <summary>Beyond it a sender invents names, and every file and query would pay for them.</summary>
    public const int ColumnsMax = 1000;

    private readonly Dictionary<string, ParquetKind> _kinds = new(StringComparer.Ordinal);
    private readonly HashSet<string> _anyCase = new(StringComparer.OrdinalIgnoreCase);

    public IReadOnlyDictionary<string, ParquetKind> Kinds => _kinds;

    /// <summary>Values whose name found no room.</summary>
    public long Refused { get; private set; }

    /// <summary>Whether a value of this kind has a column of this name, making one where the name is new.</summary>
    public bool Takes(string column, ParquetKind kind)
    {
        if (_kinds.TryGetValue(column, out var known))
            return known == kind;
        if (column.Length > FieldNames.LengthMax || _anyCase.Contains(column))
            return false;

        if (_kinds.Count >= ColumnsMax)
        {
            Refused++;
            return false;
        }

        _kinds.Add(column, kind);
        _anyCase.Add(column);
        return true;
    }

    public static ParquetColumn Column(string name, ParquetKind kind) => kind switch
    {
        ParquetKind.Double => ParquetColumn.Double(name),
        ParquetKind.Boolean => ParquetColumn.Boolean(name),
        _ => ParquetColumn.String(name),
    };
}
