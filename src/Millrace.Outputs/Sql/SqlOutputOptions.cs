namespace Millrace.Outputs.Sql;

/// <summary>The table rows go to.</summary>
public sealed record SqlOutputOptions
{
    /// <summary>The driver's connection string; for SQLite a path is enough.</summary>
    public required string Connection { get; init; }

    /// <summary>Table name, with the schema before a dot if one is wanted.</summary>
    public required string Table { get; init; }

    /// <summary>Columns whose values identify a row: a later row with the same values overwrites. Empty: job, version and row do.</summary>
    public IReadOnlyList<string> Key { get; init; } = [];

    /// <summary>Columns and their kinds for a table that is not there yet; what is not named follows from the rows.</summary>
    public IReadOnlyList<SqlColumn> Schema { get; init; } = [];
}
