using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Listeners.Udp;

/// <summary>
/// Receives datagrams of text lines or JSON (docs/formats/id-value.md). One thread fetches many datagrams at a time,
/// decodes them into a batch and offers it to the log about every 10 ms; it never waits for the log.
/// </summary>
public sealed class UdpListener(UdpListenerOptions options, ListenerContext context, ListenerLedger ledger, ILogger<UdpListener> log)
    : IListener, IDisposable
{
    /// <summary>Nobody waits for an answer: fewer, larger groups need a third of the disk flushes of 2 ms ones.</summary>
    private static readonly TimeSpan HandOverAfter = TimeSpan.FromMilliseconds(10);

    /// <summary>A batch of this size is handed over at once; it stays within a processor's cache.</summary>
    private const int BatchBytes = 256 << 10;

    /// <summary>An idle thread looks up this often, to see that it shall stop.</summary>
    private const int IdlePollMicros = 100_000;

    private const int WarnWindowSeconds = 10;

    /// <summary>How long a stopping listener waits for the log to take what it holds; the whole stop has 10 s.</summary>
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(4);

    private Socket? _socket;
    private int _napMicros;
    private uint _kernelDropsSeen;
    private long _kernelDropped;
    private long _queueDropped;
    private long _warnedAt;

    public string Name => "udp";

    public string Endpoint => _socket?.LocalEndPoint?.ToString() ?? throw new InvalidOperationException("The UDP listener is not bound.");

    public ValueTask BindAsync(CancellationToken cancel)
    {
        var socket = new Socket(options.Endpoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            var granted = UdpSocketOptions.GrantReceiveBuffer(socket, options.ReceiveBufferBytes);
            if (options.Endpoint.Address.Equals(IPAddress.IPv6Any))
                socket.DualMode = true;
            socket.Bind(options.Endpoint);
            _napMicros = ReceiveNap.MicrosFor(granted);
            _socket = socket;
            UdpListenerLog.Bound(log, Endpoint, granted);
            if (granted < 1 << 20)
                UdpListenerLog.SmallBuffer(log, granted, options.ReceiveBufferBytes);
            return ValueTask.CompletedTask;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new StartException(
                $"UDP cannot listen on {options.Endpoint}: {e.Message}. Stop the program that uses the port, or set Listeners:Udp:Endpoint.", e);
        }
    }

    public Task RunAsync(CancellationToken stopping)
    {
        var socket = _socket ?? throw new InvalidOperationException("The UDP listener is not bound.");
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() => Run(socket, ended, stopping)) { IsBackground = true, Name = "udp receive" };
        thread.Start();
        return ended.Task;
    }

    public void Dispose() => _socket?.Dispose();

    private void Run(Socket socket, TaskCompletionSource ended, CancellationToken stopping)
    {
        try
        {
            using var source = DatagramSource.Open(socket, withAddresses: options.ReadingsPerAddressPerSecond > 0);
            var intake = new DatagramIntake(context, options, ledger);
            // An eighth of the queue is our ring, for moments in which the log refuses; the rest waits inside the log.
            var ringBytes = options.QueueBytes / 8;
            var appender = context.Log.OpenAppender(ledger, options.QueueBytes - ringBytes);
            var batches = new WaitingBatches(context.Log, appender, ledger, ringBytes);

            Serve(socket, source, intake, batches, stopping);
            Drain(source, intake, batches);
            CountKernelDrops(socket);
            WarnOfDrops(atOnce: true);
            socket.Dispose();
            UdpListenerLog.Stopped(log, ledger.Received);
            ended.SetResult();
        }
        catch (Exception e)
        {
            // The edge of the thread: a listener that faults stops the server, by its task.
            ended.SetException(e);
        }
    }

    private void Serve(Socket socket, DatagramSource source, DatagramIntake intake, WaitingBatches batches, CancellationToken stopping)
    {
        var time = context.Time;
        var handedOverAt = time.GetTimestamp();
        while (!stopping.IsCancellationRequested)
        {
            var count = Receive(source, intake, batches);
            if (!batches.IsEmpty && time.GetElapsedTime(handedOverAt) >= HandOverAfter)
            {
                HandOver(socket, batches);
                handedOverAt = time.GetTimestamp();
            }

            if (count == source.BatchMax)
                continue;
            if (count > 0 && source.BatchMax > 1)
                ReceiveNap.Take(_napMicros);
            else if (count == 0)
                handedOverAt = WaitForMore(socket, batches, handedOverAt);
        }
    }

    private int Receive(DatagramSource source, DatagramIntake intake, WaitingBatches batches)
    {
        var count = source.Receive();
        for (var i = 0; i < count; i++)
        {
            intake.Take(source.Datagram(i), source.AddressOf(i), batches.Current);
            if (batches.Current.Bytes < BatchBytes)
                continue;
            intake.WriteBooks();
            _queueDropped += batches.Flush();
        }

        intake.WriteBooks();
        return count;
    }

    private long WaitForMore(Socket socket, WaitingBatches batches, long handedOverAt)
    {
        if (batches.IsEmpty)
        {
            if (!socket.Poll(IdlePollMicros, SelectMode.SelectRead))
                CountKernelDrops(socket);
            // The first reading after a pause opens a batch, which then has its 10 ms.
            return context.Time.GetTimestamp();
        }

        var left = HandOverAfter - context.Time.GetElapsedTime(handedOverAt);
        if (left > TimeSpan.Zero)
            socket.Poll((int)Math.Min(left.TotalMicroseconds, IdlePollMicros), SelectMode.SelectRead);
        return handedOverAt;
    }

    private void HandOver(Socket socket, WaitingBatches batches)
    {
        _queueDropped += batches.Flush();
        CountKernelDrops(socket);
        WarnOfDrops(atOnce: false);
    }

    /// <summary>Takes what the kernel already holds, then gives the log some time to take it all.</summary>
    private void Drain(DatagramSource source, DatagramIntake intake, WaitingBatches batches)
    {
        var started = context.Time.GetTimestamp();
        while (Receive(source, intake, batches) > 0 && context.Time.GetElapsedTime(started) < TimeSpan.FromSeconds(1))
        {
            // A sender that goes on cannot keep the server from stopping.
        }

        _queueDropped += batches.Flush();
        while (!batches.IsEmpty && context.Log.State == LogState.Accepting && context.Time.GetElapsedTime(started) < StopPatience)
        {
            ReceiveNap.Take(1000);
            _queueDropped += batches.Flush();
        }

        _queueDropped += batches.Abandon();
    }

    private void CountKernelDrops(Socket socket)
    {
        if (UdpSocketOptions.KernelDrops(socket) is not { } drops || drops == _kernelDropsSeen)
            return;
        var dropped = unchecked(drops - _kernelDropsSeen);
        _kernelDropsSeen = drops;
        _kernelDropped += dropped;
        ledger.CountReceived(dropped);
        ledger.CountDropped(DropReason.Kernel, dropped);
    }

    private void WarnOfDrops(bool atOnce)
    {
        if (_kernelDropped + _queueDropped == 0 || (!atOnce && context.Time.GetElapsedTime(_warnedAt).TotalSeconds < WarnWindowSeconds))
            return;
        _warnedAt = context.Time.GetTimestamp();
        if (_kernelDropped > 0)
            UdpListenerLog.KernelDropped(log, _kernelDropped, WarnWindowSeconds);
        if (_queueDropped > 0)
            UdpListenerLog.QueueDropped(log, _queueDropped, WarnWindowSeconds);
        _kernelDropped = _queueDropped = 0;
    }
}
