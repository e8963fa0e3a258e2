namespace Millrace.History.Archive;

/// <summary>How a path of JSON members is written as a column's name, and back (docs/formats/history.md).</summary>
internal static class FieldNames
{
    public const int LengthMax = 200;

    private static readonly HashSet<string> Reserved = new(StringComparer.OrdinalIgnoreCase)
    {
        "device", "time", "received_at", "partition", "sequence", "time_as", "rest", "tenant", "date", "hour",
    };

    /// <summary>Appends one member's name to the path before it.</summary>
    public static string Append(string? path, string member)
    {
        var escaped = member.Contains('%') || member.Contains('.')
            ? member.Replace("%", "%25", StringComparison.Ordinal).Replace(".", "%2E", StringComparison.Ordinal)
            : member;
        if (path is not null)
            return $"{path}.{escaped}";

        return Reserved.Contains(escaped) ? escaped + "%" : escaped;
    }

    /// <summary>The members that a column's name stands for, outermost first.</summary>
    public static string[] Split(string column)
    {
        var members = column.Split('.');
        if (members[0].EndsWith('%'))
            members[0] = members[0][..^1];
        for (var i = 0; i < members.Length; i++)
            members[i] = members[i].Replace("%2E", ".", StringComparison.Ordinal).Replace("%25", "%", StringComparison.Ordinal);
        return members;
    }
}
