using Microsoft.Extensions.Configuration;
using Millrace.Commands;
using Millrace.Core;
using Millrace.Settings;
using Millrace.Testing;

namespace Millrace.Tests.Settings;

public sealed class ServerOptionsTests
{
    [Fact]
    public void Without_settings_everything_listens_on_loopback_in_open_mode()
    {
        var (options, errors) = Read();

        Assert.Empty(errors);
        Assert.Equal("127.0.0.1:8080", options.Http.Endpoint!.ToString());
        Assert.Equal("127.0.0.1:9999", options.Udp.Endpoint!.ToString());
        Assert.Equal("127.0.0.1:8090", options.Tcp.Endpoint!.ToString());
        Assert.Equal("127.0.0.1:5000", options.Http.MiddlewareEndpoint!.ToString());
        Assert.Equal(SecurityMode.Open, options.Security);
    }

    [Fact]
    public void All_mistakes_are_told_at_once()
    {
        var (_, errors) = Read("Log:Partitions=none", "Htp:Endpoint=127.0.0.1:1", "Security:Mode=maybe", "Listeners:Udp:Endpoint=here");

        Assert.Equal(4, errors.Count);
        Assert.Contains(errors, e => e.StartsWith("Log:Partitions: 'none'", StringComparison.Ordinal));
        Assert.Contains(errors, e => e == "Htp:Endpoint: no such setting; did you mean Http:Endpoint?");
        Assert.Contains(errors, e => e.Contains("none of open, token", StringComparison.Ordinal));
        Assert.Contains(errors, e => e.StartsWith("Listeners:Udp:Endpoint: 'here'", StringComparison.Ordinal));
    }

    [Fact]
    public void An_address_others_can_reach_is_refused_in_open_mode_and_taken_with_tokens_or_consent()
    {
        Assert.Contains("Security:AllowOpen=true", Assert.Single(Read("Listeners:Tcp:Endpoint=0.0.0.0:8090").Errors), StringComparison.Ordinal);
        Assert.Empty(Read("Listeners:Tcp:Endpoint=0.0.0.0:8090", "Security:Mode=token").Errors);
        Assert.Empty(Read("Listeners:Tcp:Endpoint=0.0.0.0:8090", "Security:AllowOpen=true").Errors);
    }

    [Fact]
    public void A_later_source_wins_and_off_disables()
    {
        var (options, errors) = Read("Listeners:Udp:Endpoint=127.0.0.1:7000", "Listeners:Udp:Endpoint=off");

        Assert.Empty(errors);
        Assert.Null(options.Udp.Endpoint);
    }

    [Fact]
    public void The_old_ini_starts_udp_and_the_database_view()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["server.config"], """
            [db]
            host = 127.0.0.1
            port = 3306
            user = iot
            pass = p;w"d=1
            name = IOT
            char = utf8
            [server]
            ipaddress =
            udpport = 9999
            buffersize = 50
            [concurrent]
            process_thread_number = 10
            [sql]
            search = SELECT * FROM IOTHardwareInUse WHERE HardwareID='@PARAM@'
            update = UPDATE IOTHardwareInUse SET Data='@DATA@' WHERE HardwareID='@PARAM@'
            insert = INSERT INTO IOTHardwareInUse(HardwareID, Data) VALUES('@PARAM@','@DATA@')
            """);

        var reader = new OptionReader(ConfigurationSources.Read(folder["server.config"], []));
        var options = ServerOptions.Read(reader);

        Assert.Empty(reader.Finish());
        Assert.Equal("0.0.0.0:9999", options.Udp.Endpoint!.ToString());
        Assert.Equal(("mysql", "IOTHardwareInUse", "HardwareID", "Data", 10),
            (options.SqlView.Provider, options.SqlView.Table, options.SqlView.IdColumn, options.SqlView.DataColumn, options.SqlView.Writers));
        var connection = new System.Data.Common.DbConnectionStringBuilder { ConnectionString = options.SqlView.Connection };
        Assert.Equal("p;w\"d=1", connection["Password"]);
    }

    [Theory]
    [InlineData("[server]\nudpport = 99999\n", "udpport = 99999")]
    [InlineData("[server]\nnonsense\n", "server.config:2")]
    [InlineData("[db]\nhost=x\n[sql]\nupdate=DROP TABLE x\n", "name no table")]
    public void A_broken_ini_says_where(string text, string expected)
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["server.config"], text);

        var error = Assert.Throws<StartException>(() => ConfigurationSources.Read(folder["server.config"], []));

        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_reference_page_lists_every_setting_as_it_is()
    {
        var page = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "configuration.md"));

        Assert.Contains(SettingsCommand.Table(), page.ReplaceLineEndings("\n"), StringComparison.Ordinal);
    }

    private static (ServerOptions Options, IReadOnlyList<string> Errors) Read(params string[] sets)
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["empty.json"], "{}");
        var reader = new OptionReader(ConfigurationSources.Read(folder["empty.json"], sets));
        var options = ServerOptions.Read(reader);
        return (options, reader.Finish());
    }

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the source tree is not above the tests");
        return folder;
    }
}
