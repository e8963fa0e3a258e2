namespace Millrace.Outputs.Webhook;

public sealed record WebhookOptions
{
    public required Uri Url { get; init; }

    /// <summary>Key of the signature; null: not signed.</summary>
    public string? Secret { get; init; }

    public int BatchRows { get; init; } = 500;

    /// <summary>How long a batch waits for more rows.</summary>
    public TimeSpan Linger { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The longest a request may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);
}
