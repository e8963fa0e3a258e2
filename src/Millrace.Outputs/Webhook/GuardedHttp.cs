using System.Net;
using System.Net.Sockets;

namespace Millrace.Outputs.Webhook;

/// <summary>
/// An HTTP client for addresses that users choose. Every connection is checked after the name was resolved, so neither a redirect
/// nor a name that points elsewhere the second time leads to a link-local address (where clouds keep their credentials).
/// </summary>
public static class GuardedHttp
{
    /// <summary>The cloud metadata service's address in the unique-local range; link-local in all but name.</summary>
    private static readonly IPAddress MetadataV6 = IPAddress.Parse("fd00:ec2::254");

    public static HttpClient Create() => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        ConnectTimeout = TimeSpan.FromSeconds(10),
        ConnectCallback = ConnectAsync,
    })
    {
        // Each request has a limit of its own.
        Timeout = Timeout.InfiniteTimeSpan,
        MaxResponseContentBufferSize = 1 << 20,
    };

    public static bool IsForbidden(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        if (plain.AddressFamily == AddressFamily.InterNetwork)
        {
            var bytes = plain.GetAddressBytes();
            return bytes is [169, 254, ..] or [0, ..];
        }

        return plain.IsIPv6LinkLocal || plain.IsIPv6Multicast || plain.Equals(MetadataV6) || plain.Equals(IPAddress.IPv6Any);
    }

    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        var target = context.DnsEndPoint;
        IPAddress[] addresses = IPAddress.TryParse(target.Host, out var literal)
            ? [literal]
            : await Dns.GetHostAddressesAsync(target.Host, cancel);
        var allowed = addresses.Where(a => !IsForbidden(a)).ToArray();
        if (allowed.Length == 0)
            throw new HttpRequestException($"{target.Host} is a link-local address, which outputs never contact");
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, target.Port, cancel);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
