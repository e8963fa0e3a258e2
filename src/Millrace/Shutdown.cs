using Millrace.Core;

namespace Millrace;

/// <summary>
/// The order in which the server stops, in one place: listeners stop taking, the log makes durable what was taken, views
/// stop where they are and save. Only the log or a listener that faults stops the rest.
/// </summary>
internal sealed class Shutdown(
    IReadOnlyList<IListener> listeners, Func<CancellationToken, Task> runViews, Func<Task> closeLog)
{
    public async Task RunAsync(CancellationToken stopping)
    {
        using var taking = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        using var leaving = new CancellationTokenSource();
        var views = runViews(leaving.Token);
        try
        {
            await Task.WhenAll(listeners.Select(listener => ServeAsync(listener, taking)));
        }
        finally
        {
            await leaving.CancelAsync();
            await views;
            await closeLog();
        }
    }

    private static async Task ServeAsync(IListener listener, CancellationTokenSource taking)
    {
        try
        {
            await listener.RunAsync(taking.Token);
        }
        finally
        {
            // A listener that returns by itself has failed its senders: none may go on acknowledging alone.
            await taking.CancelAsync();
        }
    }
}
