using System.Text;
using System.Text.Json;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// A member's name at its place in the nesting, with the column that values of it have. Payloads of one sender look alike, so a node
/// remembers which member came after which. Hot: known names are compared as bytes and nothing is allocated for them.
/// </summary>
internal sealed class FieldNode
{
    private readonly ColumnSet _columns;
    private readonly string? _column;
    private readonly int _depth;
    private readonly Dictionary<string, FieldNode> _members = new(StringComparer.Ordinal);
    private readonly List<(byte[] Raw, FieldNode Node)> _spellings = [];
    private int _place = -2;

    private FieldNode(ColumnSet columns, string? column, int depth, int timeMember)
    {
        (_columns, _column, _depth, TimeMember) = (columns, column, depth, timeMember);
    }

    /// <summary>Whether values of it, and what lies below, can have columns at all.</summary>
    public bool HasColumns => _column is { Length: > 0 and <= FieldNames.LengthMax } && _depth <= DepthMax;

    /// <summary>The payload in which the member was met last, to find doubled names.</summary>
    public long Stamp { get; set; }

    /// <summary>Its number among the members that may say the reading's time, or -1.</summary>
    public int TimeMember { get; }

    /// <summary>Fields that lie deeper go to the rest.</summary>
    private const int DepthMax = 15;

    public static FieldNode Root(ColumnSet columns) => new(columns, null, 0, -1);

    /// <summary>The column that a value of this kind has; false when it has none.</summary>
    public bool TryColumn(ParquetKind kind, out int place, out FieldType type)
    {
        if (_place < 0)
            _place = _columns.Find(_column!, kind);
        place = _place;
        type = place >= 0 ? _columns.Columns[place].Type : default;
        return place >= 0 && (type.Kind == kind || (kind == ParquetKind.Double && type.Kind is ParquetKind.Int64 or ParquetKind.Decimal));
    }

    /// <summary>
    /// The member whose name, with its quotes, begins the JSON; null when it is not known.
    /// </summary>
    /// <param name="next">Where the search begins: the spelling after the one found last.</param>
    public FieldNode? Match(ReadOnlySpan<byte> json, ref int next, out int length)
    {
        for (var i = 0; i < _spellings.Count; i++)
        {
            var at = next + i;
            if (at >= _spellings.Count)
                at -= _spellings.Count;
            var (raw, node) = _spellings[at];
            if (!json.StartsWith(raw))
                continue;
            next = at + 1 == _spellings.Count ? 0 : at + 1;
            length = raw.Length;
            return node;
        }

        length = 0;
        return null;
    }

    /// <summary>The member of a name that was not met before in this spelling; remembered while there is room.</summary>
    /// <param name="raw">The name with its quotes.</param>
    /// <param name="isRemembered">Whether there is room for one more.</param>
    public FieldNode Learn(ReadOnlySpan<byte> raw, bool isRemembered)
    {
        var reader = new Utf8JsonReader(raw);
        reader.Read();
        var name = reader.GetString()!;
        if (!_members.TryGetValue(name, out var node))
        {
            node = new FieldNode(
                _columns, name.Length == 0 || _column is { Length: 0 } ? "" : FieldNames.Append(_column, name), _depth + 1,
                _depth == 0 ? TimeForm.MemberOf(name) : -1);
            if (isRemembered)
                _members.Add(name, node);
        }

        if (isRemembered)
            _spellings.Add((raw.ToArray(), node));
        return node;
    }
}
