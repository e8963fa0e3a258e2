using Microsoft.AspNetCore.Http;
using Millrace.Core;

namespace Millrace.Listeners.Http;

/// <summary>Establishes who sends a request from its bearer token, or from what <paramref name="fallback"/> knows (a cookie).</summary>
/// <param name="tokens">May be null in open mode.</param>
/// <param name="allowAnonymous">In token mode, whether nobody may still send readings (stored as not authenticated).</param>
public sealed class Authenticator(SecurityMode mode, ITokenStore? tokens, Func<HttpContext, Principal?>? fallback = null, bool allowAnonymous = false)
{
    private const string Scheme = "Bearer ";

    /// <summary>Sends readings, and may do nothing else.</summary>
    private static readonly Principal Nobody = new("anonymous", 0, Role.None, null);

    public SecurityMode Mode => mode;

    /// <summary>Whether readings are taken from callers without a token.</summary>
    public bool TakesAnonymousReadings => mode == SecurityMode.Open || allowAnonymous;

    /// <summary>Who sends the request.</summary>
    /// <returns>Null when a token is wrong, or when one is needed and none came.</returns>
    public Principal? Identify(HttpContext context)
    {
        string? header = context.Request.Headers.Authorization;
        if (header is not null)
        {
            if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) || tokens is null)
                return mode == SecurityMode.Open && tokens is null ? Principal.Open : null;
            return tokens.Authenticate(header.AsSpan(Scheme.Length).Trim());
        }

        if (mode == SecurityMode.Open)
            return Principal.Open;
        return fallback?.Invoke(context) ?? (allowAnonymous ? Nobody : null);
    }

    /// <summary>Whether the principal may send readings at all; a device token only for its own device, which admission checks.</summary>
    public bool MaySend(Principal who) => who.DeviceId is not null || who.Role >= Role.Operate || (who == Nobody && allowAnonymous);

    /// <summary>The principal as the admission check wants it.</summary>
    public static Sender SenderOf(Principal who)
    {
        if (ReferenceEquals(who, Principal.Open) || ReferenceEquals(who, Nobody))
            return Sender.Anonymous;
        return new Sender(who.Tenant, Authenticated: true, who.DeviceId is null ? default : System.Text.Encoding.UTF8.GetBytes(who.DeviceId));
    }

    public static Task RefuseUnknownAsync(HttpContext context)
    {
        context.Response.Headers.WWWAuthenticate = "Bearer realm=\"millrace\"";
        return Problem.WriteAsync(
            context, StatusCodes.Status401Unauthorized, "unauthenticated", "A token is needed",
            context.Request.Headers.Authorization.Count > 0 ? "The token is not known, or no longer." : "The request carries no token.",
            "Send 'Authorization: Bearer <token>'; an administrator issues tokens.");
    }

    public static Task RefuseRoleAsync(HttpContext context, Principal who, string needed) =>
        Problem.WriteAsync(
            context, StatusCodes.Status403Forbidden, "not_allowed", "The token does not allow this",
            who.DeviceId is not null
                ? $"'{who.Name}' is a device token: it may send readings of its device and nothing else."
                : $"'{who.Name}' has the role {who.Role.ToString().ToLowerInvariant()}; this needs {needed}.",
            "Use a token with that role.");
}
