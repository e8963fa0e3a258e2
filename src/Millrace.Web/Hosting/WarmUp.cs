using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Millrace.Web.Hosting;

/// <summary>
/// Runs the paths that devices and browsers will use before anybody comes, so that the first burst meets compiled code.
/// Bounded to a fraction of a second; nothing is stored or counted.
/// </summary>
internal static class WarmUp
{
    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(150);

    public static async Task RunAsync(ServerState state, IPEndPoint? endpoint, ILogger log, CancellationToken cancel)
    {
        state.Telemetry.WarmUp();
        if (endpoint is null)
            return;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(Limit);
        try
        {
            await Listeners.Http.LoopbackWarmUp.RunAsync(endpoint, "/healthz", limit.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // Long enough: a slow machine shall not start late because of it.
        }
        catch (Exception error) when (error is SocketException or IOException)
        {
            WebLog.WarmUpFailed(log, error.Message);
        }
    }
}
