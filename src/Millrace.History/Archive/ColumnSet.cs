using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// The columns of one tenant's fields, numbered as they appear. A field's type is the declared one or that of its first value, and never
/// changes; what does not fit has no column.
/// </summary>
internal sealed class ColumnSet(Func<string, FieldType?>? declared = null)
{
    /// <summary>Beyond it a sender invents names, and every file and query would pay for them.</summary>
    public const int ColumnsMax = 1000;

    private readonly Dictionary<string, int> _places = new(StringComparer.Ordinal);
    private readonly HashSet<string> _anyCase = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<(string Name, FieldType Type)> _columns = [];

    public IReadOnlyList<(string Name, FieldType Type)> Columns => _columns;

    /// <summary>Values whose name found no room.</summary>
    public long Refused { get; private set; }

    /// <summary>Makes a column that is known from before.</summary>
    public void Restore(string name, FieldType type)
    {
        _places.Add(name, _columns.Count);
        _anyCase.Add(name);
        _columns.Add((name, type));
    }

    /// <summary>The column of a name, made for a value of this kind where the name is new; -1 where there is no room for it.</summary>
    public int Find(string name, ParquetKind kind)
    {
        if (_places.TryGetValue(name, out var place))
            return place;
        if (name.Length > FieldNames.LengthMax || _anyCase.Contains(name))
            return -1;

        if (_columns.Count >= ColumnsMax)
        {
            Refused++;
            return -1;
        }

        Restore(name, declared?.Invoke(name) is { Kind: ParquetKind.Int64 or ParquetKind.Decimal } type ? type : new FieldType(kind));
        return _columns.Count - 1;
    }
}
