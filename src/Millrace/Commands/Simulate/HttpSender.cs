using System.Buffers;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Millrace.Commands.Simulate;

/// <summary>Posts readings over one kept-alive connection, one request at a time; an unanswered request is posted again.</summary>
#pragma warning disable CA1001 // RunAsync opens the connection and closes it before it returns.
internal sealed class HttpSender(SenderContext context, IPEndPoint target, Schedule schedule, int index) : ISender
#pragma warning restore CA1001
{
    private readonly List<(int Device, long Mark)> _readings = [];
    private readonly ArrayBufferWriter<byte> _body = new();
    private readonly ArrayBufferWriter<byte> _lines = new();
    private HttpExchange? _exchange;
    private int _failures;

    public long Unanswered { get; private set; }

    public async Task RunAsync(CancellationToken stopping)
    {
        using var giveUp = new CancellationTokenSource();
        await using var onStop = stopping.Register(() => giveUp.CancelAfter(context.Options.Patience));
        var devices = new int[context.Options.Batch];
        var start = Stopwatch.GetTimestamp();
        try
        {
            while (!stopping.IsCancellationRequested && !schedule.IsOver)
            {
                var due = schedule.Take(Stopwatch.GetElapsedTime(start), devices);
                if (due == 0)
                {
                    await Task.Delay(SenderContext.Tick, stopping);
                    continue;
                }

                if (schedule.IsOver)
                    giveUp.CancelAfter(context.Options.Patience);
                await PostAsync(Write(devices.AsSpan(0, due)), giveUp.Token);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested || giveUp.IsCancellationRequested)
        {
            // What is unanswered now stays so, and the report says it.
        }
        finally
        {
            _exchange?.Dispose();
        }
    }

    /// <returns>The head of the request whose body now holds the readings.</returns>
    private byte[] Write(ReadOnlySpan<int> devices)
    {
        _body.ResetWrittenCount();
        _readings.Clear();
        Span<byte> reading = stackalloc byte[Fleet.ReadingBytesMax];
        var unixMs = context.UnixMs;
        foreach (var device in devices)
        {
            var length = context.Options.Payload == PayloadKind.Xml
                ? context.Fleet.WriteNext(device, unixMs, reading, out var mark)
                : context.Fleet.WriteNextObject(device, unixMs, reading, out mark);
            _body.Write(reading[..length]);
            if (context.Options.Batch > 1)
                _body.Write("\n"u8);
            _readings.Add((device, mark));
        }

        Unanswered = devices.Length;
        context.Tally.CountSent(devices.Length, _body.WrittenCount);
        var host = $"{context.Options.Host}:{context.Options.Port}";
        return context.Options.Payload == PayloadKind.Xml
            ? HttpExchange.Head("POST", $"/api/v1/devices/{context.Fleet.Id(devices[0])}/telemetry", host, "application/xml", context.Options.Token)
            : HttpExchange.Head(
                "POST", "/api/v1/telemetry", host, context.Options.Batch > 1 ? "application/x-ndjson" : "application/json", context.Options.Token);
    }

    private async Task PostAsync(byte[] head, CancellationToken cancel)
    {
        var started = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                _exchange ??= await HttpExchange.ConnectAsync(target, cancel);
                var answer = await _exchange.SendAsync(head, _body.WrittenMemory, cancel);
                if (answer.Status is not (429 or 503))
                {
                    Settle(answer, started);
                    return;
                }

                await Task.Delay(TimeSpan.FromSeconds(Math.Max(answer.RetryAfterSeconds, 1)), cancel);
            }
            catch (SocketException)
            {
                if (_exchange is not null)
                    context.Tally.CountReconnect();
                _exchange?.Dispose();
                _exchange = null;
                await Task.Delay(SenderContext.BackOff(++_failures, index), cancel);
            }

            context.Tally.CountSentAgain(_readings.Count);
        }
    }

    private void Settle(HttpExchange.Answer answer, long started)
    {
        _failures = 0;
        Unanswered = 0;
        context.Tally.Latency.Add(started, Stopwatch.GetTimestamp(), _readings.Count);
        var refused = new Dictionary<int, string>();
        if (answer.Status is 200 or 400)
            ReadRefusals(answer.Body.Span, refused);
        if (answer.Status != 200 && refused.Count == 0)
        {
            context.Tally.CountRejected($"HTTP {answer.Status}", _readings.Count);
            return;
        }

        foreach (var reason in refused.Values)
            context.Tally.CountRejected(reason);
        context.Tally.CountAcknowledged(_readings.Count - refused.Count);
        if (context.Acknowledged is null)
            return;
        for (var i = 0; i < _readings.Count; i++)
        {
            if (!refused.ContainsKey(i))
                AcknowledgedFile.Format(_lines, "-"u8, context.Fleet, _readings[i].Device, _readings[i].Mark);
        }

        context.Acknowledged.Append(_lines);
    }

    /// <summary>Reads {"accepted":n,"rejected":[{"index":i,"reason":"…"}]}; anything else has no refusals.</summary>
    private static void ReadRefusals(ReadOnlySpan<byte> body, Dictionary<int, string> refused)
    {
        // The usual answer has none, and is not worth parsing.
        if (body.IndexOf("\"index\""u8) < 0)
            return;
        var reader = new Utf8JsonReader(body);
        var (inside, index, reason) = (false, -1, "");
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("rejected"u8))
                inside = true;
            else if (!inside)
                continue;
            else if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("index"u8) && reader.Read())
                index = reader.GetInt32();
            else if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("reason"u8) && reader.Read())
                reason = reader.GetString() ?? "";
            else if (reader.TokenType == JsonTokenType.EndObject && index >= 0)
                (refused[index], index) = (reason, -1);
        }
    }
}
