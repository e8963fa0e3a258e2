using System.Security.Cryptography.X509Certificates;

namespace Millrace.Outputs.Email;

public enum SmtpSecurity
{
    /// <summary>STARTTLS is demanded (port 587).</summary>
    StartTls,

    /// <summary>TLS from the first byte (port 465).</summary>
    Tls,

    /// <summary>No encryption; a login is sent in clear.</summary>
    None,
}

/// <summary>The mail server, from the settings <c>Smtp:*</c>.</summary>
public sealed record SmtpOptions
{
    /// <summary>Host name; empty: no mail can be sent.</summary>
    public string Host { get; init; } = "";

    public int Port { get; init; } = 587;

    public SmtpSecurity Security { get; init; } = SmtpSecurity.StartTls;

    /// <summary>Login; empty: none.</summary>
    public string User { get; init; } = "";

    public string Password { get; init; } = "";

    /// <summary>The sender's address.</summary>
    public string From { get; init; } = "";

    /// <summary>A certificate (PEM file) that is trusted besides the system's, for a server of one's own; empty: none.</summary>
    public string TrustedCertificate { get; init; } = "";

    /// <summary>The longest any single step may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    internal X509Certificate2? LoadTrusted() =>
        TrustedCertificate.Length == 0 ? null : X509CertificateLoader.LoadCertificateFromFile(TrustedCertificate);
}
