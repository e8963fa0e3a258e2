using System.Globalization;
using System.Text;
using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>Runs scripts over events written as "time json" lines.</summary>
internal static class Sql
{
    /// <summary>Compiles; the input is called m and the reference input r.</summary>
    public static CompileResult Compile(string query, CompileOptions? options = null)
        => StreamQuery.Compile(query, options ?? new CompileOptions { Inputs = ["m", "n"], References = ["r"] });

    /// <summary>Rows of one output. An event is "08:00:01 {…}" for input m, "name 08:00:01 {…}" for another.</summary>
    public static List<string> Rows(string query, params string[] events) => Run(query, null, events).Rows.GetValueOrDefault("output", []);

    public static CaseRun Run(string query, CompileOptions? options, params string[] events) => RunCounted(query, options, events).Run;

    public static (CaseRun Run, QueryCounters Counters) RunCounted(string query, CompileOptions? options, params string[] events)
    {
        var compiled = Compile(query, options);
        Assert.Empty(compiled.Errors);
        var run = new CaseRun();
        var execution = compiled.Query!.Start(run);
        foreach (var text in events)
        {
            var (input, ticks, payload) = Parse(text);
            execution.PushAt(Math.Max(0, execution.Query.InputOrdinal(input)), ticks, payload);
        }

        execution.Complete();
        Assert.Equal("", run.Complaint);
        return (run, execution.Counters);
    }

    public static (string Input, long Ticks, byte[] Payload) Parse(string text)
    {
        var input = "m";
        if (char.IsAsciiLetter(text[0]))
        {
            input = text[..text.IndexOf(' ', StringComparison.Ordinal)];
            text = text[(input.Length + 1)..];
        }

        var at = text.IndexOf(' ', StringComparison.Ordinal);
        var time = DateTime.Parse("2026-03-02T" + text[..at] + "Z", CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal);
        return (input, time.Ticks, Encoding.UTF8.GetBytes(text[(at + 1)..]));
    }

    /// <summary>The value of an expression over one event, as JSON; "error" when the event is a bad one.</summary>
    public static string Value(string expression, string payload = "{}")
    {
        var (run, counters) = RunCounted($"SELECT {expression} AS x FROM m", null, "08:00:00 " + payload);
        return counters.Bad > 0 ? "error" : run.Rows["output"][0]["{\"x\":".Length..^1];
    }
}
