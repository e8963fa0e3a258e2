namespace Millrace.Commands.Simulate;

/// <summary>One connection's (or socket's) worth of a fleet.</summary>
internal interface ISender
{
    /// <summary>
    /// Sends what is due until the schedule is over or <paramref name="stopping"/> fires; then waits, within the options'
    /// patience, for the answers that are still missing.
    /// </summary>
    Task RunAsync(CancellationToken stopping);

    /// <summary>Readings sent whose answer has not come.</summary>
    long Unanswered { get; }
}

/// <summary>What the senders of a simulation share.</summary>
internal sealed record SenderContext(
    SimulationOptions Options, Fleet Fleet, SendTally Tally, AcknowledgedFile? Acknowledged, TimeProvider Time)
{
    /// <summary>How often a sender looks for readings that have become due.</summary>
    public static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);

    public long UnixMs => Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Waits longer after each failure, up to five seconds, never quite the same for two senders.</summary>
    public static TimeSpan BackOff(int failures, int sender)
    {
        var full = Math.Min(5000, 50 << Math.Min(failures, 10));
        return TimeSpan.FromMilliseconds((full / 2) + (int)(SplitMix.Mix((ulong)((sender << 16) + failures)) % (ulong)(full / 2)));
    }
}
