using System.CommandLine;
using Microsoft.Extensions.Configuration;
using Millrace.Settings;

namespace Millrace.Commands;

/// <summary><c>millrace settings</c>: every setting with its default and meaning, as docs/configuration.md has them.</summary>
internal static class SettingsCommand
{
    public static Command Create()
    {
        var command = new Command("settings", "List every setting with its default and meaning.");
        command.SetAction(_ =>
        {
            Console.Write(Table());
            return ExitCode.Done;
        });
        return command;
    }

    /// <summary>The settings as a Markdown table, sorted by key.</summary>
    public static string Table()
    {
        var reader = new OptionReader(new ConfigurationBuilder().Build());
        ServerOptions.Read(reader);
        var rows = reader.Docs
            .Where(doc => doc.Key != NbIotServerConfig.UdpConsentKey)
            .OrderBy(doc => doc.Key, StringComparer.Ordinal)
            .Select(doc => $"| `{doc.Key}` | {(doc.Default.Length == 0 ? "" : $"`{doc.Default}`")} | {doc.Meaning} |\n");
        return "| setting | default | meaning |\n|---|---|---|\n" + string.Concat(rows);
    }
}
