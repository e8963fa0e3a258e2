namespace Millrace.History.Registers;

/// <summary>A sum that must hold in every packet: bought = left + used.</summary>
/// <param name="Total">The field that the parts add up to.</param>
/// <param name="Parts">The fields that are added.</param>
/// <param name="Tolerance">The greatest difference that is still taken for equal.</param>
public sealed record BalanceRule(string Total, IReadOnlyList<string> Parts, decimal Tolerance = 0)
{
    /// <summary>Total minus parts; null when a field is missing, and then nothing can be said.</summary>
    public decimal? Difference(Func<string, decimal?> field)
    {
        ArgumentNullException.ThrowIfNull(field);
        if (field(Total) is not { } difference)
            return null;

        foreach (var part in Parts)
        {
            if (field(part) is not { } value)
                return null;
            difference -= value;
        }

        return difference;
    }

    public bool IsBroken(Func<string, decimal?> field) => Difference(field) is { } difference && Math.Abs(difference) > Tolerance;
}
