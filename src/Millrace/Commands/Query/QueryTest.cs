using Millrace.StreamSql.Cases;

namespace Millrace.Commands.Query;

/// <summary><c>millrace query test DIR</c>.</summary>
internal static class QueryTest
{
    public static int Run(string folder, TextWriter output, CancellationToken cancel)
    {
        string[] files;
        if (File.Exists(folder))
            files = [folder];
        else if (Directory.Exists(folder))
            files = [.. Directory.EnumerateFiles(folder, "*.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        else
            throw new CommandException($"there is no folder or file {folder}");
        if (files.Length == 0)
            throw new CommandException($"{folder} holds no case (*.json)");

        var passed = 0;
        var failed = 0;
        foreach (var file in files)
        {
            cancel.ThrowIfCancellationRequested();
            var difference = Check(file);
            if (difference is null)
            {
                passed++;
                continue;
            }

            failed++;
            var name = file == folder ? Path.GetFileName(file) : Path.GetRelativePath(folder, file);
            output.WriteLine($"FAILED {Path.ChangeExtension(name, null)}: {difference}");
        }

        output.WriteLine($"{passed} passed, {failed} failed");
        return failed == 0 ? ExitCode.Done : ExitCode.Failed;
    }

    private static string? Check(string file)
    {
        try
        {
            return CaseRun.Check(QueryCase.Parse(File.ReadAllText(file)));
        }
        catch (Exception failure) when (failure is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            return failure.Message;
        }
    }
}
