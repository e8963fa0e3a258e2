using System.Buffers;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace Millrace.Commands.Simulate;

/// <summary>
/// Sends lines over one connection without waiting for each answer, and connects again, with growing pauses, when it
/// breaks. Lines whose answer was lost are sent again: at least once, as a careful device would.
/// </summary>
internal sealed class TcpSender(SenderContext context, IPEndPoint target, Schedule schedule, int index) : ISender
{
    private readonly UnansweredLines _lines = new();
    private readonly long _start = Stopwatch.GetTimestamp();

    public long Unanswered => _lines.Count;

    public async Task RunAsync(CancellationToken stopping)
    {
        using var giveUp = new CancellationTokenSource();
        await using var onStop = stopping.Register(() => giveUp.CancelAfter(context.Options.Patience));
        var failures = 0;
        try
        {
            while (true)
            {
                using var socket = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                try
                {
                    await socket.ConnectAsync(target, giveUp.Token);
                    if (failures > 0)
                        context.Tally.CountReconnect();
                    failures = 0;
                    if (await ServeAsync(socket, giveUp, stopping))
                        return;
                }
                catch (SocketException)
                {
                    // The server is away or has just gone; the loop comes back until patience ends.
                }

                failures++;
                if (IsOver(stopping) && _lines.Count == 0)
                    return;
                await Task.Delay(SenderContext.BackOff(failures, index), giveUp.Token);
            }
        }
        catch (OperationCanceledException) when (giveUp.IsCancellationRequested)
        {
            // What is unanswered now stays so, and the report says it.
        }
    }

    private bool IsOver(CancellationToken stopping) => stopping.IsCancellationRequested || schedule.IsOver;

    /// <returns>True when everything due was sent and answered; false when the connection broke.</returns>
    private async Task<bool> ServeAsync(Socket socket, CancellationTokenSource giveUp, CancellationToken stopping)
    {
        var acknowledge = context.Options.Acknowledge;
        context.Tally.CountSentAgain(_lines.Rewind());
        if (acknowledge)
            await socket.SendAsync("ACK\n"u8.ToArray(), giveUp.Token);

        // Ended by the receiving side when the connection breaks, so that the sending side does not wait for ever.
        var answers = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        var receiving = ReceiveAsync(socket, answers.Writer, giveUp.Token);
        try
        {
            return await SendAsync(socket, answers.Reader, giveUp, stopping);
        }
        finally
        {
            socket.Dispose();
            await receiving;
        }
    }

    private async Task<bool> SendAsync(Socket socket, ChannelReader<bool> answers, CancellationTokenSource giveUp, CancellationToken stopping)
    {
        var devices = new int[512];
        var paced = context.Options.Interval is not null || context.Options.Rate > 0;
        while (true)
        {
            if (answers.Completion.IsCompleted)
                return false;

            var added = stopping.IsCancellationRequested ? 0 : AddDue(devices);
            var unsent = _lines.Unsent;
            if (unsent.Length > 0)
            {
                var bytes = await socket.SendAsync(unsent, giveUp.Token);
                _lines.MarkSent(bytes);
                if (!context.Options.Acknowledge)
                    ForgetSent();
            }
            else if (IsOver(stopping))
            {
                if (_lines.Count == 0)
                    return true;
                giveUp.CancelAfter(context.Options.Patience);
                await answers.WaitToReadAsync(giveUp.Token);
                answers.TryRead(out _);
            }
            else if (added == 0 && !paced)
            {
                await answers.WaitToReadAsync(giveUp.Token);
                answers.TryRead(out _);
            }
            else if (paced)
            {
                await Task.Delay(SenderContext.Tick, giveUp.Token);
            }
        }
    }

    private int AddDue(int[] devices)
    {
        var room = context.Options.InFlightMax - _lines.Count;
        if (room <= 0)
            return 0;
        var due = schedule.Take(Stopwatch.GetElapsedTime(_start), devices.AsSpan(0, Math.Min(room, devices.Length)));
        if (due == 0)
            return 0;

        Span<byte> line = stackalloc byte[Fleet.ReadingBytesMax];
        var (unixMs, now, bytes) = (context.UnixMs, Stopwatch.GetTimestamp(), 0L);
        foreach (var device in devices.AsSpan(0, due))
        {
            var length = context.Fleet.WriteNext(device, unixMs, line, out var mark);
            line[length++] = (byte)'\n';
            _lines.Add(line[..length], device, mark, now);
            bytes += length;
        }

        context.Tally.CountSent(due, bytes);
        return due;
    }

    /// <summary>Without answers a line is done with when the kernel has taken it.</summary>
    private void ForgetSent()
    {
        while (_lines.Unsent.Length == 0 && _lines.TryTake(out _))
        {
        }
    }

    private async Task ReceiveAsync(Socket socket, ChannelWriter<bool> answers, CancellationToken cancel)
    {
        var buffer = new byte[1 << 16];
        var batch = new ArrayBufferWriter<byte>();
        var held = 0;
        try
        {
            while (true)
            {
                var received = await socket.ReceiveAsync(buffer.AsMemory(held), cancel);
                if (received == 0)
                    return;
                var used = TakeAnswers(buffer.AsSpan(0, held + received), batch);
                held += received - used;
                buffer.AsSpan(used, held).CopyTo(buffer);
                if (held == buffer.Length)
                    throw new InvalidDataException("An answer is longer than 64 KiB: this is not a Millrace TCP listener.");
                answers.TryWrite(true);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The connection is gone; the sending side connects again.
        }
        finally
        {
            answers.TryComplete();
        }
    }

    private int TakeAnswers(ReadOnlySpan<byte> received, ArrayBufferWriter<byte> batch)
    {
        var now = Stopwatch.GetTimestamp();
        var (used, acknowledged) = (0, 0);
        while (received[used..].IndexOf((byte)'\n') is var end and >= 0)
        {
            var answer = received.Slice(used, end).TrimEnd((byte)'\r');
            used += end + 1;
            if (!_lines.TryTake(out var line))
                continue;
            context.Tally.Latency.Add(line.AddedAt, now);
            if (!answer.StartsWith("OK "u8))
            {
                context.Tally.CountRejected(Encoding.UTF8.GetString(answer.StartsWith("ERR "u8) ? answer[4..] : answer));
                continue;
            }

            acknowledged++;
            if (context.Acknowledged is not null)
                AcknowledgedFile.Format(batch, answer[3..], context.Fleet, line.Device, line.Mark);
        }

        context.Tally.CountAcknowledged(acknowledged);
        context.Acknowledged?.Append(batch);
        return used;
    }
}
