using System.Text;
using Millrace.StreamSql;

namespace Millrace.Commands.Query;

/// <summary>Shows where a script is wrong: FILE:LINE:COLUMN: message, the line, and a caret below the place.</summary>
internal static class QueryErrors
{
    public static void Write(TextWriter target, string file, string text, QueryError error, string kind = "")
    {
        target.WriteLine($"{file}:{error.Line}:{error.Column}: {kind}{error.Message}");
        var lines = text.Split('\n');
        if (error.Line > lines.Length)
            return;
        var line = lines[error.Line - 1].TrimEnd('\r');
        target.WriteLine($"  {line}");
        target.WriteLine($"  {Indent(line, error.Column)}^");
    }

    /// <summary>Tabs stay tabs, so that the caret stands right whatever their width.</summary>
    private static string Indent(string line, int column)
    {
        var indent = new StringBuilder();
        foreach (var rune in line.EnumerateRunes().Take(column - 1))
            indent.Append(rune.Value == '\t' ? '\t' : ' ');
        return indent.ToString();
    }
}
