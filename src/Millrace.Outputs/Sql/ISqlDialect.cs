using System.Data.Common;

namespace Millrace.Outputs.Sql;

/// <summary>What differs between the databases. Stateless and thread-safe.</summary>
public interface ISqlDialect
{
    /// <summary>As in a job's definition: sqlite, postgres, mysql.</summary>
    string Provider { get; }

    /// <summary>Most parameters of one statement.</summary>
    int ParametersMax { get; }

    /// <summary>An open connection, ready for UTF-8 text.</summary>
    /// <exception cref="OutputException">It cannot be opened; the message does not contain the password.</exception>
    ValueTask<DbConnection> ConnectAsync(string connection, CancellationToken cancel);

    /// <summary>Quotes a name; whatever it contains cannot end the quotation.</summary>
    string Quote(string name);

    string TypeName(ColumnKind kind, bool key);

    /// <summary>A statement that makes a column wider, or null when the database does not need it.</summary>
    string? Widen(string table, string column, ColumnKind kind);

    /// <summary>What follows VALUES to overwrite a row with the same key.</summary>
    string OnConflict(IReadOnlyList<string> key, IReadOnlyList<string> others);

    /// <summary>The kind of a column of an existing table, by the type name the database reports.</summary>
    ColumnKind KindOf(string typeName);

    /// <summary>A value as the database's driver wants it.</summary>
    object Convert(object value, ColumnKind kind);
}
