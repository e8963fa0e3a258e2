using System.Net;

namespace Millrace.Commands.Simulate;

/// <summary>
/// A few dozen meters inside the server's own process, over its own loopback sockets, so that a newcomer sees life at once.
/// </summary>
internal static class DemoFleet
{
    /// <summary>Runs until <paramref name="cancel"/> fires; endpoints that are off are null.</summary>
    public static Task RunAsync(IPEndPoint? udp, IPEndPoint? tcp, IPEndPoint? http, string? token, CancellationToken cancel)
    {
        List<SimulationOptions> fleets = [];
        Add(udp, new SimulationOptions
        {
            Protocol = SimulatedProtocol.Udp,
            Host = "",
            Port = 0,
            Document000 = true,
            Interval = TimeSpan.FromSeconds(30),
        });
        Add(tcp, new SimulationOptions
        {
            Protocol = SimulatedProtocol.Tcp,
            Host = "",
            Port = 0,
            Devices = 20,
            DevicePrefix = "water-",
            Interval = TimeSpan.FromSeconds(10),
            Seed = 2,
        });
        Add(http, new SimulationOptions
        {
            Protocol = SimulatedProtocol.Http,
            Host = "",
            Port = 0,
            Devices = 20,
            Payload = PayloadKind.GasMeter,
            Interval = TimeSpan.FromSeconds(10),
            Seed = 3,
            Token = token,
        });
        return Task.WhenAll(fleets.Select(fleet => RunAsync(fleet, cancel)));

        void Add(IPEndPoint? endpoint, SimulationOptions fleet)
        {
            if (endpoint is not null)
                fleets.Add(fleet with { Host = Reachable(endpoint.Address).ToString(), Port = endpoint.Port });
        }
    }

    private static async Task RunAsync(SimulationOptions options, CancellationToken cancel)
    {
        using var simulation = new Simulation(options, IPAddress.Parse(options.Host), TimeProvider.System);
        await simulation.RunAsync(cancel);
    }

    /// <summary>A listener on all interfaces is reached over loopback.</summary>
    internal static IPAddress Reachable(IPAddress address) =>
        address.Equals(IPAddress.Any) ? IPAddress.Loopback : address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : address;
}
