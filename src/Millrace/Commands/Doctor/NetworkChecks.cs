using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Millrace.Settings;

namespace Millrace.Commands.Doctor;

/// <summary>Whether the ports are free and the kernel gives UDP the room it needs.</summary>
internal static class NetworkChecks
{
    /// <summary>At 33,334 readings a second this rides out a pause of the receiving thread of about 150 ms.</summary>
    private const int ReceiveBufferWanted = 4 << 20;

    private const string ReceiveBufferLimit = "/proc/sys/net/core/rmem_max";

    public static IEnumerable<Finding> Ports(ServerOptions options)
    {
        (string Name, string Key, IPEndPoint? EndPoint, bool Udp)[] all =
        [
            ("http", "Http:Endpoint", options.Http.Endpoint, false),
            ("https", "Https:Endpoint", options.Http.HttpsEndpoint, false),
            ("udp", "Listeners:Udp:Endpoint", options.Udp.Endpoint, true),
            ("tcp", "Listeners:Tcp:Endpoint", options.Tcp.Endpoint, false),
            ("middleware", "Listeners:Middleware:Endpoint", options.Http.MiddlewareEndpoint, false),
        ];
        foreach (var (name, key, endpoint, udp) in all)
        {
            if (endpoint is not null && endpoint.Port != 0)
                yield return Port(name, key, endpoint, udp);
        }
    }

    internal static Finding Port(string name, string key, IPEndPoint endpoint, bool udp)
    {
        using var socket = udp
            ? new Socket(endpoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp)
            : new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endpoint);
            if (!udp)
                socket.Listen(1);
            return new Finding(Verdict.Ok, "port", $"{name} {endpoint} is free");
        }
        catch (SocketException e)
        {
            var (what, mend) = e.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse =>
                    ("is taken by another program", $"stop it (ss -lnp{(udp ? "u" : "t")} shows which; a running Millrace counts) or choose another port with {key}"),
                SocketError.AccessDenied => ("may not be opened by this user", $"choose a port above 1023 with {key}, or give the program CAP_NET_BIND_SERVICE"),
                SocketError.AddressNotAvailable => ("is not an address of this machine", $"set {key} to one of its addresses, or to 0.0.0.0"),
                _ => (e.Message, $"change {key}"),
            };
            return new Finding(Verdict.Fail, "port", $"{name} {endpoint} {what}", mend);
        }
    }

    public static IEnumerable<Finding> ReceiveBuffer()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.ReceiveBufferSize = ReceiveBufferWanted;
        // Linux grants twice what was asked, for its own bookkeeping.
        var granted = OperatingSystem.IsLinux() ? socket.ReceiveBufferSize / 2 : socket.ReceiveBufferSize;
        var limit = File.Exists(ReceiveBufferLimit) ? long.Parse(File.ReadAllText(ReceiveBufferLimit), CultureInfo.InvariantCulture) : granted;
        yield return granted >= ReceiveBufferWanted
            ? new Finding(Verdict.Ok, "udp buffer", $"{granted >> 10} KiB granted (net.core.rmem_max is {limit >> 10} KiB)")
            : new Finding(
                Verdict.Warn, "udp buffer", $"{granted >> 10} KiB granted of {ReceiveBufferWanted >> 10} KiB: bursts of datagrams may be lost",
                $"sysctl -w net.core.rmem_max={ReceiveBufferWanted} (and in /etc/sysctl.d to keep it), or run with CAP_NET_ADMIN");
    }
}
