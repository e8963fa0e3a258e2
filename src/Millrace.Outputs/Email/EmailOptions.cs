namespace Millrace.Outputs.Email;

public sealed record EmailOptions
{
    /// <summary>Recipients, separated by commas.</summary>
    public required string To { get; init; }

    /// <summary>Subject; <c>{column}</c> stands for a value of the first row.</summary>
    public string Subject { get; init; } = "";

    /// <summary>Rows of so long a time go into one mail; zero: those that are there at once.</summary>
    public TimeSpan Digest { get; init; }
}
