namespace Millrace.History.Registers;

/// <summary>
/// A field that is a cumulative register: it counts up, wraps at its last digit, and use is the difference of two readings. All
/// quantities are in <see cref="Unit"/>, exact decimals. See docs/registers.md.
/// </summary>
public sealed record RegisterDefinition
{
    /// <summary>The field's name in the payload's view.</summary>
    public required string Field { get; init; }

    /// <summary>Decimal digits that the register counts with (1 to 18); 0 when <see cref="WrapAt"/> says it or it never wraps.</summary>
    public int Digits { get; init; }

    /// <summary>The value of one count: 0.001 for a register of litres shown in cubic metres.</summary>
    public decimal Resolution { get; init; } = 1m;

    /// <summary>The value at which the register begins again, for those that do not count in decimal digits (2^32 counts, say).</summary>
    public decimal? WrapAt { get; init; }

    /// <summary>The most that can pass in an hour; it tells a rollover from a reset and a jump from use. Null: unknown.</summary>
    public decimal? MaxPerHour { get; init; }

    /// <summary>Shown with every figure: m³, kWh.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Where the register begins again; null when it never does.</summary>
    public decimal? Wrap => WrapAt ?? (Digits == 0 ? null : PowerOfTen(Digits) * Resolution);

    /// <summary>Every mistake at once; none means that the definition can be used.</summary>
    public IEnumerable<string> Validate()
    {
        if (Field.Length == 0)
            yield return "field: a register needs the name of a field";
        if (Digits is < 0 or > 18)
            yield return $"digits: {Digits} is outside 0..18";
        if (Resolution <= 0)
            yield return $"resolution: {Resolution} is not above 0";
        if (WrapAt <= 0)
            yield return $"wrapAt: {WrapAt} is not above 0";
        if (MaxPerHour <= 0)
            yield return $"maxPerHour: {MaxPerHour} is not above 0";
        if (WrapAt is not null && Digits > 0 && WrapAt != PowerOfTen(Digits) * Resolution)
            yield return $"wrapAt: {WrapAt} contradicts {Digits} digits of {Resolution}";
    }

    /// <summary>Whether so much can have passed in the time; one count more is allowed, since registers are read between counts.</summary>
    internal bool IsPlausible(decimal use, long elapsedMicros)
    {
        if (MaxPerHour is not { } most)
            return true;

        // Beyond a thousand years nothing is implausible, and the product would not fit.
        var hours = Math.Min((decimal)elapsedMicros / 3_600_000_000m, 10_000_000m);
        return use <= most * hours + Resolution;
    }

    private static decimal PowerOfTen(int digits)
    {
        var power = 1m;
        for (var i = 0; i < digits; i++)
            power *= 10m;
        return power;
    }
}
