using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Listeners.Udp;

namespace Millrace.Listeners.Tests.Udp;

internal sealed class UdpHarness : ListenerHarness
{
    private readonly Socket _sender = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);

    private UdpHarness(UdpListenerOptions options, SecurityMode security, DecoderOptions? decoder)
        : base(security, decoder)
    {
        Listener = new UdpListener(options, Context, Ledger, NullLogger<UdpListener>.Instance);
    }

    public override ListenerLedger Ledger { get; } = new(ListenerId.Udp);

    public override IListener Listener { get; }

    public static async Task<UdpHarness> OpenAsync(
        UdpListenerOptions? options = null, SecurityMode security = SecurityMode.Open, DecoderOptions? decoder = null)
    {
        var harness = new UdpHarness((options ?? new()) with { Endpoint = new IPEndPoint(IPAddress.Loopback, 0) }, security, decoder);
        await harness.StartAsync();
        harness._sender.Connect(IPAddress.Loopback, harness.Port);
        return harness;
    }

    public override Task SendAsync(string device, double value) => SendAsync($"{device}:{value}");

    public override Task SendGarbageAsync() => SendAsync("no separator");

    public Task SendAsync(string datagram) => SendAsync(Encoding.UTF8.GetBytes(datagram));

    public async Task SendAsync(byte[] datagram) => await _sender.SendAsync(datagram);

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        _sender.Dispose();
    }
}
