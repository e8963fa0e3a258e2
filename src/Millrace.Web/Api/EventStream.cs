using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Millrace.Web.Api;

/// <summary>Server-sent events, written as they are: id, data, blank line; a comment now and then keeps proxies awake.</summary>
internal static class EventStream
{
    /// <summary>Silence after which a comment is sent.</summary>
    public static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(15);

    public static async Task BeginAsync(HttpContext context)
    {
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        // Proxies that gather answers would hold events back.
        context.Response.Headers["X-Accel-Buffering"] = "no";
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        context.Response.BodyWriter.Write(": open\n\n"u8);
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
    }

    /// <summary>Writes one event; <paramref name="data"/> must be on one line.</summary>
    public static void Write(IBufferWriter<byte> output, string? id, string? name, ReadOnlySpan<byte> data)
    {
        if (name is not null)
            output.Write(Encoding.UTF8.GetBytes($"event: {name}\n"));
        if (id is not null)
            output.Write(Encoding.UTF8.GetBytes($"id: {id}\n"));
        output.Write("data: "u8);
        output.Write(data);
        output.Write("\n\n"u8);
    }
}
