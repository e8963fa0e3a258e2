using Millrace.Log;

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
}
