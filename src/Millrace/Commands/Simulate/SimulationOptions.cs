namespace Millrace.Commands.Simulate;

internal enum SimulatedProtocol
{
    Udp,
    Tcp,
    Http,
}

internal enum PayloadKind
{
    Text,
    Json,
    Xml,
    GasMeter,
}

/// <summary>What a simulated fleet does. Exactly one of <see cref="Interval"/> and <see cref="Rate"/> is set.</summary>
internal sealed record SimulationOptions
{
    public required SimulatedProtocol Protocol { get; init; }
    public required string Host { get; init; }
    public required int Port { get; init; }

    public int Devices { get; init; } = 100;

    /// <summary>Time between two readings of one device; every reading moves by up to a tenth of it.</summary>
    public TimeSpan? Interval { get; init; }

    /// <summary>Readings per second of the whole fleet; 0 is as fast as the other side takes them.</summary>
    public double? Rate { get; init; }

    /// <summary>Readings in all; null is no limit.</summary>
    public long? Count { get; init; }

    public TimeSpan? Duration { get; init; }
    public ulong Seed { get; init; } = 1;
    public PayloadKind Payload { get; init; }
    public string DevicePrefix { get; init; } = "meter-";

    /// <summary>The 125 meters of the NB-IoT collection server's test client instead of numbered ids.</summary>
    public bool Document000 { get; init; }

    public int Connections { get; init; } = 1;

    /// <summary>Readings per HTTP request or per datagram.</summary>
    public int Batch { get; init; } = 1;

    public string? Token { get; init; }

    /// <summary>TCP: ask for an answer to every line.</summary>
    public bool Acknowledge { get; init; } = true;

    /// <summary>TCP: lines that may wait for their answer, per connection.</summary>
    public int InFlightMax { get; init; } = 4096;

    /// <summary>File that gets one line per acknowledged reading, or null.</summary>
    public string? AcknowledgedFile { get; init; }

    /// <summary>How long unanswered readings are waited for, and sent again, after the last one is due.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(15);
}
