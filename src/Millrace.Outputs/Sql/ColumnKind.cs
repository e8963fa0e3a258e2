namespace Millrace.Outputs.Sql;

/// <summary>What a column holds, from narrow to wide as far as numbers and text go.</summary>
public enum ColumnKind
{
    Boolean,
    BigInt,
    Double,
    Text,

    /// <summary>A time; only by a given schema, a row's JSON has times as text.</summary>
    Timestamp,

    /// <summary>Objects and arrays, as JSON text.</summary>
    Json,

    /// <summary>Some other type of a table that was there before: the database converts, or says that it cannot.</summary>
    Other,
}

/// <summary>A column of the target table.</summary>
public sealed record SqlColumn(string Name, ColumnKind Kind);
