namespace Millrace.Core;

/// <summary>What an API token may do; each role includes the ones before it.</summary>
public enum Role
{
    None = 0,
    Read = 1,
    Operate = 2,
    Admin = 3,
}

/// <summary>Who is behind a token.</summary>
/// <param name="Name">The token's name, for audit lines.</param>
/// <param name="DeviceId">Set for a device token: it may send for this device and nothing else.</param>
public sealed record Principal(string Name, ushort Tenant, Role Role, string? DeviceId)
{
    /// <summary>Everybody in open mode.</summary>
    public static Principal Open { get; } = new("open", 0, Role.Admin, null);
}

/// <summary>An API token without its secret.</summary>
public sealed record TokenInfo(long Id, string Name, Role Role, ushort Tenant, long CreatedAt, long? LastUsedAt);

/// <summary>API and device tokens: 128 random bits or more, stored as SHA-256, compared in constant time. Thread-safe.</summary>
public interface ITokenStore
{
    /// <summary>The principal of a token's text, or null. Cached in memory; safe to call per request.</summary>
    Principal? Authenticate(ReadOnlySpan<char> token);

    /// <summary>Makes an API token; the text is returned once.</summary>
    (TokenInfo Info, string Token) Create(string name, Role role, ushort tenant);

    IReadOnlyList<TokenInfo> List(ushort tenant);

    bool Revoke(ushort tenant, long id);

    /// <summary>Makes the first admin token if there is none, writes it to the file (mode 0600) and returns true.</summary>
    bool EnsureAdminToken(string path);

    /// <summary>Appends an audit line: who did what to what.</summary>
    void Audit(Principal who, string action, string subject);
}

/// <summary>How requests are authenticated.</summary>
public enum SecurityMode
{
    /// <summary>Everybody may do everything; only while every endpoint is on loopback, or by explicit consent.</summary>
    Open,

    /// <summary>Tokens decide.</summary>
    Token,
}
