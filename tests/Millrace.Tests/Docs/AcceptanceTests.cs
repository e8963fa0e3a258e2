using System.Text.RegularExpressions;

namespace Millrace.Tests.Docs;

/// <summary>docs/acceptance.md is worth something only while the tests it names exist.</summary>
public partial class AcceptanceTests
{
    [Fact]
    public void Every_test_named_in_the_acceptance_page_exists()
    {
        var root = RepositoryRoot();
        var named = TestName().Matches(File.ReadAllText(Path.Combine(root, "docs", "acceptance.md"))).Select(m => m.Groups[1].Value).Distinct().ToList();
        var separator = Path.DirectorySeparatorChar;
        var written = Directory.EnumerateFiles(Path.Combine(root, "tests"), "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains($"{separator}obj{separator}", StringComparison.Ordinal) && !file.Contains($"{separator}bin{separator}", StringComparison.Ordinal))
            .SelectMany(file => TestMethod().Matches(File.ReadAllText(file)).Select(m => m.Groups[1].Value))
            .ToHashSet();

        Assert.True(named.Count > 40, $"only {named.Count} tests are named");
        Assert.Equal([], named.Except(written));
    }

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("the repository's root is not above the test program");
        return folder;
    }

    [GeneratedRegex("`([A-Za-z0-9]+(?:_[A-Za-z0-9]+){2,})`")]
    private static partial Regex TestName();

    [GeneratedRegex(@"public\s+(?:async\s+)?(?:static\s+)?(?:Task|ValueTask|void)\s+([A-Za-z0-9_]+)\s*\(")]
    private static partial Regex TestMethod();
}
