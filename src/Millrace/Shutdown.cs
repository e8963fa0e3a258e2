using Millrace.Core;

namespace Millrace;

/// <summary>
/// The order in which the server stops, in one place: listeners stop taking, the log makes durable what was taken, views
/// stop where they are and save. Only a listener or the log that fails stops the rest.
/// </summary>
internal sealed class Shutdown(IReadOnlyList<IListener> listeners, Func<CancellationToken, Task> runViews, Func<Task> flushLog)
{
    public async Task RunAsync(CancellationToken stopping)
    {
        using var taking = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        using var leaving = new CancellationTokenSource();
        var views = runViews(leaving.Token);
        try
        {
            await Task.WhenAll(listeners.Select(listener => ServeAsync(listener, taking)));
            await flushLog();
        }
        finally
        {
            await leaving.CancelAsync();
            await views;
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
            // A listener that ends by itself has failed its senders: none goes on alone.
            await taking.CancelAsync();
        }
    }
}
