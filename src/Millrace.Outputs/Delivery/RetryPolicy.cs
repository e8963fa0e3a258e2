namespace Millrace.Outputs.Delivery;

/// <summary>
/// How long to wait before the next attempt: doubling from <see cref="First"/> to <see cref="Max"/>, the upper half of each
/// delay drawn at random, so that a hundred outputs of one dead server do not come back in step.
/// </summary>
public sealed record RetryPolicy
{
    public TimeSpan First { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan Max { get; init; } = TimeSpan.FromSeconds(64);

    /// <summary>The wait after a refusal that only a person can mend; rows stay where they are meanwhile.</summary>
    public TimeSpan AfterRefusal { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The longest Retry-After that is believed: a target may not silence an output for days.</summary>
    public TimeSpan RetryAfterMax { get; init; } = TimeSpan.FromHours(1);

    /// <param name="failures">Attempts that failed in a row, 1 or more.</param>
    /// <param name="draw">A random number in [0, 1).</param>
    public TimeSpan Delay(int failures, OutputException? error, double draw)
    {
        var doubled = First * Math.Pow(2, Math.Min(failures, 30) - 1);
        var cap = error?.Refused == true ? AfterRefusal : Max;
        var full = error?.Refused == true || doubled > cap ? cap : doubled;
        var jittered = full * (0.5 + (draw / 2));
        return error?.RetryAfter is { } asked && asked > jittered
            ? (asked < RetryAfterMax ? asked : RetryAfterMax)
            : jittered;
    }
}
