using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>Browsers sign in with an API token, which they do not keep: they get a cookie no script can read.</summary>
internal sealed class SessionApi(ServerState state)
{
    private readonly ILogger _log = state.Parts.Logs.CreateLogger("Millrace.Web.Session");

    public void Map(IEndpointRouteBuilder routes)
    {
        // Open to everybody: whoever signs in has no session yet. Origin and host were checked before.
        routes.Map("POST", "/api/v1/session", SignInAsync, new ApiOperation("Access", "Sign in with an API token for a cookie", Role.None)
        {
            Body = BodyKind.Json,
            Answer = "{\"name\",\"role\"} and the cookie; 401 when the token is wrong, 429 after repeated wrong ones.",
            Example = """{"token":"…"}""",
        });
        routes.Map("GET", "/api/v1/session", ShowAsync, new ApiOperation("Access", "Who is signed in", Role.None)
        {
            Answer = "{\"mode\",\"name\",\"role\"}; name and role are null when nobody is.",
        });
        routes.Map("DELETE", "/api/v1/session", SignOutAsync, new ApiOperation("Access", "Sign out", Role.None) { Status = StatusCodes.Status204NoContent });
    }

    private async Task SignInAsync(HttpContext context)
    {
        var address = context.Connection.RemoteIpAddress ?? IPAddress.None;
        if (state.SignInLock.SecondsLeft(address) is var seconds and > 0)
        {
            await Problem.RetryLaterAsync(
                context, StatusCodes.Status429TooManyRequests, "locked", "Signing in is locked for a while", "Too many wrong tokens came from this address.", seconds);
            return;
        }

        if (context.Request.ContentType?.StartsWith("application/json", StringComparison.OrdinalIgnoreCase) != true)
        {
            await Problem.UnsupportedTypeAsync(context, "application/json");
            return;
        }

        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        if (!body.RootElement.TryText("token", out var token) || string.IsNullOrWhiteSpace(token))
        {
            await Problem.BadRequestAsync(context, "'token' is missing.");
            return;
        }

        token = token.Trim();
        if (state.Parts.Tokens.Authenticate(token) is not { DeviceId: null } who)
        {
            await RefuseAsync(context, address);
            return;
        }

        state.SignInLock.Clear(address);
        state.Sessions.Start(context, token);
        state.Parts.Tokens.Audit(who, "session.start", address.ToString());
        await WriteAsync(context, who);
    }

    private Task ShowAsync(HttpContext context) => WriteAsync(context, state.Authenticator.Identify(context));

    private Task SignOutAsync(HttpContext context)
    {
        state.Sessions.End(context);
        return Answer.NothingAsync(context);
    }

    private Task RefuseAsync(HttpContext context, IPAddress address)
    {
        var (failures, locked) = state.SignInLock.Fail(address);
        if (locked > 0)
            WebLog.SignInLocked(_log, address.ToString(), locked, failures);
        return Problem.WriteAsync(
            context, StatusCodes.Status401Unauthorized, "unauthenticated", "The token is wrong",
            "It is not an API token of this server, or no longer.", "An administrator makes tokens; the first one lies in the data folder's admin-token file.");
    }

    private Task WriteAsync(HttpContext context, Principal? who) => Answer.WriteAsync(context, json =>
    {
        json.WriteString("mode"u8, state.Options.Mode == SecurityMode.Open ? "open" : "token");
        json.WriteOptional("name"u8, who?.Name);
        json.WriteOptional("role"u8, who?.Role.ToString().ToLowerInvariant());
    });
}
