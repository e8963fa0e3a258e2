using System.Reflection;
using System.Text.Json;
using Microsoft.Playwright;

namespace Millrace.BrowserTests;

/// <summary>Looks at a page with axe-core, by the rules of WCAG 2.1 A and AA.</summary>
internal static class Accessibility
{
    public static string Script { get; } =
        typeof(Accessibility).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "AxeScript").Value!;

    /// <summary>Serious and critical violations, each as one line.</summary>
    public static async Task<IReadOnlyList<string>> SeriousAsync(IPage page, string name)
    {
        // The page's own policy lets no other script in; the test's world is not bound by it.
        await page.EvaluateAsync(await File.ReadAllTextAsync(Script));
        var found = await page.EvaluateAsync<JsonElement>(
            "() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then(r => r.violations)");
        return
        [
            .. from violation in found.EnumerateArray()
            where violation.GetProperty("impact").GetString() is "serious" or "critical"
            from node in violation.GetProperty("nodes").EnumerateArray()
            select $"{name}: {violation.GetProperty("id").GetString()}: {node.GetProperty("html").GetString()} {node.GetProperty("failureSummary").GetString()}",
        ];
    }
}
