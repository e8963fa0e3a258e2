using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Millrace.Listeners.Http;

/// <summary>
/// Writes RFC 9457 problem documents: what is wrong, where, and how to mend it. Never a stack trace, never a secret.
/// </summary>
public static class Problem
{
    /// <summary>Answers with a problem document. Does nothing but abort when the answer has begun already.</summary>
    /// <param name="code">Stable, snake_case; the last part of the problem's type.</param>
    /// <param name="title">The kind of problem in a few words, the same for every occurrence.</param>
    /// <param name="detail">What happened this time, and to what.</param>
    /// <param name="mend">What the caller can do about it.</param>
    /// <param name="more">Writes further members.</param>
    public static async Task WriteAsync(
        HttpContext context, int status, string code, string title, string detail, string? mend = null, Action<Utf8JsonWriter>? more = null)
    {
        var response = context.Response;
        if (response.HasStarted)
        {
            context.Abort();
            return;
        }

        response.StatusCode = status;
        response.ContentType = "application/problem+json";
        if (HttpMethods.IsHead(context.Request.Method))
            return;
        using (var json = new Utf8JsonWriter(response.BodyWriter, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("type"u8, "urn:millrace:problem:" + code);
            json.WriteString("title"u8, title);
            json.WriteNumber("status"u8, status);
            json.WriteString("detail"u8, detail);
            if (mend is not null)
                json.WriteString("mend"u8, mend);
            json.WriteString("instance"u8, context.Request.Path.Value);
            more?.Invoke(json);
            json.WriteEndObject();
        }

        await response.BodyWriter.FlushAsync(context.RequestAborted);
    }

    public static Task NotFoundAsync(HttpContext context, string detail, string? mend = null) =>
        WriteAsync(context, StatusCodes.Status404NotFound, "not_found", "Not found", detail, mend);

    public static Task BadRequestAsync(HttpContext context, string detail, string? mend = null) =>
        WriteAsync(context, StatusCodes.Status400BadRequest, "bad_request", "The request cannot be understood", detail, mend);

    public static Task UnsupportedTypeAsync(HttpContext context, string wanted) =>
        WriteAsync(
            context, StatusCodes.Status415UnsupportedMediaType, "unsupported_media_type", "The body's type is not accepted",
            $"The body is '{context.Request.ContentType ?? "of no stated type"}'.", $"Send {wanted}.");

    public static Task TooManyRequestsAsync(HttpContext context) => RetryLaterAsync(
        context, StatusCodes.Status429TooManyRequests, "rate_limited", "Too many requests",
        "This address sends more requests a second than are allowed.", afterSeconds: 1);

    /// <summary>Tells the caller to come again: 429 when we are behind, 503 when the log does not take readings.</summary>
    public static Task RetryLaterAsync(HttpContext context, int status, string code, string title, string detail, int afterSeconds, Action<Utf8JsonWriter>? more = null)
    {
        if (!context.Response.HasStarted)
            context.Response.Headers.RetryAfter = afterSeconds.ToString();
        return WriteAsync(context, status, code, title, detail, $"Send it again after {afterSeconds} s.", more);
    }
}
