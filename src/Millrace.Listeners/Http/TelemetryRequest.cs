using System.Buffers;
using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Listeners.Http;

/// <summary>How the reading of a body ended.</summary>
internal enum TelemetryOutcome
{
    /// <summary>To its end; some or all readings may be refused.</summary>
    Taken,
    TooLarge,

    /// <summary>No memory for it now.</summary>
    Behind,
    LogRefused,

    /// <summary>The caller went away. What was read before is stored.</summary>
    Aborted,

    /// <summary>The body did not come to its proper end, but the caller may still hear so. What was read before is stored.</summary>
    BrokenOff,
}

/// <summary>
/// One request's body on its way into the log: a buffer, batches of about 256 KB of which several wait for the disk at
/// once, and what was refused. Hot; pooled; one request at a time.
/// </summary>
internal sealed class TelemetryRequest
{
    private const int SmallBufferBytes = 8 << 10;

    /// <summary>A batch goes to the log when it has grown to this: large enough for few flushes, small enough to overlap.</summary>
    private const int BatchBytes = 256 << 10;

    /// <summary>Batches of one request that may wait for the disk together.</summary>
    private const int BatchesInFlight = 4;

    /// <summary>Refusals named in the answer; the rest is only counted there.</summary>
    private const int RejectedListed = 1000;

    private readonly TelemetryEndpoint _endpoint;
    private readonly byte[] _smallBuffer = new byte[SmallBufferBytes];
    private readonly Stack<ReadingBatch> _spare = [];
    private readonly List<(ReadingBatch Batch, ValueTask Append)> _appends = [];
    private readonly List<(int Index, RejectReason Reason)> _rejected = [];
    private readonly byte[] _pathId = new byte[DeviceIds.LengthMax];

    private byte[] _buffer;
    private int _filled;
    private int _consumed;
    private int _landed;
    private int _pathIdLength;
    private string? _pathIdText;
    private Sender _sender;
    private int _index;
    private int _uncounted;
    private bool _skippingLine;
    private int _faultAt;

    public TelemetryRequest(TelemetryEndpoint endpoint)
    {
        _endpoint = endpoint;
        _buffer = _smallBuffer;
        Batch = new ReadingBatch(endpoint.Log.PartitionCount);
    }

    /// <summary>Readings known to be on stable storage.</summary>
    public int Accepted { get; private set; }

    public int RejectedCount { get; private set; }

    /// <summary>Why the log took no more, when it did not.</summary>
    public LogUnavailableException? RefusedBy { get; private set; }

    /// <summary>What was wrong with the body as HTTP, when it broke off.</summary>
    public BadHttpRequestException? Break { get; private set; }

    public bool OnlyTooLarge => _rejected.Count > 0 && _rejected.TrueForAll(r => r.Reason == RejectReason.TooLarge);

    /// <summary>The first refusal in words, with its place.</summary>
    public string FirstFault
    {
        get
        {
            if (_rejected.Count == 0)
                return "The body holds no reading.";
            var (index, reason) = _rejected[0];
            var place = _faultAt > 0 ? $", near byte {_faultAt} of it" : "";
            return $"Reading {index}: {reason.Name()}{place}.";
        }
    }

    /// <summary>The batch that is being filled.</summary>
    private ReadingBatch Batch { get; set; }

    /// <summary>Reads the body and hands its readings to the log; returns when what was taken is durable.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<TelemetryOutcome> TakeAsync(HttpContext context, BodyType type, Sender sender, string? device)
    {
        _sender = sender;
        if (device is not null && !TrySetPathId(device))
        {
            _uncounted++;
            Reject(RejectReason.BadDeviceId, 0, default);
            CountReceived();
            return TelemetryOutcome.Taken;
        }

        try
        {
            var outcome = type == BodyType.JsonLines
                ? await TakeLinesAsync(context.Request.Body)
                : await TakeWholeAsync(context.Request.Body, type);
            Submit();
            await SettleAsync();
            return RefusedBy is null ? outcome : TelemetryOutcome.LogRefused;
        }
        catch (BadHttpRequestException error) when (error.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            return await EndEarlyAsync(RejectBody());
        }
        catch (BadHttpRequestException error)
        {
            // It ended early, came slower than the limit or was garbled: whole readings count, the unfinished one was never
            // received. The sender may still be listening, and silence would reach it as 200.
            Break = error;
            return await EndEarlyAsync(TelemetryOutcome.BrokenOff);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ConnectionAbortedException)
        {
            return await EndEarlyAsync(TelemetryOutcome.Aborted);
        }
    }

