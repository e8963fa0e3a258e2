using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Millrace.Core;

namespace Millrace.Web.Security;

/// <summary>
/// Browsers that signed in. A session knows the token it stands for and asks the token store at each request, so a
/// revoked token ends its sessions at once. Kept in memory only: after a restart browsers sign in again. Thread-safe.
/// </summary>
internal sealed class Sessions(ITokenStore tokens, TimeProvider time)
{
    public const string CookieName = "millrace-session";

    private const int SessionsMax = 10_000;

    private static readonly TimeSpan Idle = TimeSpan.FromHours(12);

    private readonly ConcurrentDictionary<string, Session> _sessions = new(StringComparer.Ordinal);

    private sealed record Session(string Token)
    {
        public long UsedAt;
    }

    /// <summary>Starts a session of a token that was found right, and gives the browser its cookie.</summary>
    public void Start(HttpContext context, string token)
    {
        DropIdle();
        var id = RandomNumberGenerator.GetHexString(64, lowercase: true);
        _sessions[Hash(id)] = new Session(token) { UsedAt = time.Now() };
        context.Response.Cookies.Append(CookieName, id, CookieFor(context, Idle));
    }

    /// <summary>Who the cookie stands for, or null.</summary>
    public Principal? Find(HttpContext context)
    {
        if (!context.Request.Cookies.TryGetValue(CookieName, out var id) || string.IsNullOrEmpty(id))
            return null;
        var key = Hash(id);
        if (!_sessions.TryGetValue(key, out var session))
            return null;
        var now = time.Now();
        if (now - session.UsedAt > Idle.TotalMicroseconds || tokens.Authenticate(session.Token) is not { } who)
        {
            _sessions.TryRemove(key, out _);
            return null;
        }

        session.UsedAt = now;
        return who;
    }

    public void End(HttpContext context)
    {
        if (context.Request.Cookies.TryGetValue(CookieName, out var id) && !string.IsNullOrEmpty(id))
            _sessions.TryRemove(Hash(id), out _);
        context.Response.Cookies.Delete(CookieName, CookieFor(context, null));
    }

    private static CookieOptions CookieFor(HttpContext context, TimeSpan? age) => new()
    {
        HttpOnly = true,
        SameSite = SameSiteMode.Strict,
        Secure = context.Request.IsHttps,
        Path = "/",
        MaxAge = age,
        IsEssential = true,
    };

    /// <summary>The table holds hashes: looking one up leaks nothing about how much of an id was right.</summary>
    private static string Hash(string id) => Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(id)));

    private void DropIdle()
    {
        var before = time.Now() - (long)Idle.TotalMicroseconds;
        foreach (var (key, session) in _sessions)
        {
            if (session.UsedAt < before)
                _sessions.TryRemove(key, out _);
        }

        while (_sessions.Count >= SessionsMax)
            _sessions.TryRemove(_sessions.MinBy(s => s.Value.UsedAt).Key, out _);
    }
}
