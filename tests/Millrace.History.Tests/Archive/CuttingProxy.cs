using System.Net;
using System.Net.Sockets;

namespace Millrace.History.Tests.Archive;

/// <summary>Stands between a client and a server on loopback, and lets so many bytes towards the server through; then it cuts and refuses.</summary>
internal sealed class CuttingProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _over = new();
    private readonly IPEndPoint _target;
    private readonly Task _accepting;
    private long _left = long.MaxValue;

    public CuttingProxy(IPEndPoint target)
    {
        _target = target;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public void Allow(long bytes) => Interlocked.Exchange(ref _left, bytes);

    public async ValueTask DisposeAsync()
    {
        await _over.CancelAsync();
        _listener.Stop();
        await _accepting;
        _over.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> serving = [];
        try
        {
            while (true)
                serving.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_over.Token)));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            await Task.WhenAll(serving);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var server = new TcpClient();
        using (client)
        {
            try
            {
                if (Interlocked.Read(ref _left) <= 0)
                    return;
                await server.ConnectAsync(_target, _over.Token);
                await Task.WhenAny(PumpAsync(client, server, isCounted: true), PumpAsync(server, client, isCounted: false));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or IOException)
            {
                // Cut: that is what it is for.
            }
        }
    }

    private async Task PumpAsync(TcpClient from, TcpClient to, bool isCounted)
    {
        var buffer = new byte[16 << 10];
        try
        {
            while (await from.GetStream().ReadAsync(buffer, _over.Token) is var read and > 0)
            {
                if (isCounted && Interlocked.Add(ref _left, -read) <= 0)
                    return;
                await to.GetStream().WriteAsync(buffer.AsMemory(0, read), _over.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or IOException or ObjectDisposedException)
        {
            // The other side is gone.
        }
    }
}
