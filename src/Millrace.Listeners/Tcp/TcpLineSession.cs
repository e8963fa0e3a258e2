using System.Buffers;
using System.Buffers.Text;
using System.Net;
using System.Text;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Listeners.Tcp;

/// <summary>
/// What one connection's lines mean: readings for the batch, and an outcome per line, in order, for the answers. No I/O.
/// Hot: a good line allocates nothing.
/// </summary>
internal sealed class TcpLineSession(TcpSessionContext shared, IPAddress address)
{
    /// <summary>The longest line, without its line end.</summary>
    public const int LineBytesMax = 64 << 10;

    /// <summary>"OK " or "ERR ", the longest position or reason, the line end.</summary>
    private const int AnswerBytesMax = 64;

    private readonly byte[] _addressId = AddressIdOf(address);
    private readonly UInt128 _addressKey = AddressRates.KeyOf(address);
    private RejectReason[] _outcomes = [];
    private int _outcomeCount;
    private int _received;
    private bool _anyLine;

    /// <summary>Lines are answered.</summary>
    public bool Acknowledges { get; private set; } = shared.Options.Acknowledge;

    /// <summary>The other end speaks HTTP: nothing more is to be read.</summary>
    public bool IsHttp { get; private set; }

    /// <summary>Lines since the last <see cref="ClearOutcomes"/> that are to be answered.</summary>
    public int OutcomeCount => _outcomeCount;

    /// <summary>Takes one line without its line end.</summary>
    public void Take(ReadOnlySpan<byte> line, ReadingBatch batch)
    {
        line = line.TrimEnd((byte)'\r');
        var isFirst = !_anyLine;
        if (IsBlank(line))
            return;
        _anyLine = true;
        if (isFirst && line.SequenceEqual("ACK"u8))
        {
            Acknowledges = true;
            return;
        }

        if (isFirst && IsHttpRequestLine(line))
        {
            // A browser, made to post here by some page: not one of its lines may become a reading.
            IsHttp = true;
            Refuse(RejectReason.UnsupportedFormat, default, line);
            return;
        }

        if (line.Length > LineBytesMax)
        {
            Refuse(RejectReason.TooLarge, default, line);
            return;
        }

        var reason = Decode(line, out var reading);
        if (shared.RefuseAll)
            reason = RejectReason.Unauthenticated;
        else if (shared.Rates is { } rates && !rates.TryTake(_addressKey))
            reason = RejectReason.RateLimited;
        else if (reason == RejectReason.None)
            reason = shared.Context.Admission.Admit(Sender.Anonymous, reading.Id);
        if (reason != RejectReason.None)
        {
            Refuse(reason, reading, line);
            return;
        }

        batch.Add(0, reading.Id, ListenerId.Tcp, reading.Format, ReadingFlags.None, reading.DeviceTime, default, reading.Payload);
        _received++;
        Note(RejectReason.None);
    }

    /// <summary>Refuses a line that grew longer than allowed; its rest is skipped by the caller.</summary>
    public void RefuseTooLong(ReadOnlySpan<byte> beginning)
    {
        _anyLine = true;
        Refuse(RejectReason.TooLarge, default, beginning);
    }

    /// <summary>Enters the lines since the last call into the books; refused ones already are.</summary>
    public void WriteBooks()
    {
        if (_received > 0)
            shared.Ledger.CountReceived(_received);
        _received = 0;
    }

    public void ClearOutcomes() => _outcomeCount = 0;

    /// <summary>Writes the answers to all lines since the last clearing, in their order.</summary>
    /// <param name="batch">The batch as the log has filled in its positions.</param>
    public void WriteAnswers(ReadingBatch batch, IBufferWriter<byte> output)
    {
        var index = 0;
        foreach (var outcome in _outcomes.AsSpan(0, _outcomeCount))
        {
            var span = output.GetSpan(AnswerBytesMax);
            output.Advance(outcome == RejectReason.None ? WriteOk(batch.PositionOf(index++), span) : WriteError(outcome.Name(), span));
        }
    }

    /// <summary>The same when the log took none of them.</summary>
    public void WriteAnswers(DropReason dropped, IBufferWriter<byte> output)
    {
        foreach (var outcome in _outcomes.AsSpan(0, _outcomeCount))
        {
            var span = output.GetSpan(AnswerBytesMax);
            output.Advance(WriteError(outcome == RejectReason.None ? dropped.Name() : outcome.Name(), span));
        }
    }

    private RejectReason Decode(ReadOnlySpan<byte> line, out DecodedReading reading)
    {
        var decoder = shared.Context.Decoder;
        if (line[0] == '{')
        {
            // One per call and thread: the line is decoded and copied before anything else happens.
            var idBuffer = TcpSessionContext.IdBufferOfThread;
            var reason = decoder.Json(line, default, idBuffer, out reading);
            if (reason == RejectReason.MissingDevice)
                return decoder.Json(line, _addressId, idBuffer, out reading);
            return reason == RejectReason.InvalidJson ? decoder.PlainText(line, _addressId, out reading) : reason;
        }

        var colon = line.IndexOf((byte)':');
        return colon > 0 && DeviceIds.IsTextId(line[..colon])
            ? decoder.TextLine(line, out reading)
            : decoder.PlainText(line, _addressId, out reading);
    }

    private void Refuse(RejectReason reason, in DecodedReading reading, ReadOnlySpan<byte> line)
    {
        shared.Ledger.CountReceived(1);
        shared.Ledger.CountRejected(reason);
        shared.DeadLetters.Keep(reason, reading.Id, reading.ErrorAt, line);
        Note(reason);
    }

    private void Note(RejectReason outcome)
    {
        if (!Acknowledges)
            return;
        if (_outcomeCount == _outcomes.Length)
            Array.Resize(ref _outcomes, Math.Max(16, _outcomeCount * 2));
        _outcomes[_outcomeCount++] = outcome;
    }

    private static int WriteOk(LogPosition position, Span<byte> target)
    {
        "OK "u8.CopyTo(target);
        var length = 3;
        Utf8Formatter.TryFormat(position.Partition, target[length..], out var written);
        length += written;
        target[length++] = (byte)':';
        Utf8Formatter.TryFormat(position.Sequence, target[length..], out written);
        length += written;
        target[length++] = (byte)'\n';
        return length;
    }

    private static int WriteError(string reason, Span<byte> target)
    {
        "ERR "u8.CopyTo(target);
        var length = 4 + Encoding.ASCII.GetBytes(reason, target[4..]);
        target[length++] = (byte)'\n';
        return length;
    }

    /// <summary>METHOD SP target SP HTTP/….</summary>
    private static bool IsHttpRequestLine(ReadOnlySpan<byte> line)
    {
        var method = line.IndexOf((byte)' ');
        var version = line.LastIndexOf(" HTTP/"u8);
        return method is > 0 and <= 20 && version > method && !line[..method].ContainsAnyExceptInRange((byte)'A', (byte)'Z');
    }

    private static bool IsBlank(ReadOnlySpan<byte> line) => line.Trim(" \t\r\0"u8).IsEmpty;

    /// <summary>The device of lines that name none: <c>tcp-</c> and the address, with '-' for ':'.</summary>
    private static byte[] AddressIdOf(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        var text = address.ToString();
        // The zone of a link-local address is a matter of this machine.
        var zone = text.IndexOf('%');
        return Encoding.ASCII.GetBytes("tcp-" + (zone < 0 ? text : text[..zone]).Replace(':', '-'));
    }
}
