namespace Millrace.Processing.SqlView;

/// <summary>
/// A table with one row per device and its newest value, in some relational database. The two columns are all it needs,
/// so that a program that has always read the table goes on reading it.
/// </summary>
public interface ISqlValueTable
{
    /// <summary>Provider, host, database and table, without secrets: names the target in logs and in the checkpoint.</summary>
    string Target { get; }

    /// <summary>Creates the table when it is missing and learns whether its id column is unique.</summary>
    void Prepare();

    /// <summary>Opens a connection for one writer. Blocking; called on the writer's own thread.</summary>
    ISqlValueWriter OpenWriter();

    /// <summary>Whether a failure is the row's own fault (too long for its column, not convertible), not the connection's.</summary>
    bool IsRowFault(Exception failure);
}

/// <summary>One connection. Used by one thread; after any exception it is disposed and another one opened.</summary>
public interface ISqlValueWriter : IDisposable
{
    /// <summary>Inserts or overwrites the rows in one transaction. Ids are distinct within a call. Values are parameters, never SQL.</summary>
    void Upsert(IReadOnlyList<SqlValueRow> rows);
}

/// <summary>A device and the text of its newest value.</summary>
public readonly record struct SqlValueRow(string Id, string Value);

/// <summary>Names of the table and its two columns.</summary>
public sealed record SqlValueNames(string Table, string IdColumn, string DataColumn)
{
    /// <summary>Every mistake at once; none means the names can be quoted safely in any dialect.</summary>
    public IEnumerable<string> Validate()
    {
        foreach (var (key, name) in new[] { ("SqlView:Table", Table), ("SqlView:IdColumn", IdColumn), ("SqlView:DataColumn", DataColumn) })
        {
            if (name.Length is 0 or > 63 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_') || char.IsAsciiDigit(name[0]))
                yield return $"{key}: '{name}' is not a name of 1 to 63 letters, digits and _";
        }
    }
}
