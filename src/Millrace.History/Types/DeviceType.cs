using Millrace.History.Registers;

namespace Millrace.History.Types;

/// <summary>What a column of the archive is declared to be.</summary>
public enum ColumnKind
{
    Int64,
    Decimal,
}

/// <summary>A field that keeps its digits in the archive: INT64, or DECIMAL of so many digits, so many of them behind the point.</summary>
public readonly record struct DeclaredColumn(ColumnKind Kind, int Precision, int Scale);

/// <summary>What is declared of one field. All parts are optional.</summary>
/// <param name="Unit">Shown with every figure.</param>
public sealed record DeclaredField(string Name, string? Label, string? Unit, RegisterDefinition? Register, DeclaredColumn? Column);

/// <summary>
/// What is declared of a type of device (docs/registers.md): registers, exact columns, sums that must hold, and how often its devices
/// report.
/// </summary>
/// <param name="ExpectedInterval">µs between two readings of a device; null: not known.</param>
/// <param name="QualityField">The member of a payload that says estimated, edited or questionable; null: all are measured.</param>
public sealed record DeviceType(
    string Name, IReadOnlyDictionary<string, DeclaredField> Fields, IReadOnlyList<BalanceRule> Balances, long? ExpectedInterval, string? QualityField)
{
    public RegisterDefinition? RegisterOf(string field) => Fields.GetValueOrDefault(field)?.Register;
}
