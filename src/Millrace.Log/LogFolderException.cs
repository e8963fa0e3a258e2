namespace Millrace.Log;

/// <summary>The log's folder cannot be opened as it is; the message says why and how to mend it. Nothing was changed.</summary>
public sealed class LogFolderException(string message, Exception? inner = null) : Exception(message, inner);
