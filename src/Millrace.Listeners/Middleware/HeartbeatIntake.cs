using System.Buffers;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.ObjectPool;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Listeners.Http;
using Decoder = Millrace.Codecs.Decoder;

namespace Millrace.Listeners.Middleware;

/// <summary>Takes heartbeats into the log, with the sender's address, and answers when they are on stable storage.</summary>
internal sealed class HeartbeatIntake(
    MiddlewareOptions options, IReadingLog log, ListenerLedger ledger, Decoder decoder, IAdmission admission, IDeadLetters deadLetters,
    Authenticator authenticator, Action<string> heard)
{
    private static readonly byte[] Taken = "{\"ok\":true}"u8.ToArray();

    private readonly ILogAppender _appender = log.OpenAppender(ledger, options.QueueBytes);
    private readonly DefaultObjectPool<ReadingBatch> _batches = new(new BatchPolicy(log.PartitionCount), maximumRetained: 512);

    public async Task PostAsync(HttpContext context)
    {
        var who = authenticator.Identify(context);
        if (who is null || !authenticator.MaySend(who))
        {
            Refuse(who is null ? RejectReason.Unauthenticated : RejectReason.NotAllowed, 0, default, default);
            await (who is null ? Authenticator.RefuseUnknownAsync(context) : Authenticator.RefuseRoleAsync(context, who, "operate"));
            return;
        }

        var batch = _batches.Get();
        var body = ArrayPool<byte>.Shared.Rent(4096);
        try
        {
            var length = 0;
            while (length <= options.HeartbeatBytesMax)
            {
                if (length == body.Length)
                {
                    var larger = ArrayPool<byte>.Shared.Rent(body.Length * 2);
                    body.AsSpan().CopyTo(larger);
                    ArrayPool<byte>.Shared.Return(body);
                    body = larger;
                }

                var read = await context.Request.Body.ReadAsync(body.AsMemory(length), context.RequestAborted);
                if (read == 0)
                    break;
                length += read;
            }

            await StoreAsync(context, Authenticator.SenderOf(who), batch, body.AsMemory(0, length));
        }
        catch (BadHttpRequestException error)
        {
            // Silence would reach the producer as 200, and that means stored.
            if (error.StatusCode == StatusCodes.Status413PayloadTooLarge)
                await RefuseTooLargeAsync(context, who);
            else
                await BrokenOffAsync(context, error);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ConnectionAbortedException)
        {
            // The producer broke off before its heartbeat was whole: nothing was received, nobody is there to answer.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(body);
            _batches.Return(batch);
        }
    }

    private async Task StoreAsync(HttpContext context, Sender sender, ReadingBatch batch, ReadOnlyMemory<byte> body)
    {
        if (log.State != LogState.Accepting)
        {
            await RefusedByLogAsync(context, log.StateDetail);
            return;
        }

        var reason = TryAdd(batch, body.Span, sender, context.Connection.RemoteIpAddress, out var device, out var errorAt);
        if (reason != RejectReason.None)
        {
            Refuse(reason, sender.Tenant, device, body.Span);
            await AnswerRefusedAsync(context, reason, errorAt);
            return;
        }

        ledger.CountReceived(1);
        try
        {
            await _appender.AppendAsync(batch, CancellationToken.None);
        }
        catch (LogUnavailableException error)
        {
            await RefusedByLogAsync(context, error.Message);
            return;
        }

        heard(device!);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = Taken.Length;
        context.Response.BodyWriter.Write(Taken);
    }

    private RejectReason TryAdd(ReadingBatch batch, ReadOnlySpan<byte> body, in Sender sender, IPAddress? address, out string? device, out int errorAt)
    {
        device = null;
        Span<byte> idBuffer = stackalloc byte[Decoder.IdBufferBytes];
        var reason = decoder.Json(body, default, idBuffer, out var reading);
        errorAt = reading.ErrorAt;
        if (reason == RejectReason.None)
            reason = HeartbeatDocument.Check(reading.Payload);
        if (!reading.Id.IsEmpty)
            device = Encoding.UTF8.GetString(reading.Id);
        if (reason == RejectReason.None)
            reason = admission.Admit(sender, reading.Id);
        if (reason != RejectReason.None)
            return reason;

        Span<byte> properties = stackalloc byte[64];
        var length = WriteAddress(properties, address);
        batch.Add(sender.Tenant, reading.Id, ListenerId.Middleware, reading.Format, sender.Flags, reading.DeviceTime, properties[..length], reading.Payload);
        return RejectReason.None;
    }

    /// <summary>The one property, written where it is needed: name length, name, value length, value.</summary>
    private static int WriteAddress(Span<byte> target, IPAddress? address)
    {
        if (address is null)
            return 0;
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        var name = ReadingProperties.RemoteAddress;
        target[0] = (byte)name.Length;
        name.CopyTo(target[1..]);
        if (!address.TryFormat(target[(3 + name.Length)..], out var written))
            return 0;
        target[1 + name.Length] = (byte)written;
        target[2 + name.Length] = 0;
        return 3 + name.Length + written;
    }

    private void Refuse(RejectReason reason, ushort tenant, string? device, ReadOnlySpan<byte> body)
    {
        ledger.CountReceived(1);
        ledger.CountRejected(reason);
        deadLetters.Keep(ListenerId.Middleware, reason, tenant, device, null, body);
    }

    private Task RefuseTooLargeAsync(HttpContext context, Principal who)
    {
        Refuse(RejectReason.TooLarge, Authenticator.SenderOf(who).Tenant, null, default);
        return AnswerRefusedAsync(context, RejectReason.TooLarge, 0);
    }

    /// <summary>An unfinished heartbeat was never received; its sender is told, as far as it still listens.</summary>
    private static Task BrokenOffAsync(HttpContext context, BadHttpRequestException error) =>
        Problem.WriteAsync(
            context, error.StatusCode, "broken_off", "The heartbeat did not come to its end", error.Message, "Send it again.");

    private Task AnswerRefusedAsync(HttpContext context, RejectReason reason, int errorAt)
    {
        var status = reason switch
        {
            RejectReason.NotAllowed or RejectReason.UnknownDevice or RejectReason.DeviceBlocked => StatusCodes.Status403Forbidden,
            RejectReason.TooLarge => StatusCodes.Status413PayloadTooLarge,
            RejectReason.RateLimited or RejectReason.EnrolmentLimit => StatusCodes.Status429TooManyRequests,
            _ => StatusCodes.Status400BadRequest,
        };
        var detail = reason switch
        {
            RejectReason.BadDeviceId => "'id' has to be a whole number from 1 to 9223372036854775807",
            RejectReason.MissingDevice => "'id' is missing",
            RejectReason.EmptyPayload => "'location' and 'data' have to be there",
            _ => decoder.Describe(reason, errorAt),
        };
        return Problem.WriteAsync(
            context, status, reason.Name(), "The heartbeat cannot be taken", detail + ".", "Send {\"id\": 123456789012345, \"location\": …, \"data\": …}.");
    }

    private static Task RefusedByLogAsync(HttpContext context, string? detail) =>
        Problem.RetryLaterAsync(
            context, StatusCodes.Status503ServiceUnavailable, "log_refuses", "The event log takes no readings",
            detail ?? "The event log does not accept readings at the moment.", afterSeconds: 10);

    private sealed class BatchPolicy(int partitions) : PooledObjectPolicy<ReadingBatch>
    {
        public override ReadingBatch Create() => new(partitions);

        public override bool Return(ReadingBatch batch)
        {
            batch.Clear();
            return true;
        }
    }
}
