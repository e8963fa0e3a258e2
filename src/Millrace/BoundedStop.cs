using Millrace.Core;

namespace Millrace;

/// <summary>
/// The end of patience: a disk that does not answer may keep the log, the views and the registry waiting for ever. Whoever asked for
/// the stop then learns what was not stored, instead of waiting as well.
/// </summary>
internal static class BoundedStop
{
    /// <summary>Serves until <paramref name="stopping"/> fires, and then at most <paramref name="limit"/> longer.</summary>
    /// <param name="serve">Serves until its token fires, then stops in order; left behind when it takes too long.</param>
    /// <exception cref="StopGivenUpException">It took too long. Nothing that is not durable was acknowledged.</exception>
    public static async Task RunAsync(
        Func<CancellationToken, Task> serve, TimeSpan limit, IReadOnlyList<ListenerLedger> ledgers, TimeProvider time, CancellationToken stopping)
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var told = stopping.UnsafeRegister(_ => asked.TrySetResult(), null);
        var serving = serve(stopping);
        await Task.WhenAny(serving, asked.Task);
        try
        {
            await serving.WaitAsync(limit, time, CancellationToken.None);
        }
        catch (TimeoutException) when (!serving.IsCompleted)
        {
            throw new StopGivenUpException(limit, ledgers.Sum(ledger => ledger.InFlight));
        }
    }
}

/// <summary>The server could not be stopped in order.</summary>
internal sealed class StopGivenUpException(TimeSpan limit, long unstored) : Exception(
    $"The stop was given up after {limit.TotalSeconds:F0} s: something does not end, most likely because the disk does not answer. {unstored} readings that were taken are not stored and were not "
    + "acknowledged; senders that wait for an answer send them again. What was acknowledged is there after the next start. Look at the kernel's log and the disk.");
