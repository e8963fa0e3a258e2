namespace Millrace.Commands.Query;

/// <summary>Says in a user's words why a file could not be opened.</summary>
internal static class UnreadableFile
{
    public static bool IsReason(Exception failure) => failure is IOException or UnauthorizedAccessException;

    /// <param name="what">What the file is for: "the script", "the input m".</param>
    /// <param name="path">The file as the user wrote it.</param>
    /// <param name="failure">What came of opening it.</param>
    public static CommandException For(string what, string path, Exception failure)
    {
        var reason = Directory.Exists(path) ? "it is a folder" : !File.Exists(path) ? "there is no such file" : failure.Message;
        return new CommandException($"cannot read {what} from {path}: {reason}", failure);
    }
}
