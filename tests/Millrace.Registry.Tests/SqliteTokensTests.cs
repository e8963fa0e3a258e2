using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Registry.Tests;

public sealed class SqliteTokensTests : IDisposable
{
    private static readonly DeviceChange Nothing = new(null, null, null, null);

    private readonly TempFolder _folder = new();
    private readonly ManualTime _time = new();
    private readonly SqliteDatabase _database;
    private readonly SqliteRegistry _registry;
    private readonly SqliteTokens _tokens;

    public SqliteTokensTests()
    {
        _database = SqliteDatabase.Open(_folder["registry.db"]);
        _registry = new SqliteRegistry(_database, _time);
        _tokens = new SqliteTokens(_database, _registry, _time, NullLogger<SqliteTokens>.Instance);
    }

    public void Dispose()
    {
        _tokens.Dispose();
        _database.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void A_token_gives_its_principal_until_it_is_revoked()
    {
        var (info, text) = _tokens.Create("grafana", Role.Read, 3);

        Assert.Equal(new Principal("grafana", 3, Role.Read, null), _tokens.Authenticate(text));
        Assert.Equal(new Principal("grafana", 3, Role.Read, null), _tokens.Authenticate(text));

        Assert.False(_tokens.Revoke(0, info.Id));                // another tenant's
        Assert.True(_tokens.Revoke(3, info.Id));
        Assert.Null(_tokens.Authenticate(text));
    }

    [Theory]
    [InlineData("")]
    [InlineData("mra_nonsense")]
    [InlineData("ü")]
    [InlineData("a-text-much-longer-than-any-token-could-ever-be-0123456789-0123456789")]
    public void Anything_else_is_nobody(string text) => Assert.Null(_tokens.Authenticate(text));

    [Fact]
    public void The_file_holds_no_token_as_text()
    {
        _registry.Add(0, "a", Nothing);
        var (_, api) = _tokens.Create("x", Role.Admin, 0);
        var device = _registry.IssueToken(0, "a");
        _database.Dispose();

        var bytes = string.Concat(Directory.GetFiles(_folder.Path, "registry.db*").Select(f => System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(f))));
        Assert.DoesNotContain(api, bytes);
        Assert.DoesNotContain(device, bytes);
        Assert.True(api.Length >= 26 && device.Length >= 26);
    }

    [Fact]
    public void A_device_token_is_for_its_device_alone_and_a_new_one_replaces_it()
    {
        _registry.Add(2, "AB12", Nothing);

        var first = _registry.IssueToken(2, "AB12");
        var who = _tokens.Authenticate(first)!;
        Assert.Equal((2, Role.None, "AB12"), (who.Tenant, who.Role, who.DeviceId));
        Assert.True(_registry.Find(2, "AB12")!.HasToken);

        var second = _registry.IssueToken(2, "AB12");
        Assert.Null(_tokens.Authenticate(first));
        Assert.NotNull(_tokens.Authenticate(second));
    }

    [Fact]
    public void A_removed_device_loses_its_token()
    {
        _registry.Add(0, "a", Nothing);
        var token = _registry.IssueToken(0, "a");
        Assert.NotNull(_tokens.Authenticate(token));

        _registry.Remove(0, "a");

        Assert.Null(_tokens.Authenticate(token));
        Assert.Throws<KeyNotFoundException>(() => _registry.IssueToken(0, "a"));
    }

    [Fact]
    public void The_first_admin_token_is_written_once_for_this_user_only()
    {
        var path = _folder["admin-token"];

        Assert.True(_tokens.EnsureAdminToken(path));
        Assert.False(_tokens.EnsureAdminToken(path));

        Assert.Equal(Role.Admin, _tokens.Authenticate(File.ReadAllText(path).Trim())!.Role);
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
    }

    [Fact]
    public void Tokens_are_listed_with_their_last_use()
    {
        var (_, text) = _tokens.Create("x", Role.Operate, 0);
        Assert.Null(Assert.Single(_tokens.List(0)).LastUsedAt);

        _time.Advance(TimeSpan.FromMinutes(1));
        _tokens.Authenticate(text);

        Assert.Equal(_time.Now(), Assert.Single(_tokens.List(0)).LastUsedAt);
        Assert.Empty(_tokens.List(1));
    }

    [Fact]
    public void A_remembered_token_is_recognised_without_allocating()
    {
        var (_, text) = _tokens.Create("x", Role.Read, 0);
        for (var i = 0; i < 100; i++)
            _tokens.Authenticate(text);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
            _tokens.Authenticate(text);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Administrative_acts_leave_a_line()
    {
        _tokens.Audit(new Principal("admin", 0, Role.Admin, null), "device.remove", "AB12");

        var line = _database.Read(c =>
        {
            using var command = c.CreateCommand();
            command.CommandText = "SELECT who || ' ' || action || ' ' || subject FROM audit";
            return (string?)command.ExecuteScalar();
        });
        Assert.Equal("admin device.remove AB12", line);
    }
}
