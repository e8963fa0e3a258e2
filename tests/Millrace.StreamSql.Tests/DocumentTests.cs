using System.Text;
using System.Text.RegularExpressions;
using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>The examples of docs/stream-sql.md do what the page says.</summary>
public sealed partial class DocumentTests
{
    [GeneratedRegex("```sql\n(.*?)```\n(?:```reference (\\w+)\n(.*?)```\n)?```input\n(.*?)```\n```output\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Example();

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("Millrace.slnx");
        return folder;
    }

    [Fact]
    public void Examples_give_the_rows_that_the_page_shows()
    {
        var page = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "stream-sql.md"));
        var examples = Example().Matches(page);

        Assert.True(examples.Count >= 25);
        Assert.Equal(examples.Count, Regex.Count(page, "```sql\n"));
        foreach (Match example in examples)
        {
            var reference = example.Groups[2].Value;
            var run = new CaseRun();
            var options = new CompileOptions { AcceptAnyInput = true, References = reference.Length > 0 ? [reference] : [] };
            var execution = Sql.Compile(example.Groups[1].Value, options).Query!.Start(run);
            execution.SetReference(reference, Lines(example.Groups[3].Value).Select(l => new ReadOnlyMemory<byte>(Encoding.UTF8.GetBytes(l))));
            foreach (var line in Lines(example.Groups[4].Value))
            {
                var (input, ticks, payload) = Sql.Parse(line);
                execution.PushAt(Math.Max(0, execution.Query.InputOrdinal(input)), ticks, payload);
            }

            execution.Complete();
            var rows = run.Rows.SelectMany(r => r.Value.Select(v => $"{r.Key} {v}")).Concat(run.DeadLetters.Select(d => $"bad {d}"));
            Assert.Equal(ByOutput(Lines(example.Groups[5].Value)), ByOutput(rows));
        }
    }

    /// <summary>Outputs in order of name, the rows of each as they come.</summary>
    private static IEnumerable<string> ByOutput(IEnumerable<string> lines)
        => lines.GroupBy(l => l[..l.IndexOf(' ')]).OrderBy(g => g.Key, StringComparer.Ordinal).SelectMany(g => g);

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
