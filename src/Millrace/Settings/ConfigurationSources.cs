using Microsoft.Extensions.Configuration;
using Millrace.Commands;
using Millrace.Core;

namespace Millrace.Settings;

/// <summary>Where settings come from, the later winning: appsettings.json or --config, environment, --set.</summary>
internal static class ConfigurationSources
{
    public const string EnvironmentPrefix = "MILLRACE__";

    /// <exception cref="StartException">The file is missing or not readable as JSON or INI.</exception>
    /// <exception cref="UsageException">A --set is malformed.</exception>
    public static IConfigurationRoot Read(string? configFile, IReadOnlyList<string> sets)
    {
        var builder = new ConfigurationBuilder();
        var file = configFile ?? (File.Exists("appsettings.json") ? "appsettings.json" : null);
        if (file is not null)
            AddFile(builder, file);
        builder.AddInMemoryCollection(LastOfEach(Environment.GetEnvironmentVariables().Keys.Cast<string>()
            .Where(name => name.StartsWith(EnvironmentPrefix, StringComparison.OrdinalIgnoreCase))
            .Select(name => KeyValuePair.Create(
                name[EnvironmentPrefix.Length..].Replace("__", ":", StringComparison.Ordinal),
                Environment.GetEnvironmentVariable(name)))));
        builder.AddInMemoryCollection(LastOfEach(sets.Select(ParseSet)));
        try
        {
            return builder.Build();
        }
        catch (Exception e) when (e is FormatException or InvalidDataException)
        {
            throw new StartException($"{file}: not a readable settings file: {e.InnerException?.Message ?? e.Message}");
        }
    }

    private static void AddFile(ConfigurationBuilder builder, string file)
    {
        var path = Path.GetFullPath(file);
        if (!File.Exists(path))
            throw new StartException($"{file}: there is no such settings file; give its path with --config FILE");
        if (NbIotServerConfig.Recognises(path))
            builder.AddInMemoryCollection(NbIotServerConfig.Read(path));
        else
            builder.AddJsonFile(path, optional: false, reloadOnChange: false);
    }

    private static IEnumerable<KeyValuePair<string, string?>> LastOfEach(IEnumerable<KeyValuePair<string, string?>> pairs) =>
        pairs.GroupBy(pair => pair.Key, StringComparer.OrdinalIgnoreCase).Select(same => same.Last());

    private static KeyValuePair<string, string?> ParseSet(string text)
    {
        var equals = text.IndexOf('=');
        if (equals <= 0)
            throw new UsageException([$"--set {text} is not Section:Key=Value, as --set Log:Partitions=8"]);
        return KeyValuePair.Create(text[..equals].Trim(), (string?)text[(equals + 1)..]);
    }
}
