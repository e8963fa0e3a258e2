using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Millrace.Core;

namespace Millrace.Listeners.Tcp;

/// <summary>
/// One connection: reads, cuts lines, appends, answers, one after the other, so that a slow disk holds the sender back. While
/// it waits for bytes it holds no buffer beyond an unfinished line.
/// </summary>
internal sealed class TcpLineConnection(Socket socket, TcpSessionContext shared, TcpConnectionTable table)
{
    /// <summary>A good read on a fast connection; a slow one never fills it.</summary>
    private const int ReadBytes = 32 << 10;

    /// <summary>The longest line and its CR LF.</summary>
    private const int BufferBytesMax = TcpLineSession.LineBytesMax + 2;

    /// <summary>While the log is full a sender without answers is held back; how often to look again.</summary>
    private static readonly TimeSpan FullPoll = TimeSpan.FromMilliseconds(250);

    /// <summary>How long a connection that gives way may take to store and answer what it has read.</summary>
    private static readonly TimeSpan GiveWayPatience = TimeSpan.FromSeconds(3);

    private readonly TcpLineSession _session = new(shared, ((IPEndPoint)socket.RemoteEndPoint!).Address);
    private byte[] _buffer = [];
    private int _length;
    private bool _skipping;
    private volatile bool _closing;
    private volatile ITimer? _lastChance;

    /// <summary>Its place in the table's order of silence; the table's alone.</summary>
    public LinkedListNode<TcpLineConnection>? Place { get; set; }

    /// <summary>Timestamp of the last bytes; the table's alone.</summary>
    public long ActiveAt { get; set; }

    /// <summary>Serves until the other end closes or <see cref="StopReading"/>; throws what the socket throws.</summary>
    /// <param name="abort">Fires when the server cannot wait any longer.</param>
    public async Task ServeAsync(CancellationToken abort)
    {
        try
        {
            while (await FillAsync())
            {
                table.Touch(this);
                if (!await TakeLinesAsync(atEnd: false, abort))
                    return;
            }

            if (!_closing)
                await TakeLinesAsync(atEnd: true, abort);
            socket.Shutdown(SocketShutdown.Both);
        }
        finally
        {
            AbandonUnfinished();
            ReleaseBuffer();
            socket.Dispose();
            _lastChance?.Dispose();
        }
    }

    /// <summary>Makes the connection finish what it has read and close. May be called by any thread.</summary>
    public void StopReading()
    {
        _closing = true;
        try
        {
            socket.Shutdown(SocketShutdown.Receive);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has closed by itself in the meantime.
        }
    }

