using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Millrace.Listeners.Http;

/// <summary>
/// Keeps web pages of other sites away from the server: a request must name a host that is ours (a rebound name is not),
/// and a write or an upgrade must not come from a foreign page. Hot: every request passes here.
/// </summary>
public sealed class RequestGuard
{
    private const int KnownHostsMax = 256;

    private readonly HashSet<string> _allowed;
    private readonly HashSet<string> _bound;
    private readonly ConcurrentDictionary<string, bool> _knownGood = new(StringComparer.Ordinal);

    /// <param name="allowedHosts">Names besides loopback and the bound address, without port.</param>
    /// <param name="boundHosts">The hosts of our own endpoints as configured.</param>
    public RequestGuard(IEnumerable<string> allowedHosts, IEnumerable<string> boundHosts)
    {
        _allowed = new HashSet<string>(allowedHosts.Select(h => h.Trim('[', ']')), StringComparer.OrdinalIgnoreCase);
        _bound = new HashSet<string>(boundHosts.Select(h => h.Trim('[', ']')), StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>Checks host and origin. When refused, the answer is written.</summary>
    /// <returns>Null when the request may go on; else the task of the refusal.</returns>
    public Task? Refuse(HttpContext context)
    {
        var request = context.Request;
        if (!HostIsOurs(context))
        {
            return Problem.WriteAsync(
                context, StatusCodes.Status421MisdirectedRequest, "misdirected", "This server does not answer to that host name",
                $"The request names the host '{request.Host.Value}'.",
                "Use the server's address, or add the name to Http:AllowedHosts.");
        }

        if ((IsWrite(request.Method) || IsUpgrade(request)) && IsForeign(request))
        {
            return Problem.WriteAsync(
                context, StatusCodes.Status403Forbidden, "foreign_origin", "Pages of other sites may not write here",
                $"The request comes from '{request.Headers.Origin.ToString()}' (Sec-Fetch-Site: '{request.Headers["Sec-Fetch-Site"].ToString()}').",
                "Call the server from its own pages, or from a program without an Origin header.");
        }

        return null;
    }

    private static bool IsWrite(string method) =>
        !HttpMethods.IsGet(method) && !HttpMethods.IsHead(method) && !HttpMethods.IsOptions(method);

    private static bool IsUpgrade(HttpRequest request) => request.Headers.Upgrade.Count > 0 || HttpMethods.IsConnect(request.Method);

    private bool HostIsOurs(HttpContext context)
    {
        var host = context.Request.Host.Value;
        if (string.IsNullOrEmpty(host))
            return true;                    // HTTP/1.0 without a Host; no browser sends that, so no page can rebind it
        if (_knownGood.ContainsKey(host))
            return true;

        var name = context.Request.Host.Host.Trim('[', ']');
        var ours = IsLoopbackName(name) || _allowed.Contains(name) || _bound.Contains(name)
            || (IPAddress.TryParse(name, out var address) && Same(address, context.Connection.LocalIpAddress));
        // The address of one connection is ours for all of them: it is an interface of this machine.
        if (ours && _knownGood.Count < KnownHostsMax)
            _knownGood.TryAdd(host, true);
        return ours;
    }

    private static bool IsLoopbackName(string name) =>
        name.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(name, out var address) && IPAddress.IsLoopback(address));

    private static bool Same(IPAddress named, IPAddress? local)
    {
        if (local is null)
            return false;
        return (named.IsIPv4MappedToIPv6 ? named.MapToIPv4() : named).Equals(local.IsIPv4MappedToIPv6 ? local.MapToIPv4() : local);
    }

    private bool IsForeign(HttpRequest request)
    {
        if (request.Headers.TryGetValue("Sec-Fetch-Site", out var site) && site == "cross-site")
            return true;
        var origin = request.Headers[HeaderNames.Origin];
        if (origin.Count == 0)
            return false;
        if (origin.Count > 1 || !Uri.TryCreate(origin[0], UriKind.Absolute, out var uri))
            return true;
        // Behind a proxy that rewrites Host the page's own name is one of the allowed ones.
        var own = HostString.FromUriComponent(request.Host.Value ?? "");
        var ownPort = own.Port ?? (request.IsHttps ? 443 : 80);
        return !(uri.Host.Trim('[', ']').Equals(own.Host.Trim('[', ']'), StringComparison.OrdinalIgnoreCase) && uri.Port == ownPort)
            && !_allowed.Contains(uri.Host.Trim('[', ']'));
    }
}
