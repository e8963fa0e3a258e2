using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Log;
using Millrace.Processing;
using Millrace.Registry;

namespace Millrace;

/// <summary>The composed server: what it consists of, and its life from binding to the last flush.</summary>
internal sealed class Server(
    SegmentLog log, IReadOnlyList<IListener> listeners, IReadOnlyList<ViewRunner> views,
    IReadOnlyList<Func<CancellationToken, Task>> background, IReadOnlyList<ListenerLedger> ledgers,
    ListenerTotals totals, TimeProvider time, ILogger logger, Func<ValueTask> closeAll)
{
    private static readonly TimeSpan TotalsEvery = TimeSpan.FromSeconds(10);

    /// <summary>A stop in order takes ten seconds at most; longer only when the disk does not answer.</summary>
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(15);

    public IReadOnlyList<IListener> Listeners => listeners;

    /// <summary>Opens every socket; when one cannot be opened nothing is served.</summary>
    public async Task BindAsync(CancellationToken cancel)
    {
        try
        {
            foreach (var listener in listeners)
                await listener.BindAsync(cancel);
        }
        catch
        {
            await closeAll();
            throw;
        }
    }

    /// <summary>Serves until <paramref name="stopping"/> fires, then stops in order; everything taken is durable when it returns.</summary>
    /// <exception cref="StopGivenUpException">The disk does not answer: nothing can be closed any more, the process has to end.</exception>
    public Task RunAsync(CancellationToken stopping) => BoundedStop.RunAsync(ServeAsync, StopMax, ledgers, time, stopping);

    private async Task ServeAsync(CancellationToken stopping)
    {
        using var leaving = new CancellationTokenSource();
        var keeping = KeepTotalsAsync(leaving.Token);
        try
        {
            await new Shutdown(listeners, RunViewsAsync, log.FlushAsync).RunAsync(stopping);
        }
        finally
        {
            await leaving.CancelAsync();
            await keeping;
            await closeAll();
        }
    }

    private Task RunViewsAsync(CancellationToken leaving) =>
        Task.WhenAll(views.Select(view => view.RunAsync(leaving)).Concat(background.Select(run => run(leaving))));

    private async Task KeepTotalsAsync(CancellationToken leaving)
    {
        using var timer = new PeriodicTimer(TotalsEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(leaving))
                SaveTotals();
        }
        catch (OperationCanceledException)
        {
            SaveTotals();
        }
    }

    private void SaveTotals()
    {
        try
        {
            totals.Save(ledgers);
        }
        catch (Exception e)
        {
            // Totals are for people; the books of this run and the log are not touched by losing them.
            ServerLog.TotalsNotSaved(logger, e.Message);
        }
    }
}
