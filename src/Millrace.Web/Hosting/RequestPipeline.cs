using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Listeners;
using Millrace.Listeners.Http;
using Millrace.Registry;
using Millrace.Web.Security;

namespace Millrace.Web.Hosting;

/// <summary>
/// What every request passes before its route and after: host and origin, the address's limit, who sends it and whether
/// the route is for them, the body's type; and at the end an answer in words for what failed.
/// </summary>
internal sealed class RequestPipeline(RequestGuard guard, Authenticator authenticator, AddressRates? limit, ILogger log, CancellationToken stopping)
{
    /// <summary>Wraps everything else. Answers what nobody answered.</summary>
    public async Task HandleAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            if (Enter(context) is { } refusal)
                await refusal;
            else
                await next(context);
            if (context.Response is { HasStarted: false, ContentLength: null, StatusCode: StatusCodes.Status405MethodNotAllowed })
                await MethodNotAllowedAsync(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller went away; nobody is there to answer.
        }
        catch (BadHttpRequestException error)
        {
            await Problem.WriteAsync(
                context, error.StatusCode, "bad_request", "The request cannot be read", error.Message,
                error.StatusCode == StatusCodes.Status413PayloadTooLarge ? "Send less at once, or raise Http:BodyBytesMax." : null);
        }
        catch (RegistryBusyException error)
        {
            await Problem.RetryLaterAsync(
                context, StatusCodes.Status503ServiceUnavailable, "registry_busy", "The registry is held by another program", error.Message, afterSeconds: 5);
        }
        catch (LogUnavailableException error)
        {
            await Problem.RetryLaterAsync(
                context, StatusCodes.Status503ServiceUnavailable, error.State == LogState.Full ? "log_full" : "log_failed",
                "The event log takes no readings", error.Message, afterSeconds: 10);
        }
        catch (Exception) when (stopping.IsCancellationRequested)
        {
            // What the request needed was put away under it; the next server answers.
            await Problem.RetryLaterAsync(
                context, StatusCodes.Status503ServiceUnavailable, "not_ready", "The server stops", "It stopped before it had answered.", afterSeconds: 5);
        }
        catch (Exception error)
        {
            WebLog.RequestFailed(log, error, context.Request.Method, context.Request.Path.Value ?? "");
            await Problem.WriteAsync(
                context, StatusCodes.Status500InternalServerError, "internal", "The server failed at this request",
                "Something went wrong that should not; the server's log says what.", "Try again; if it stays, report it with the log's lines.");
        }
    }

    /// <summary>Runs after routing, when the route and what it needs are known.</summary>
    public Task AuthorizeAsync(HttpContext context, RequestDelegate next)
    {
        var operation = context.GetEndpoint()?.Metadata.GetMetadata<ApiOperation>();
        if (operation is null || operation.Body == BodyKind.Telemetry || operation.Needs == Role.None)
            return next(context);
        if (authenticator.Identify(context) is not { } who)
            return Authenticator.RefuseUnknownAsync(context);
        if (who.DeviceId is not null || who.Role < operation.Needs)
            return Authenticator.RefuseRoleAsync(context, who, operation.Needs.ToString().ToLowerInvariant());
        if (!TypeFits(context.Request, operation.Body))
            return Problem.UnsupportedTypeAsync(context, operation.Body == BodyKind.JsonOrCsv ? "application/json or text/csv" : "application/json");
        Caller.Set(context, who);
        return next(context);
    }

    private Task? Enter(HttpContext context)
    {
        context.Response.Headers.XContentTypeOptions = "nosniff";
        if (guard.Refuse(context) is { } refusal)
            return refusal;
        if (limit is not null && !limit.TryTake(context.Connection.RemoteIpAddress ?? IPAddress.None))
        {
            return Problem.TooManyRequestsAsync(context);
        }

        return null;
    }

    private static bool TypeFits(HttpRequest request, BodyKind body)
    {
        if (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method))
            return true;
        if (string.IsNullOrEmpty(request.ContentType))
            return request.ContentLength is null or 0 && request.Headers.TransferEncoding.Count == 0;
        var type = request.ContentType.AsSpan();
        var semicolon = type.IndexOf(';');
        type = (semicolon < 0 ? type : type[..semicolon]).Trim();
        return type.Equals("application/json", StringComparison.OrdinalIgnoreCase)
            || (body == BodyKind.JsonOrCsv && type.Equals("text/csv", StringComparison.OrdinalIgnoreCase));
    }

    private static Task MethodNotAllowedAsync(HttpContext context) =>
        Problem.WriteAsync(
            context, StatusCodes.Status405MethodNotAllowed, "method_not_allowed", "The method does not go with this path",
            $"{context.Request.Method} is not known here; {context.Response.Headers.Allow.ToString()} is.");
}
