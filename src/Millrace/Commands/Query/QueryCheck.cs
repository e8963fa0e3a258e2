using Millrace.StreamSql;

namespace Millrace.Commands.Query;

/// <summary><c>millrace query check FILE</c>.</summary>
internal static class QueryCheck
{
    public static int Run(string file, string[] inputs, string[] references, TextWriter errors)
    {
        var text = ReadScript(file);
        var result = StreamQuery.Compile(text, new CompileOptions
        {
            Inputs = inputs,
            References = references,
            AcceptAnyInput = inputs.Length == 0,
        });
        foreach (var error in result.Errors)
            QueryErrors.Write(errors, file, text, error);
        foreach (var warning in result.Warnings)
            QueryErrors.Write(errors, file, text, warning, "warning: ");
        return result.Errors.Count == 0 ? ExitCode.Done : ExitCode.Failed;
    }

    public static string ReadScript(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception failure) when (UnreadableFile.IsReason(failure))
        {
            throw UnreadableFile.For("the script", file, failure);
        }
    }
}