    /// <summary>Waits until no batch is with the log any more. Must precede <see cref="Reset"/>.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask SettleAsync()
    {
        while (_landed < _appends.Count)
            await LandAsync();
    }

    /// <summary>Writes the answer to readings that were taken, at least one of them.</summary>
    public Task WriteAcceptedAsync(HttpContext context)
    {
        var response = context.Response;
        response.ContentType = "application/json";
        if (RejectedCount == 0)
        {
            Span<byte> text = stackalloc byte[64];
            "{\"accepted\":"u8.CopyTo(text);
            _ = Utf8Formatter.TryFormat(Accepted, text[12..], out var digits);
            ",\"rejected\":[]}"u8.CopyTo(text[(12 + digits)..]);
            var length = 12 + digits + 15;
            response.ContentLength = length;
            text[..length].CopyTo(response.BodyWriter.GetSpan(length));
            response.BodyWriter.Advance(length);
            return Task.CompletedTask;          // the server flushes when the request ends
        }

        using (var json = new Utf8JsonWriter(response.BodyWriter, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            WriteCounts(json);
            json.WriteEndObject();
        }

        return Task.CompletedTask;
    }

    public void WriteCounts(Utf8JsonWriter json)
    {
        json.WriteNumber("accepted"u8, Accepted);
        if (RejectedCount > _rejected.Count)
            json.WriteNumber("rejectedCount"u8, RejectedCount);
        json.WriteStartArray("rejected"u8);
        foreach (var (index, reason) in _rejected)
        {
            json.WriteStartObject();
            json.WriteNumber("index"u8, index);
            json.WriteString("reason"u8, reason.Name());
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    public void Reset()
    {
        ReleaseBuffer();
        Batch.Clear();
        _appends.Clear();
        _rejected.Clear();
        _filled = _consumed = _landed = _pathIdLength = _index = _uncounted = _faultAt = 0;
        Accepted = RejectedCount = 0;
        _pathIdText = null;
        _sender = default;
        _skippingLine = false;
        RefusedBy = null;
        Break = null;
    }

    private bool TrySetPathId(string device)
    {
        _pathIdText = device;
        return Encoding.UTF8.TryGetBytes(device, _pathId, out _pathIdLength) && DeviceIds.IsValid(_pathId.AsSpan(0, _pathIdLength));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<TelemetryOutcome> EndEarlyAsync(TelemetryOutcome outcome)
    {
        Submit();
        await SettleAsync();
        return outcome;
    }

    /// <summary>Everything but lines: the whole body is read first, for its end decides what it is.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<TelemetryOutcome> TakeWholeAsync(Stream body, BodyType type)
    {
        while (true)
        {
            if (_filled == _buffer.Length && !TryGrow(_endpoint.Options.BodyBytesMax, out var tooLarge))
                return tooLarge ? RejectBody() : TelemetryOutcome.Behind;
            var read = await body.ReadAsync(_buffer.AsMemory(_filled));
            if (read == 0)
                break;
            _filled += read;
        }

        if (_filled > _endpoint.Options.BodyBytesMax)
            return RejectBody();
        SkipSpace();
        if (_consumed == _filled)
        {
            _uncounted++;
            Reject(RejectReason.EmptyPayload, _index++, default);
            return TelemetryOutcome.Taken;
        }

        type = BodyTypes.Settle(type, _buffer[_consumed]);
        if (type == BodyType.Json)
            TakeElements();
        else
            TakeOne(type, _buffer.AsSpan(_consumed, _filled - _consumed));
        return TelemetryOutcome.Taken;
    }

    /// <summary>Lines of JSON are handed on as they come; only one line has to fit the buffer.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<TelemetryOutcome> TakeLinesAsync(Stream body)
    {
        while (true)
        {
            var read = await body.ReadAsync(_buffer.AsMemory(_filled));
            _filled += read;
            while (TakeLines(atEnd: read == 0))
            {
                Submit();
                if (_appends.Count - _landed >= BatchesInFlight)
                    await LandAsync();
                if (RefusedBy is not null)
                    return TelemetryOutcome.LogRefused;
            }

            if (read == 0)
                break;
            _buffer.AsSpan(_consumed, _filled - _consumed).CopyTo(_buffer);
            _filled -= _consumed;
            _consumed = 0;
            if (_filled <= _buffer.Length / 2)
            {
                // A body that fills the buffer is a large one: fewer, larger reads from here on.
                if (read > _buffer.Length / 2 && _buffer.Length < BatchBytes)
                    _ = TryGrow(BatchBytes, out _);
                continue;
            }

            if (_filled == _buffer.Length && !TryGrow(Math.Max(BatchBytes, _endpoint.Options.ReadingBytesMax + 1), out var tooLarge))
            {
                if (!tooLarge)
                    return TelemetryOutcome.Behind;
                RejectLongLine();
            }
        }

        return TelemetryOutcome.Taken;
    }

    /// <summary>Takes lines from the buffer until it needs more bytes or the batch is full.</summary>
    /// <returns>True when the batch is full.</returns>
    private bool TakeLines(bool atEnd)
    {
        while (_consumed < _filled)
        {
            var rest = _buffer.AsSpan(_consumed, _filled - _consumed);
            var end = rest.IndexOf((byte)'\n');
            if (end < 0 && !atEnd)
                return false;
            var line = end < 0 ? rest : rest[..end];
            _consumed += end < 0 ? rest.Length : end + 1;
            if (_skippingLine)
            {
                _skippingLine = end < 0;
                continue;
            }

            line = line.Trim(" \t\r"u8);
            if (line.IsEmpty)
                continue;
            TakeOne(BodyType.Json, line);
            if (Batch.Bytes >= BatchBytes)
                return true;
        }

        return false;
    }

    /// <summary>
    /// Takes the elements of the whole body. Full batches go to the log on the way and nobody waits for them here: the
    /// body bounds how many there are.
    /// </summary>
    private void TakeElements()
    {
        var elements = new JsonElements(_buffer.AsSpan(0, _filled));
        while (elements.MoveNext())
        {
            if (elements.Fault != RejectReason.None)
            {
                _uncounted++;
                _faultAt = elements.Offset;
                Reject(elements.Fault, _index++, elements.Current);
                return;
            }

            TakeOne(BodyType.Json, elements.Current);
            if (Batch.Bytes >= BatchBytes && !Submit())
                return;
        }
    }

    private void TakeOne(BodyType type, ReadOnlySpan<byte> payload)
    {
        var index = _index++;
        _uncounted++;
        Span<byte> idBuffer = stackalloc byte[DeviceIds.LengthMax];
        var reason = Decode(type, payload, idBuffer, out var reading);
        if (reason == RejectReason.None)
            reason = _endpoint.Admission.Admit(_sender, reading.Id);
        if (reason != RejectReason.None)
        {
            if (RejectedCount == 0)
                _faultAt = reading.ErrorAt;
            Reject(reason, index, payload, reading.Id.IsEmpty ? _pathIdText : Encoding.UTF8.GetString(reading.Id));
            return;
        }

        Batch.Add(_sender.Tenant, reading.Id, ListenerId.Http, reading.Format, _sender.Flags, reading.DeviceTime, default, reading.Payload);
    }

    private RejectReason Decode(BodyType type, ReadOnlySpan<byte> payload, Span<byte> idBuffer, out DecodedReading reading)
    {
        var pathId = _pathId.AsSpan(0, _pathIdLength);
        return type switch
        {
            BodyType.Xml => _endpoint.Decoder.Xml(payload, pathId, idBuffer, out reading),
            BodyType.Form => _endpoint.Decoder.Form(payload, pathId, idBuffer, out reading),
            _ => _endpoint.Decoder.Json(payload, pathId, idBuffer, out reading),
        };
    }

    private void Reject(RejectReason reason, int index, ReadOnlySpan<byte> payload, string? device = null)
    {
        RejectedCount++;
        if (_rejected.Count < RejectedListed)
            _rejected.Add((index, reason));
        // Received stands in the books before rejected does; those that wait in the batch enter together with their flight.
        _uncounted--;
        _endpoint.CountReceived(1);
        _endpoint.Reject(reason, _sender.Tenant, device ?? _pathIdText, _faultAt > 0 ? $"near byte {_faultAt}" : null, payload);
    }

    private TelemetryOutcome RejectBody()
    {
        _uncounted++;
        Reject(RejectReason.TooLarge, _index++, default);
        return TelemetryOutcome.TooLarge;
    }

    private void RejectLongLine()
    {
        _uncounted++;
        Reject(RejectReason.TooLarge, _index++, _buffer.AsSpan(0, _filled));
        _skippingLine = true;
        _filled = _consumed = 0;
    }

    private void CountReceived()
    {
        if (_uncounted > 0)
            _endpoint.CountReceived(_uncounted);
        _uncounted = 0;
    }

    /// <summary>Hands the batch to the log and goes on with the next one, without waiting.</summary>
    /// <returns>False when the log takes nothing.</returns>
    private bool Submit()
    {
        CountReceived();
        if (Batch.Count == 0 || RefusedBy is not null)
            return RefusedBy is null;
#pragma warning disable CA2012 // Kept in the list and awaited once, by LandAsync.
        _appends.Add((Batch, _endpoint.Appender.AppendAsync(Batch, CancellationToken.None)));
#pragma warning restore CA2012
        Batch = _spare.TryPop(out var spare) ? spare : new ReadingBatch(_endpoint.Log.PartitionCount);
        return true;
    }

    /// <summary>Waits for the oldest batch that is with the log.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask LandAsync()
    {
        var (batch, append) = _appends[_landed];
        _appends[_landed++] = default;
        try
        {
            await append;
            Accepted += batch.Count;
        }
        catch (LogUnavailableException error)
        {
            RefusedBy = error;
        }

        // Used again by this request: a long body of lines holds a few batches and not all of itself.
        batch.Clear();
        if (_spare.Count < BatchesInFlight)
            _spare.Push(batch);
    }

    private void SkipSpace()
    {
        if (_consumed == 0 && _buffer.AsSpan(0, _filled).StartsWith("\uFEFF"u8))
            _consumed = 3;
        while (_consumed < _filled && _buffer[_consumed] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n')
            _consumed++;
    }

    /// <summary>Doubles the buffer, within the limit and the budget of all requests.</summary>
    private bool TryGrow(long bytesMax, out bool tooLarge)
    {
        // One byte more than the limit, so that a body of exactly the limit fits and the next byte shows.
        tooLarge = _buffer.Length > bytesMax;
        if (tooLarge)
            return false;
        var size = (int)Math.Min(_buffer.Length * 2L, Math.Max(bytesMax + 1, SmallBufferBytes * 2));
        var larger = ArrayPool<byte>.Shared.Rent(size);
        if (!_endpoint.Budget.TryTake(larger.Length))
        {
            ArrayPool<byte>.Shared.Return(larger);
            return false;
        }

        _buffer.AsSpan(0, _filled).CopyTo(larger);
        ReleaseBuffer();
        _buffer = larger;
        return true;
    }

    private void ReleaseBuffer()
    {
        if (!ReferenceEquals(_buffer, _smallBuffer))
        {
            _endpoint.Budget.Return(_buffer.Length);
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        _buffer = _smallBuffer;
    }

    public void WarmUp()
    {
        Span<byte> idBuffer = stackalloc byte[DeviceIds.LengthMax];
        for (var i = 0; i < 64; i++)
        {
            "{\"id\":\"warm\",\"value\":1}\n{\"id\":\"warm\",\"value\":2}\n"u8.CopyTo(_buffer);
            _filled = 48;
            _consumed = 0;
            if (Decode(BodyType.Json, _buffer.AsSpan(0, 23), idBuffer, out var reading) == RejectReason.None)
                Batch.Add(0, reading.Id, ListenerId.Http, reading.Format, ReadingFlags.None, reading.DeviceTime, default, reading.Payload);
        }
    }
}
