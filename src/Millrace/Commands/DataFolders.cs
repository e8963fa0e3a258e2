using System.CommandLine;
using Millrace.History.Archive;
using Millrace.Log;
using Millrace.Settings;

namespace Millrace.Commands;

/// <summary>Looks into a server's data folder, whether or not a server is running on it: no lock is needed to read.</summary>
internal static class DataFolders
{
    /// <exception cref="CommandException">There is no log, or it cannot be read.</exception>
    public static LogFolder OpenLog(string data)
    {
        if (!Directory.Exists(Path.Combine(data, "log")))
            throw new CommandException($"{Path.GetFullPath(data)} is not a server's data folder: it has no log; name the folder that serve was given with --data DIR");
        try
        {
            return LogFolder.OpenForReading(Path.Combine(data, "log"));
        }
        catch (LogFolderException failure)
        {
            throw new CommandException(failure.Message, failure);
        }
    }

    /// <summary>The settings of the server whose folder is read. What is a secret stands in the file or in the environment, not on the command line.</summary>
    public static Option<string?> Config() => new("--config")
    {
        Description = "the settings file that serve is given, where the history lies in an S3-compatible store (MILLRACE__HISTORY__S3__… do as well)",
    };

    /// <exception cref="UsageException">A setting is wrong.</exception>
    public static ServerOptions ReadOptions(string? config, string[] sets)
    {
        var reader = new OptionReader(ConfigurationSources.Read(config, sets));
        var options = ServerOptions.Read(reader);
        return reader.Finish() is { Count: > 0 } errors ? throw new UsageException(errors) : options;
    }

    /// <summary>
    /// The history as the server of these settings has it: in its folder, or in its store. Where only that is wanted of them, mistakes in other
    /// settings are none of the command's.
    /// </summary>
    public static IHistoryStore OpenHistory(string data, string? config)
    {
        var options = ServerOptions.Read(new OptionReader(ConfigurationSources.Read(config, [])));
        return options.History.S3 is { } s3
            ? new S3HistoryStore(s3, Path.Combine(Path.GetTempPath(), "millrace-nothing-is-uploaded"))
            : new LocalHistoryStore(Path.Combine(data, "history"));
    }
}
