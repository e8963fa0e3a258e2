using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Millrace.Listeners.Http;

/// <summary>Asks an HTTP endpoint of our own for a path that changes nothing, over a few connections, some hundred times.</summary>
public static class LoopbackWarmUp
{
    private const int Connections = 8;
    private const int RequestsEach = 40;

    public static Task RunAsync(IPEndPoint endpoint, string path, CancellationToken cancel)
    {
        var address = endpoint.Address.Equals(IPAddress.Any) ? IPAddress.Loopback
            : endpoint.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback
            : endpoint.Address;
        var target = new IPEndPoint(address, endpoint.Port);
        var request = Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        return Task.WhenAll(Enumerable.Range(0, Connections).Select(_ => AskAsync(target, request, cancel)));
    }

    private static async Task AskAsync(IPEndPoint target, byte[] request, CancellationToken cancel)
    {
        using var socket = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(target, cancel);
        var answer = new byte[4096];
        for (var i = 0; i < RequestsEach; i++)
        {
            await socket.SendAsync(request, cancel);
            // One answer fits one read here; if it ever does not, the next round only comes a little early.
            if (await socket.ReceiveAsync(answer, cancel) == 0)
                return;
        }
    }
}
