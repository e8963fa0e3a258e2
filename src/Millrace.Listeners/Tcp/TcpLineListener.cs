using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Listeners.Tcp;

/// <summary>
/// Takes readings as lines over TCP (docs/formats/id-value.md), from any number of clients at once, answering each line
/// where it is asked to.
/// </summary>
public sealed class TcpLineListener(TcpLineListenerOptions options, ListenerContext context, ListenerLedger ledger, ILogger<TcpLineListener> log)
    : IListener, IDisposable
{
    private const int Backlog = 4096;

    /// <summary>How long stopping connections may take to have their lines stored and answered; the whole stop has 10 s.</summary>
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(4);

    private static readonly TimeSpan AcceptRetry = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan WarnWindow = TimeSpan.FromSeconds(10);

    private readonly TcpConnectionTable _table = new(options.ConnectionsMax, context.Time);
    private readonly TcpSessionContext _shared = new(options, context, ledger);
    private readonly TaskCompletionSource _allGone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _abort = new();
    private Socket? _socket;
    private int _serving = 1;
    private long _warnedAt;

    public string Name => "tcp";

    public string Endpoint => _socket?.LocalEndPoint?.ToString() ?? throw new InvalidOperationException("The TCP listener is not bound.");

    /// <summary>Connections open now.</summary>
    public int Connections => _table.Count;

    public ValueTask BindAsync(CancellationToken cancel)
    {
        var socket = new Socket(options.Endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (options.Endpoint.Address.Equals(IPAddress.IPv6Any))
                socket.DualMode = true;
            socket.Bind(options.Endpoint);
            socket.Listen(Backlog);
            _socket = socket;
            TcpLineListenerLog.Bound(log, Endpoint);
            return ValueTask.CompletedTask;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new StartException(
                $"TCP cannot listen on {options.Endpoint}: {e.Message}. Stop the program that uses the port, or set Listeners:Tcp:Endpoint.", e);
        }
    }

    public async Task RunAsync(CancellationToken stopping)
    {
        var socket = _socket ?? throw new InvalidOperationException("The TCP listener is not bound.");
        using var idle = StartIdleTimer();
        try
        {
            await AcceptAsync(socket, stopping);
        }
        finally
        {
            socket.Dispose();
            await StopConnectionsAsync();
        }

        TcpLineListenerLog.Stopped(log, ledger.Received);
    }

    public void Dispose()
    {
        _socket?.Dispose();
        _abort.Dispose();
    }

    private async Task AcceptAsync(Socket socket, CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                Start(await socket.AcceptAsync(stopping));
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException e)
            {
                // Out of descriptors, or the client has gone again: others can still be served.
                Warn(() => TcpLineListenerLog.AcceptFailed(log, e.Message));
                await Task.Delay(AcceptRetry, context.Time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Start(Socket client)
    {
        TcpLineConnection connection;
        try
        {
            client.NoDelay = true;
            client.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            connection = new TcpLineConnection(client, _shared, _table);
        }
        catch (SocketException)
        {
            // Reset before we came to it.
            client.Dispose();
            return;
        }

        if (_table.Add(connection) is { } leaving)
        {
            Warn(() => TcpLineListenerLog.Crowded(log, options.ConnectionsMax));
            leaving.GiveWay();
        }

        Interlocked.Increment(ref _serving);
        TcpLineListenerLog.Connected(log, client.RemoteEndPoint);
        // Owned by the count: StopConnectionsAsync waits until it is zero, and nothing escapes ServeAsync.
        _ = ServeAsync(connection, client.RemoteEndPoint);
    }

    private async Task ServeAsync(TcpLineConnection connection, EndPoint? remote)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            await connection.ServeAsync(_abort.Token);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            TcpLineListenerLog.CutOff(log, remote, e.Message);
        }
        catch (Exception e)
        {
            TcpLineListenerLog.Faulted(log, e);
        }
        finally
        {
            _table.Remove(connection);
            LeaveOne();
        }
    }

    private async Task StopConnectionsAsync()
    {
        foreach (var connection in _table.All())
            connection.StopReading();
        LeaveOne();
        try
        {
            await _allGone.Task.WaitAsync(StopPatience, context.Time);
        }
        catch (TimeoutException)
        {
            // Clients that do not read their answers, or a log that does not take: no more patience.
            await _abort.CancelAsync();
            foreach (var connection in _table.All())
                connection.Abort();
            await _allGone.Task;
        }
    }

    /// <summary>One less to wait for; the listener itself counts as one until it stops.</summary>
    private void LeaveOne()
    {
        if (Interlocked.Decrement(ref _serving) == 0)
            _allGone.SetResult();
    }

    private ITimer? StartIdleTimer()
    {
        if (options.Idle is not { } idle)
            return null;
        var period = TimeSpan.FromSeconds(Math.Clamp(idle.TotalSeconds / 4, 0.25, 30));
        return context.Time.CreateTimer(_ => CloseIdle(idle), null, period, period);
    }

    private void CloseIdle(TimeSpan idle)
    {
        foreach (var connection in _table.TakeIdle(idle))
            connection.GiveWay();
    }

    private void Warn(Action write)
    {
        var now = context.Time.GetTimestamp();
        var last = Interlocked.Read(ref _warnedAt);
        if ((last == 0 || context.Time.GetElapsedTime(last, now) >= WarnWindow) && Interlocked.CompareExchange(ref _warnedAt, now, last) == last)
            write();
    }
}
