using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Millrace.Core;
using Millrace.Listeners.Http;

namespace Millrace.Listeners.Middleware;

/// <summary>
/// Answers GET /get_data/{id} from the newest readings. Hot: the answer is written by hand in buffers of the thread; a
/// reader that has to wait for its own write is the exception.
/// </summary>
internal sealed class ConsumerReads(IReadingLog log, ILatestReadings latest)
{
    /// <summary>How long a consumer waits to see what was durable when it asked.</summary>
    private static readonly TimeSpan OwnWritesWait = TimeSpan.FromMilliseconds(250);

    [ThreadStatic]
    private static ArrayBufferWriter<byte>? _record;

    [ThreadStatic]
    private static ArrayBufferWriter<byte>? _answer;

    public Task GetAsync(HttpContext context, ushort tenant, ReadOnlySpan<char> id)
    {
        Span<byte> text = stackalloc byte[DeviceIds.LengthMax];
        if (!Encoding.UTF8.TryGetBytes(id, text, out var length) || !DeviceIds.IsValid(text[..length]))
            return UnknownAsync(context, id.ToString());
        var device = text[..length];
        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(tenant, device), log.PartitionCount);
        var durable = log.Durable[partition];
        if (latest.Position[partition] < durable)
            return GetLaterAsync(context, tenant, id.ToString(), partition, durable);
        return TryWrite(context, tenant, device) ? Task.CompletedTask : UnknownAsync(context, id.ToString());
    }

    private async Task GetLaterAsync(HttpContext context, ushort tenant, string id, int partition, long durable)
    {
        await latest.ReachAsync(partition, durable, OwnWritesWait, context.RequestAborted);
        if (!TryWrite(context, tenant, Encoding.UTF8.GetBytes(id)))
            await UnknownAsync(context, id);
    }

    private bool TryWrite(HttpContext context, ushort tenant, ReadOnlySpan<byte> device)
    {
        var record = _record ??= new ArrayBufferWriter<byte>(1024);
        var answer = _answer ??= new ArrayBufferWriter<byte>(1024);
        record.ResetWrittenCount();
        answer.ResetWrittenCount();
        if (!latest.TryRead(tenant, device, record, out var place))
            return false;
        HeartbeatDocument.Write(new ReadingRecord(record.WrittenSpan, place.Sequence, place.ReceivedAt), answer);

        var response = context.Response;
        response.ContentType = "application/json";
        response.ContentLength = answer.WrittenCount;
        response.BodyWriter.Write(answer.WrittenSpan);
        return true;
    }

    private static Task UnknownAsync(HttpContext context, string id) =>
        Problem.NotFoundAsync(context, $"No heartbeat of '{id}' was ever seen.");
}
