using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Millrace.Commands.Simulate;

/// <summary>Sends datagrams on a thread of its own; nothing comes back.</summary>
internal sealed class UdpSender(SenderContext context, IPEndPoint target, Schedule schedule) : ISender
{
    private static readonly TimeSpan Nap = TimeSpan.FromMilliseconds(1);

    public long Unanswered => 0;

    public Task RunAsync(CancellationToken stopping) =>
        Task.Factory.StartNew(() => Send(stopping), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private void Send(CancellationToken stopping)
    {
        using var socket = new Socket(target.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(target);
        using var datagrams = new DatagramBatch(socket);
        Span<int> devices = stackalloc int[DatagramBatch.DatagramsMax];
        var perDatagram = context.Options.Batch;
        var start = Stopwatch.GetTimestamp();
        var lines = 0;

        while (!stopping.IsCancellationRequested && !schedule.IsOver)
        {
            var due = schedule.Take(Stopwatch.GetElapsedTime(start), devices);
            if (due == 0)
            {
                Flush(datagrams, ref lines);
                stopping.WaitHandle.WaitOne(Nap);
                continue;
            }

            var unixMs = context.UnixMs;
            foreach (var device in devices[..due])
            {
                if (lines > 0 && lines % perDatagram == 0 && !datagrams.Next())
                    Flush(datagrams, ref lines);
                else if (lines % perDatagram > 0)
                    datagrams.Advance(WriteLineEnd(datagrams.Free));
                datagrams.Advance(context.Fleet.WriteNext(device, unixMs, datagrams.Free, out _));
                lines++;
            }

            if (lines >= DatagramBatch.DatagramsMax * perDatagram / 2 || perDatagram == 1)
                Flush(datagrams, ref lines);
        }

        Flush(datagrams, ref lines);
    }

    private static int WriteLineEnd(Span<byte> target)
    {
        target[0] = (byte)'\n';
        return 1;
    }

    private void Flush(DatagramBatch datagrams, ref int lines)
    {
        if (lines == 0)
            return;
        var bytes = datagrams.Bytes;
        var refused = datagrams.Send();
        for (var i = 0; i < refused; i++)
            context.Tally.CountSendError();
        context.Tally.CountSent(lines, bytes);
        lines = 0;
    }
}
