using System.Net;
using System.Net.Sockets;
using Millrace.Core;

namespace Millrace.Commands.Simulate;

/// <summary>A fleet that sends readings to one address until its schedule is over or it is stopped.</summary>
internal sealed class Simulation : IDisposable
{
    private readonly SimulationOptions _options;
    private readonly IPEndPoint _target;
    private readonly SenderContext _context;
    private readonly ISender[] _senders;

    public Simulation(SimulationOptions options, IPAddress address, TimeProvider time)
    {
        _options = options;
        var fleet = Fleet.Create(options);
        var acknowledged = options.AcknowledgedFile is { } path ? new AcknowledgedFile(path) : null;
        _context = new SenderContext(options, fleet, Tally, acknowledged, time);
        _target = new IPEndPoint(address, options.Port);
        var count = Math.Min(options.Connections, fleet.Devices);
        _senders = [.. Enumerable.Range(0, count).Select(i => CreateSender(_target, Schedule.Create(options, fleet.Devices, i, count), i))];
    }

    public SendTally Tally { get; } = new();

    public int Devices => _context.Fleet.Devices;

    public long Unanswered => _senders.Sum(sender => sender.Unanswered);

    /// <summary>The first address of a host, IPv4 before IPv6 because that is where listeners are by default.</summary>
    /// <exception cref="StartException">The name means nothing.</exception>
    public static async Task<IPAddress> ResolveAsync(string host, CancellationToken cancel)
    {
        try
        {
            var addresses = await Dns.GetHostAddressesAsync(host, cancel);
            return addresses.OrderBy(address => address.AddressFamily == AddressFamily.InterNetwork ? 0 : 1).First();
        }
        catch (SocketException e)
        {
            throw new StartException($"{host} cannot be resolved: {e.Message}. Give an address or a known name as --target.", e);
        }
    }

    /// <summary>Whether somebody listens now; with UDP nobody can tell.</summary>
    public async Task<bool> IsAnsweredAsync(CancellationToken cancel)
    {
        if (_options.Protocol == SimulatedProtocol.Udp)
            return true;
        try
        {
            using var probe = new Socket(_target.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            await probe.ConnectAsync(_target, cancel);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public async Task RunAsync(CancellationToken cancel)
    {
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        if (_options.Duration is { } duration)
            stopping.CancelAfter(duration);
        await Task.WhenAll(_senders.Select(sender => sender.RunAsync(stopping.Token)));
    }

    private ISender CreateSender(IPEndPoint target, Schedule schedule, int index) => _options.Protocol switch
    {
        SimulatedProtocol.Udp => new UdpSender(_context, target, schedule),
        SimulatedProtocol.Tcp => new TcpSender(_context, target, schedule, index),
        _ => new HttpSender(_context, target, schedule, index),
    };

    public void Dispose() => _context.Acknowledged?.Dispose();
}
