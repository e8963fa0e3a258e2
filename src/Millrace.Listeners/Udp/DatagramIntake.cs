using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Listeners.Udp;

/// <summary>
/// Turns datagrams into readings of a batch and keeps count. No I/O. Hot: one per receive thread; a good datagram
/// allocates nothing.
/// </summary>
internal sealed class DatagramIntake(ListenerContext context, UdpListenerOptions options, ListenerLedger ledger)
{
    private readonly Decoder _decoder = context.Decoder;
    private readonly IAdmission _admission = context.Admission;
    private readonly DeadLetterGate _deadLetters = new(context, ListenerId.Udp);
    private readonly AddressRates? _rates = AddressRates.Of(options.ReadingsPerAddressPerSecond, context.Time);
    private readonly bool _refuseAll = context.Security == SecurityMode.Token && !options.AllowAnonymous;
    private readonly byte[] _idBuffer = new byte[Decoder.IdBufferBytes];
    private readonly long[] _rejected = new long[Enum.GetValues<RejectReason>().Length];
    private long _received;
    private long _accepted;
    private bool _anyRejected;

    /// <summary>Adds the readings of one datagram to the batch.</summary>
    public void Take(ReadOnlySpan<byte> datagram, UInt128 address, ReadingBatch batch)
    {
        var taken = _received;
        var first = FirstByte(datagram);
        if (first is (byte)'{' or (byte)'[')
            TakeJson(datagram, address, batch);
        else
            TakeLines(datagram, address, batch);

        // An empty datagram is somebody's mistake, too.
        if (_received == taken)
            Settle(RejectReason.EmptyPayload, default, datagram, address, batch);
    }

    /// <summary>Enters into the books what was taken since the last call.</summary>
    public void WriteBooks()
    {
        if (_received == 0)
            return;
        ledger.CountReceived(_received);
        ledger.EnterFlight(_accepted);
        _received = _accepted = 0;
        if (!_anyRejected)
            return;
        for (var reason = 0; reason < _rejected.Length; reason++)
        {
            if (_rejected[reason] > 0)
                ledger.CountRejected((RejectReason)reason, _rejected[reason]);
            _rejected[reason] = 0;
        }

        _anyRejected = false;
    }

    private void TakeLines(ReadOnlySpan<byte> datagram, UInt128 address, ReadingBatch batch)
    {
        while (!datagram.IsEmpty)
        {
            var end = datagram.IndexOf((byte)'\n');
            var line = end < 0 ? datagram : datagram[..end];
            datagram = end < 0 ? default : datagram[(end + 1)..];
            line = line.TrimEnd((byte)'\r');
            if (IsBlank(line))
                continue;

            var reason = FirstByte(line) == '{'
                ? _decoder.Json(line, default, _idBuffer, out var reading)
                : _decoder.TextLine(line, out reading);
            Settle(reason, reading, line, address, batch);
        }
    }

    private void TakeJson(ReadOnlySpan<byte> datagram, UInt128 address, ReadingBatch batch)
    {
        var elements = new JsonElements(datagram.TrimEnd((byte)0));
        while (elements.MoveNext())
        {
            var reading = default(DecodedReading);
            var reason = elements.Fault;
            if (reason == RejectReason.None)
            {
                reason = elements.Layout == JsonLayout.Lines && elements.Current[0] != '{'
                    ? _decoder.TextLine(elements.Current, out reading)
                    : _decoder.Json(elements.Current, default, _idBuffer, out reading);
            }

            Settle(reason, reading, elements.Current, address, batch);
        }
    }

    private void Settle(RejectReason reason, in DecodedReading reading, ReadOnlySpan<byte> source, UInt128 address, ReadingBatch batch)
    {
        _received++;
        if (_refuseAll)
            reason = RejectReason.Unauthenticated;
        else if (_rates is not null && !_rates.TryTake(address))
            reason = RejectReason.RateLimited;
        else if (reason == RejectReason.None)
            reason = _admission.Admit(Sender.Anonymous, reading.Id);

        if (reason == RejectReason.None)
        {
            batch.Add(0, reading.Id, ListenerId.Udp, reading.Format, ReadingFlags.None, reading.DeviceTime, default, reading.Payload);
            _accepted++;
            return;
        }

        _rejected[(int)reason]++;
        _anyRejected = true;
        _deadLetters.Keep(reason, reading.Id, reading.ErrorAt, source);
    }

    private static byte FirstByte(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("\uFEFF"u8))
            text = text[3..];
        foreach (var b in text)
        {
            if (b is not ((byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n'))
                return b;
        }

        return 0;
    }

    private static bool IsBlank(ReadOnlySpan<byte> line) => line.Trim(" \t\r\0"u8).IsEmpty;
}
