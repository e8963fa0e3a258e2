using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Web.Security;

/// <summary>The certificate of the TLS endpoint: from files, or a self-made P-256 one kept in the data folder.</summary>
internal static class ServerCertificate
{
    private const string FileName = "https.pfx";

    /// <exception cref="StartException">The files cannot be used.</exception>
    public static X509Certificate2 Load(WebOptions options, TimeProvider time, ILogger log)
    {
        try
        {
            if (options.Certificate is { } file)
                return FromFiles(file, options.Key);
            return FromFolder(options.DataFolder, options.HttpsEndpoint?.Address, time, log);
        }
        catch (Exception error) when (error is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new StartException(
                $"The certificate '{options.Certificate ?? Path.Combine(options.DataFolder, FileName)}' cannot be used: {error.Message} "
                + "Set Https:Certificate (and Https:Key) to a PEM or PFX file this account can read.", error);
        }
    }

    private static X509Certificate2 FromFiles(string file, string? key)
    {
        if (X509Certificate2.GetCertContentType(file) is X509ContentType.Pkcs12)
            return X509CertificateLoader.LoadPkcs12FromFile(file, password: null);
        using var pem = X509Certificate2.CreateFromPemFile(file, key);
        return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pfx), password: null);
    }

    private static X509Certificate2 FromFolder(string folder, IPAddress? bound, TimeProvider time, ILogger log)
    {
        var path = Path.Combine(folder, FileName);
        if (File.Exists(path))
        {
            var kept = X509CertificateLoader.LoadPkcs12FromFile(path, password: null);
            if (kept.NotAfter > time.GetUtcNow().AddDays(7))
                return kept;
            kept.Dispose();
        }

        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Millrace", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddDnsName(Dns.GetHostName());
        names.AddIpAddress(IPAddress.Loopback);
        names.AddIpAddress(IPAddress.IPv6Loopback);
        if (bound is not null && !bound.Equals(IPAddress.Any) && !bound.Equals(IPAddress.IPv6Any) && !IPAddress.IsLoopback(bound))
            names.AddIpAddress(bound);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false));
        var until = time.GetUtcNow().AddDays(825);          // what browsers accept at most of a certificate made by hand
        using var made = request.CreateSelfSigned(time.GetUtcNow().AddDays(-1), until);
        var bytes = made.Export(X509ContentType.Pfx);
        var create = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            create.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new FileStream(path, create))
            file.Write(bytes);

        WebLog.CertificateMade(log, until, path);
        return X509CertificateLoader.LoadPkcs12(bytes, password: null);
    }
}
