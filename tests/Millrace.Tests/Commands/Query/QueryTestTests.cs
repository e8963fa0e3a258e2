using Millrace.Commands;
using Millrace.Commands.Query;
using Millrace.Testing;

namespace Millrace.Tests.Commands.Query;

/// <summary><c>query test</c>: what it says of cases that pass, fail and cannot be read.</summary>
public sealed class QueryTestTests
{
    private static string Case(string query, string expectation)
        => $$$"""{"name":"x","tier":1,"query":"{{{query}}}","inputs":{"m":[{"t":"2026-03-02T08:00:00Z","event":{"v":1}},{"t":"2026-03-02T08:00:01Z","event":{"v":0}}]},{{{expectation}}}}""";

    [Fact]
    public void Cases_in_folders_below_are_run_and_failures_show_rows_missing_and_too_many()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["below/deep"]);
        File.WriteAllText(folder["good.json"], Case("SELECT v FROM m", "\"expected\":{\"output\":[{\"v\":1},{\"v\":0}]},\"ordered\":true"));
        File.WriteAllText(folder["below/missing.json"], Case("SELECT 1 / v AS v FROM m", "\"expected\":{\"output\":[{\"v\":1},{\"v\":9}]}"));
        File.WriteAllText(folder["below/deep/order.json"], Case("SELECT v FROM m", "\"expected\":{\"output\":[{\"v\":0},{\"v\":1}]},\"ordered\":true"));
        File.WriteAllText(folder["broken.json"], "{");
        File.WriteAllText(folder["counter.json"], Case("SELECT v FROM m", "\"expected\":{\"output\":[{\"v\":0},{\"v\":1}]},\"expected_counters\":{\"bad\":1}"));
        File.WriteAllText(folder["error.json"], Case("SELECT nope(v) FROM m", "\"expected_error\":{\"line\":1,\"column\":9,\"contains\":\"nope\"}"));
        using var output = new StringWriter();

        var code = QueryTest.Run(folder.Path, output, CancellationToken.None);

        Assert.Equal(ExitCode.Failed, code);
        var text = output.ToString().ReplaceLineEndings("\n");
        Assert.Contains("FAILED below/missing: output: 1 rows, 2 expected\n  missing: {\"v\":9}\n  1 dead letters, the last: division by zero\n", text);
        Assert.Contains("FAILED below/deep/order: output: row 0 differs\n  expected: {\"v\":0}\n  found: {\"v\":1}\n", text);
        Assert.Contains("FAILED broken: not JSON", text);
        Assert.Contains("FAILED counter: counter bad is 0, 1 was expected\n", text);
        Assert.Contains("FAILED error: error 1:8: unknown function nope, but 1:9 with 'nope' was expected\n", text);
        Assert.EndsWith("1 passed, 5 failed\n", text);
    }
}
