using System.Text;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// Which columns of a file a replay has to read for the members that somebody wants, so that he sees what he would see in whole
/// payloads. Names are compared without case, and of two spellings in one object the exact one, else the first, counts: where
/// columns leave that open, all of them are read.
/// </summary>
internal sealed class FieldSelection
{
    private readonly IReadOnlyList<ParquetColumn> _fields;
    private readonly IReadOnlyList<string[]> _members;
    private readonly bool[] _isUsed;
    private readonly bool[] _isNear;

    private FieldSelection(ParquetReader file, WantedFields? wanted)
    {
        _fields = [.. file.Columns.Skip(HistoryFileWriter.FixedColumns).Where(column => column.Name is not (HistoryFileWriter.RestColumn or TimeForm.ColumnName))];
        _members = [.. _fields.Select(column => FieldNames.Split(column.Name))];
        _isUsed = new bool[_fields.Count];
        _isNear = new bool[_fields.Count];
        if (wanted is null || AreObjectsSpelledTwice())
        {
            Array.Fill(_isUsed, true);
            Array.Fill(_isNear, true);
            HasTimeAs = true;
            return;
        }

        InPieces = wanted.InPieces;
        foreach (var path in wanted.Paths)
        {
            var isTime = Array.Exists(TimeForm.MemberNames, member => Same(member, path[0]));
            HasTimeAs |= isTime;
            for (var i = 0; i < _members.Count; i++)
            {
                _isNear[i] |= Same(_members[i][0], path[0]);
                _isUsed[i] |= Shared(_members[i], path) == Math.Min(_members[i].Length, path.Count);
            }
        }

        Pieces = InPieces ? PiecesOf(wanted.Paths) : [];
        InPieces &= Pieces.Length == wanted.Paths.Count;
    }

    /// <summary>Whether wanted members are each one column, or none, so that they can be had without JSON.</summary>
    public bool InPieces { get; private set; }

    /// <summary>For each wanted path its column.</summary>
    public (string? Column, int TimeMember)[] Pieces { get; } = [];

    /// <summary>Whether a member that says the reading's time is wanted.</summary>
    public bool HasTimeAs { get; }

    public static FieldSelection Of(ParquetReader file, WantedFields? wanted) => new(file, wanted);

    /// <summary>The fields' columns to be read.</summary>
    /// <param name="withRest">
    /// Readings have a rest, which may reach into objects: whether an object is there at all then counts too.
    /// </param>
    public IEnumerable<ParquetColumn> Columns(bool withRest) => _fields.Where((_, i) => withRest ? _isNear[i] : _isUsed[i]);

    private (string? Column, int TimeMember)[] PiecesOf(IReadOnlyList<IReadOnlyList<string>> paths)
    {
        var pieces = new List<(string?, int)>();
        foreach (var path in paths)
        {
            var timeMember = path.Count == 1 ? Array.FindIndex(TimeForm.MemberNames, member => Same(member, path[0])) : -1;
            var candidates = Enumerable.Range(0, _members.Count)
                .Where(i => Shared(_members[i], path) == Math.Min(_members[i].Length, path.Count)).ToList();
            // A scalar of the same name, which time_as may hide, would stand in an object's place.
            var isBelowTime = path.Count > 1 && candidates.Count > 0 && Array.Exists(TimeForm.MemberNames, member => Same(member, path[0]));
            if (candidates.Count > 1 || isBelowTime || path.Any(name => !Ascii.IsValid(name)))
                break;
            if (candidates is [var only] && (_members[only].Length != path.Count || !Array.TrueForAll(_members[only], name => Ascii.IsValid(name))
                || (timeMember >= 0 && _members[only][0] != TimeForm.MemberNames[timeMember])))
            {
                break;
            }

            pieces.Add((candidates is [var found] ? _fields[found].Name : null, timeMember));
        }

        return [.. pieces];
    }

    /// <summary>Whether one object's name occurs in two spellings.</summary>
    private bool AreObjectsSpelledTwice()
    {
        var known = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var members in _members)
        {
            for (var depth = 1; depth < members.Length; depth++)
            {
                var path = string.Join('\0', members.Take(depth));
                if (known.TryGetValue(path, out var spelling) ? spelling != path : !known.TryAdd(path, path))
                    return true;
            }
        }

        return false;
    }

    /// <summary>How many names both begin with.</summary>
    private static int Shared(string[] members, IReadOnlyList<string> path)
    {
        var shared = 0;
        while (shared < members.Length && shared < path.Count && Same(members[shared], path[shared]))
            shared++;
        return shared;
    }

    private static bool Same(string a, string b) => a.Equals(b, StringComparison.OrdinalIgnoreCase);
}
