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

internal static class ColumnKinds
{
    /// <summary>The narrowest kind that holds both.</summary>
    public static ColumnKind Join(this ColumnKind a, ColumnKind b) => (a, b) switch
    {
        _ when a == b => a,
        (ColumnKind.BigInt, ColumnKind.Double) or (ColumnKind.Double, ColumnKind.BigInt) => ColumnKind.Double,
        _ => ColumnKind.Text,
    };
}

/// <summary>A column of the target table.</summary>
public sealed record SqlColumn(string Name, ColumnKind Kind);
