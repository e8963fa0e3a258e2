using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Dapper;
using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Registry;

/// <summary>
/// API and device tokens in SQLite. Authenticated tokens are remembered in memory by their hash; any change of any token
/// empties that memory, which costs a few microseconds per token afterwards and cannot be got wrong.
/// </summary>
public sealed class SqliteTokens : ITokenStore, IDisposable
{
    /// <summary>Remembered tokens at most, about 200 bytes each; more simply start over.</summary>
    private const int RememberedMax = 200_000;

    /// <summary>Audit lines kept in the table; the log has them all.</summary>
    private const int AuditKept = 100_000;

    private readonly SqliteDatabase _database;
    private readonly SqliteRegistry _registry;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private Dictionary<TokenHash, Remembered> _remembered = [];
    private int _changes;

    public SqliteTokens(SqliteDatabase database, SqliteRegistry registry, TimeProvider time, ILogger<SqliteTokens> log)
    {
        ArgumentNullException.ThrowIfNull(registry);
        (_database, _registry, _time, _log) = (database, registry, time, log);
        _registry.TokensChanged += Forget;
    }

    public Principal? Authenticate(ReadOnlySpan<char> token)
    {
        Span<byte> bytes = stackalloc byte[SHA256.HashSizeInBytes];
        if (!TokenText.TryHash(token, bytes))
            return null;
        var hash = MemoryMarshal.Read<TokenHash>(bytes);
        int changes;
        lock (_gate)
        {
            changes = _changes;
            if (_remembered.TryGetValue(hash, out var known))
            {
                known.LastUsedAt = _time.Now();
                return known.Principal;
            }
        }

        var found = Find(bytes.ToArray());
        if (found is null)
            return null;
        lock (_gate)
        {
            if (changes == _changes)                       // else the token may just have been revoked
            {
                if (_remembered.Count >= RememberedMax)
                    _remembered = [];
                _remembered[hash] = found;
            }
        }

        return found.Principal;
    }

    public (TokenInfo Info, string Token) Create(string name, Role role, ushort tenant)
    {
        var (text, hash) = TokenText.Create(TokenText.ApiPrefix);
        return (Insert(name, role, tenant, hash), text);
    }

    public IReadOnlyList<TokenInfo> List(ushort tenant)
    {
        SaveUse();
        return _database.Read(c => c.Query<Row>(
            "SELECT id, name, role, tenant, created_at AS createdAt, last_used_at AS lastUsedAt FROM api_tokens WHERE tenant=@tenant ORDER BY id",
            new { tenant }).Select(row => row.ToInfo()).ToList());
    }

    public bool Revoke(ushort tenant, long id)
    {
        var revoked = _database.Write((c, t) =>
            c.Execute("DELETE FROM api_tokens WHERE id=@id AND tenant=@tenant", new { id, tenant }, t)) == 1;
        Forget();
        return revoked;
    }

    public bool EnsureAdminToken(string path)
    {
        var any = _database.Read(c => c.ExecuteScalar<long>("SELECT count(*) FROM api_tokens WHERE role=@role", new { role = (int)Role.Admin }));
        if (any > 0)
            return false;
        var (text, hash) = TokenText.Create(TokenText.ApiPrefix);
        // The file first: a crash between the two leaves a file that the next start replaces, never a token nobody knows.
        WriteSecret(path, text);
        Insert("first-admin", Role.Admin, 0, hash);
        RegistryLog.AdminTokenWritten(_log, path);
        return true;
    }

    public void Audit(Principal who, string action, string subject)
    {
        ArgumentNullException.ThrowIfNull(who);
        RegistryLog.Audit(_log, who.Name, who.Tenant, action, subject);
        _database.Write((c, t) =>
        {
            c.Execute(
                "INSERT INTO audit(at, who, tenant, action, subject) VALUES(@at, @name, @tenant, @action, @subject)",
                new { at = _time.Now(), name = who.Name, tenant = who.Tenant, action, subject }, t);
            return c.Execute("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - @kept", new { kept = AuditKept }, t);
        });
    }

    /// <summary>Writes down when tokens were last used; called now and then and at stop, not per request.</summary>
    public void SaveUse()
    {
        List<(long Id, long At)> used = [];
        lock (_gate)
        {
            foreach (var entry in _remembered.Values)
            {
                if (entry.ApiTokenId is not { } id || entry.LastUsedAt == entry.SavedAt)
                    continue;
                used.Add((id, entry.LastUsedAt));
                entry.SavedAt = entry.LastUsedAt;
            }
        }

        if (used.Count == 0)
            return;
        _database.Write((c, t) => c.Execute(
            "UPDATE api_tokens SET last_used_at=@At WHERE id=@Id", used.Select(u => new { u.Id, u.At }), t));
    }

    public void Dispose() => _registry.TokensChanged -= Forget;

    private void Forget()
    {
        lock (_gate)
        {
            _changes++;
            _remembered = [];
        }
    }

    private Remembered? Find(byte[] hash) => _database.Read(c =>
    {
        var api = c.QuerySingleOrDefault<Row>(
            "SELECT id, name, role, tenant, hash, created_at AS createdAt FROM api_tokens WHERE hash=@hash", new { hash });
        if (api is not null && CryptographicOperations.FixedTimeEquals(api.Hash, hash))
            return new Remembered(new Principal(api.Name, (ushort)api.Tenant, (Role)api.Role, null), api.Id) { LastUsedAt = _time.Now() };

        var device = c.QuerySingleOrDefault<DeviceRow>("SELECT tenant, id, hash FROM device_tokens WHERE hash=@hash", new { hash });
        if (device is not null && CryptographicOperations.FixedTimeEquals(device.Hash, hash))
            return new Remembered(new Principal("device " + device.Id, (ushort)device.Tenant, Role.None, device.Id), null);
        return null;
    });

    private TokenInfo Insert(string name, Role role, ushort tenant, byte[] hash)
    {
        var now = _time.Now();
        var id = _database.Write((c, t) => c.ExecuteScalar<long>(
            "INSERT INTO api_tokens(name, role, tenant, hash, created_at) VALUES(@name, @role, @tenant, @hash, @now) RETURNING id",
            new { name, role = (int)role, tenant, hash, now }, t));
        return new TokenInfo(id, name, role, tenant, now, null);
    }

    private static void WriteSecret(string path, string text)
    {
        var temporary = path + ".new";
        File.Delete(temporary);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new FileStream(temporary, options))
        {
            file.Write(System.Text.Encoding.ASCII.GetBytes(text + "\n"));
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>A SHA-256 as a dictionary key.</summary>
    private readonly record struct TokenHash(ulong A, ulong B, ulong C, ulong D)
    {
        public override int GetHashCode() => (int)A;
    }

    private sealed class Remembered(Principal principal, long? apiTokenId)
    {
        public Principal Principal { get; } = principal;
        public long? ApiTokenId { get; } = apiTokenId;
        public long LastUsedAt { get; set; }
        public long SavedAt { get; set; }
    }

    private sealed class Row
    {
        public long Id { get; set; }
        public string Name { get; set; } = "";
        public long Role { get; set; }
        public long Tenant { get; set; }
        public byte[] Hash { get; set; } = [];
        public long CreatedAt { get; set; }
        public long? LastUsedAt { get; set; }

        public TokenInfo ToInfo() => new(Id, Name, (Role)Role, (ushort)Tenant, CreatedAt, LastUsedAt);
    }

    private sealed class DeviceRow
    {
        public long Tenant { get; set; }
        public string Id { get; set; } = "";
        public byte[] Hash { get; set; } = [];
    }
}
