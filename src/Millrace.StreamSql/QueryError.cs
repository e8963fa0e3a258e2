namespace Millrace.StreamSql;

/// <summary>What is wrong, or doubtful, in a script and where.</summary>
/// <param name="Line">Line, from 1.</param>
/// <param name="Column">Column in characters, from 1: the first character of the offending token.</param>
/// <param name="Message">One sentence that names the offending word.</param>
public sealed record QueryError(int Line, int Column, string Message)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Line}:{Column}: {Message}";
}
