namespace Millrace.Commands;

/// <summary>A command could not do its work; the message says what and how to mend it.</summary>
internal sealed class CommandException(string message, Exception? inner = null) : Exception(message, inner);
