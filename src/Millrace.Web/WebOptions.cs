using System.Net;
using Millrace.Core;

namespace Millrace.Web;

/// <summary>How the HTTP server listens, whom it lets in and how much it takes.</summary>
public sealed record WebOptions
{
    /// <summary><c>Http:Endpoint</c>: dashboard and API; port 0 picks one; null is off.</summary>
    public IPEndPoint? Endpoint { get; init; } = new(IPAddress.Loopback, 8080);

    /// <summary><c>Https:Endpoint</c>: the same over TLS; null is off.</summary>
    public IPEndPoint? HttpsEndpoint { get; init; }

    /// <summary><c>Https:Certificate</c>: PEM or PFX file. None: a certificate of our own making, kept in the data folder.</summary>
    public string? Certificate { get; init; }

    /// <summary><c>Https:Key</c>: PEM file of the private key, when the certificate's file does not hold it.</summary>
    public string? Key { get; init; }

    /// <summary><c>Http:AllowedHosts</c>: host names, besides loopback and the bound address, that requests may name.</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary><c>Security:Mode</c>.</summary>
    public SecurityMode Mode { get; init; } = SecurityMode.Open;

    /// <summary><c>Http:BodyBytesMax</c>: largest request body in bytes, 1 KiB to 1 GiB (default 16 MiB).</summary>
    public long BodyBytesMax { get; init; } = 16 << 20;

    /// <summary><c>Codecs:PayloadBytesMax</c>: largest single reading in bytes, 64 B to 1 MiB (default 256 KiB).</summary>
    public int ReadingBytesMax { get; init; } = 256 << 10;

    /// <summary>Bytes of bodies held in memory at once, beyond which answers are 429 (default 64 MiB).</summary>
    public long QueueBytes { get; init; } = 64 << 20;

    /// <summary>Open connections at once (default 20,000).</summary>
    public int ConnectionsMax { get; init; } = 20_000;

    /// <summary><c>Security:RequestsPerAddressPerSecond</c>; 0 (default) is no limit.</summary>
    public double RequestsPerAddressPerSecond { get; init; }

    /// <summary>The data folder: the self-made certificate and the device types live here.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Folder of the built dashboard; by default <c>wwwroot</c> beside the program.</summary>
    public string PagesFolder { get; init; } = Path.Combine(AppContext.BaseDirectory, "wwwroot");

    /// <summary>The version shown by status and the API document.</summary>
    public string Version { get; init; } = typeof(WebOptions).Assembly.GetName().Version?.ToString(3) ?? "0";

    /// <summary>Every mistake at once, each beginning with its key; none means the options can be used.</summary>
    public IEnumerable<string> Validate()
    {
        if (Certificate is not null && !File.Exists(Certificate))
            yield return $"Https:Certificate: the file '{Certificate}' does not exist";
        if (Key is not null && !File.Exists(Key))
            yield return $"Https:Key: the file '{Key}' does not exist";
        if (Key is not null && Certificate is null)
            yield return "Https:Key: a key needs its certificate; set Https:Certificate too";
        if (BodyBytesMax is < 1 << 10 or > 1 << 30)
            yield return $"Http:BodyBytesMax: {BodyBytesMax} is outside 1024..1073741824";
        if (ReadingBytesMax is < 64 or > 1 << 20)
            yield return $"Codecs:PayloadBytesMax: {ReadingBytesMax} is outside 64..1048576";
        if (RequestsPerAddressPerSecond < 0)
            yield return $"Security:RequestsPerAddressPerSecond: {RequestsPerAddressPerSecond} is below 0";
        foreach (var host in AllowedHosts.Where(h => h.Length == 0 || h.AsSpan().IndexOfAny('/', '*', ' ') >= 0))
            yield return $"Http:AllowedHosts: '{host}' is not a host name; write names without scheme, port or wildcard";
    }
}
