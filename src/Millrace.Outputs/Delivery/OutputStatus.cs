namespace Millrace.Outputs.Delivery;

public enum OutputState
{
    /// <summary>Not yet connected.</summary>
    Opening,

    /// <summary>Rows flow, or there is none to send.</summary>
    Delivering,

    /// <summary>The last attempt failed; the rows wait and are tried again by themselves.</summary>
    Retrying,

    /// <summary>The target or the definition must be mended; the rows wait and are tried again every few minutes.</summary>
    Refused,

    /// <summary>The pump was stopped.</summary>
    Stopped,
}

/// <summary>How an output is doing, for people and for metrics.</summary>
/// <param name="Held">The highest row the target has.</param>
/// <param name="Failures">Attempts that failed since the last success.</param>
/// <param name="PendingRows">Rows that wait.</param>
/// <param name="LastError">What went wrong last; kept after recovery, see the state.</param>
/// <param name="NextAttemptAt">When the next attempt is due while retrying, µs, else null.</param>
public sealed record OutputStatus(
    string Kind, OutputState State, RowId Held, long PendingRows, long PendingBytes, long Failures, string? LastError,
    long? LastErrorAt, long? NextAttemptAt)
{
    /// <summary>Attempts that failed since the pump began.</summary>
    public long FailuresInAll { get; init; }
}
