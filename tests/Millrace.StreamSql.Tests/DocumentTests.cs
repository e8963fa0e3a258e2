using System.Text.RegularExpressions;

namespace Millrace.StreamSql.Tests;

/// <summary>The examples of docs/stream-sql.md do what the page says.</summary>
public sealed partial class DocumentTests
{
    [GeneratedRegex("```sql\n(.*?)```\n```input\n(.*?)```\n```output\n(.*?)```", RegexOptions.Singleline)]
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

        Assert.True(examples.Count >= 10);
        Assert.Equal(examples.Count, Regex.Count(page, "```sql\n"));
        foreach (Match example in examples)
        {
            var run = Sql.Run(example.Groups[1].Value, new CompileOptions { AcceptAnyInput = true }, Lines(example.Groups[2].Value));
            var found = run.Rows.OrderBy(r => r.Key, StringComparer.Ordinal).SelectMany(r => r.Value.Select(v => $"{r.Key} {v}"));
            var expected = Lines(example.Groups[3].Value).GroupBy(l => l[..l.IndexOf(' ')]).OrderBy(g => g.Key, StringComparer.Ordinal).SelectMany(g => g);
            Assert.Equal(expected, found);
        }
    }

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
