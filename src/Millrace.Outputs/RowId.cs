namespace Millrace.Outputs;

/// <summary>
/// Names one result row of one output of one job for ever. Rows are dense per version, beginning at 0; a later version's rows
/// come after all rows of an earlier one.
/// </summary>
public readonly record struct RowId(int Version, long Row) : IComparable<RowId>
{
    /// <summary>Before every row: an output that holds nothing.</summary>
    public static RowId None { get; } = new(0, -1);

    public int CompareTo(RowId other) =>
        Version != other.Version ? Version.CompareTo(other.Version) : Row.CompareTo(other.Row);

    public static bool operator <(RowId left, RowId right) => left.CompareTo(right) < 0;

    public static bool operator <=(RowId left, RowId right) => left.CompareTo(right) <= 0;

    public static bool operator >(RowId left, RowId right) => left.CompareTo(right) > 0;

    public static bool operator >=(RowId left, RowId right) => left.CompareTo(right) >= 0;

    /// <summary>As <c>version-row</c>, the form used in file names and idempotency keys.</summary>
    public override string ToString() => $"{Version}-{Row}";
}