    /// <summary>
    /// The same for one that has to go for others' sake: when it has not ended after some seconds, because the other end
    /// does not read its answers, it is closed. May be called by any thread.
    /// </summary>
    public void GiveWay()
    {
        StopReading();
        _lastChance = shared.Context.Time.CreateTimer(_ => Abort(), null, GiveWayPatience, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Closes at once, whatever it is doing. May be called by any thread.</summary>
    public void Abort()
    {
        _closing = true;
        socket.Dispose();
    }

    /// <summary>Waits for bytes and reads them behind the unfinished line.</summary>
    /// <returns>False at the end of the connection.</returns>
    private async ValueTask<bool> FillAsync()
    {
        if (_closing)
            return false;
        if (socket.Available == 0 && !await WaitForBytesAsync())
            return false;

        Reserve(Math.Min(BufferBytesMax, Math.Max(ReadBytes, _length * 2)));
        var read = await socket.ReceiveAsync(_buffer.AsMemory(_length));
        _length += read;
        return read > 0;
    }

    private async ValueTask<bool> WaitForBytesAsync()
    {
        Shrink();
        var held = _buffer.Length;
        if (!shared.TryHold(held))
        {
            // Too many unfinished lines everywhere: this one is given up.
            _closing = true;
            return false;
        }

        try
        {
            // Completes when there is something to read, or at the end.
            await socket.ReceiveAsync(Memory<byte>.Empty);
            return true;
        }
        finally
        {
            shared.LetGo(held);
        }
    }

    /// <summary>Appends the readings of all whole lines and answers them.</summary>
    /// <returns>False when the connection is to be closed.</returns>
    private async ValueTask<bool> TakeLinesAsync(bool atEnd, CancellationToken abort)
    {
        var batch = shared.RentBatch();
        try
        {
            CutLines(batch, atEnd);
            _session.WriteBooks();
            var goesOn = batch.Count == 0
                ? await AnswerAsync(batch, dropped: null, abort)
                : await AppendAsync(batch, abort);
            return goesOn && !_session.IsHttp;
        }
        finally
        {
            _session.ClearOutcomes();
            shared.ReturnBatch(batch);
        }
    }

    private void CutLines(ReadingBatch batch, bool atEnd)
    {
        var rest = _buffer.AsSpan(0, _length);
        while (rest.IndexOf((byte)'\n') is var end and >= 0 && !_session.IsHttp)
        {
            if (!_skipping)
                _session.Take(rest[..end], batch);
            _skipping = false;
            rest = rest[(end + 1)..];
        }

        if (_skipping || _session.IsHttp)
        {
            rest = default;
        }
        else if (rest.Length > TcpLineSession.LineBytesMax && (rest.Length >= BufferBytesMax || rest[^1] != '\r'))
        {
            _session.RefuseTooLong(rest);
            _skipping = true;
            rest = default;
        }
        else if (atEnd && !rest.IsEmpty)
        {
            // The last line need not have an end.
            _session.Take(rest, batch);
            rest = default;
        }

        rest.CopyTo(_buffer);
        _length = rest.Length;
    }

    private async ValueTask<bool> AppendAsync(ReadingBatch batch, CancellationToken abort)
    {
        if (!_session.Acknowledges)
        {
            if (shared.Appender.TryAppend(batch))
                return true;
            await WaitWhileFullAsync(batch.Count, abort);
        }

        try
        {
            await shared.Appender.AppendAsync(batch, abort);
        }
        catch (LogUnavailableException e)
        {
            var reason = e.State == LogState.Full ? DropReason.LogFull : DropReason.LogFailed;
            await AnswerAsync(batch, reason, abort);
            // Who is answered decides himself; to others a closed connection is the only word we have.
            return _session.Acknowledges;
        }

        return await AnswerAsync(batch, dropped: null, abort);
    }

    /// <summary>Holds the sender back by not reading: what is on the way stays in its and our network buffers.</summary>
    private async ValueTask WaitWhileFullAsync(int readings, CancellationToken abort)
    {
        if (shared.Context.Log.State != LogState.Full)
            return;
        shared.Ledger.EnterFlight(readings);
        try
        {
            while (shared.Context.Log.State == LogState.Full && !_closing)
                await Task.Delay(FullPoll, shared.Context.Time, abort);
        }
        catch (OperationCanceledException)
        {
            // The append that follows refuses them and counts it.
        }
        finally
        {
            shared.Ledger.EnterFlight(-readings);
        }
    }

    private async ValueTask<bool> AnswerAsync(ReadingBatch batch, DropReason? dropped, CancellationToken abort)
    {
        if (_session.OutcomeCount == 0)
            return true;
        var answers = new ArrayBufferWriter<byte>(_session.OutcomeCount * 24);
        if (dropped is { } reason)
            _session.WriteAnswers(reason, answers);
        else
            _session.WriteAnswers(batch, answers);
        for (var rest = answers.WrittenMemory; !rest.IsEmpty;)
            rest = rest[await socket.SendAsync(rest, abort)..];
        return true;
    }

    /// <summary>An unfinished line of a connection that we or the network ended: received, and lost.</summary>
    private void AbandonUnfinished()
    {
        if (_length == 0)
            return;
        shared.Ledger.CountReceived(1);
        shared.Ledger.CountDropped(DropReason.Abandoned);
        _length = 0;
    }

    /// <summary>Keeps no more memory than the unfinished line while waiting.</summary>
    private void Shrink()
    {
        if (_length == 0)
            ReleaseBuffer();
        else if (_buffer.Length > 2 * Math.Max(_length, 128))
            Move(_length);
    }

    private void Reserve(int bytes)
    {
        if (_buffer.Length < bytes)
            Move(bytes);
    }

    private void Move(int bytes)
    {
        var moved = ArrayPool<byte>.Shared.Rent(bytes);
        _buffer.AsSpan(0, _length).CopyTo(moved);
        ReleaseBuffer();
        _buffer = moved;
    }

    private void ReleaseBuffer()
    {
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }
}
