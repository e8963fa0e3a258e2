using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.StreamSql.Cases;

/// <summary>Collects what an execution gives and compares it with a case.</summary>
public sealed class CaseRun : IQuerySink
{
    private static readonly JsonSerializerOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 1024 };

    private readonly Dictionary<string, List<string>> rows = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<string> deadLetters = [];

    /// <summary>Rows of each output as JSON, in order.</summary>
    public IReadOnlyDictionary<string, List<string>> Rows => rows;

    /// <summary>Reasons of the dead letters, in order.</summary>
    public IReadOnlyList<string> DeadLetters => deadLetters;

    /// <summary>What went wrong with the order or the numbers of rows; empty when nothing did.</summary>
    public string Complaint { get; private set; } = "";

    private readonly Dictionary<string, long> latest = new(StringComparer.OrdinalIgnoreCase);

    /// <inheritdoc/>
    public void OnRow(OutputRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (!rows.TryGetValue(row.Output, out var list))
            rows.Add(row.Output, list = []);
        if (row.Number != list.Count)
            Complaint = $"row {row.Number} of {row.Output} came as number {list.Count}";
        if (row.IsTimeOrdered && latest.TryGetValue(row.Output, out var time) && row.TimestampTicks < time)
            Complaint = $"row {row.Number} of {row.Output} has an earlier timestamp than the row before it";
        latest[row.Output] = row.TimestampTicks;
        list.Add(Encoding.UTF8.GetString(row.Json));
    }

    /// <inheritdoc/>
    public void OnDeadLetter(in DeadLetter letter) => deadLetters.Add(letter.Reason);

    /// <summary>Runs a case from beginning to end at once.</summary>
    /// <returns>Null when it passes, else what is different.</returns>
    public static string? Check(QueryCase test)
    {
        ArgumentNullException.ThrowIfNull(test);
        var compiled = StreamQuery.Compile(test.Query, test.Options);
        if (test.CheckErrors(compiled.Errors) is { } complaint)
            return complaint;
        if (test.Expected is null)
            return null;
        var run = new CaseRun();
        var execution = run.Start(test, compiled.Query!);
        foreach (var next in test.Events)
            Push(execution, next);
        execution.Complete();
        return run.Compare(test, execution.Counters);
    }

    /// <summary>Starts an execution with the case's reference rows.</summary>
    public QueryExecution Start(QueryCase test, CompiledQuery query)
    {
        ArgumentNullException.ThrowIfNull(test);
        ArgumentNullException.ThrowIfNull(query);
        var execution = query.Start(this);
        foreach (var (name, reference) in test.References)
            execution.SetReference(name, reference);
        return execution;
    }

    /// <summary>Posts one event of a case, unless no query reads its input.</summary>
    public static void Push(QueryExecution execution, CaseEvent next)
    {
        ArgumentNullException.ThrowIfNull(execution);
        ArgumentNullException.ThrowIfNull(next);
        var input = execution.Query.InputOrdinal(next.Input);
        if (input >= 0)
            execution.PostAt(input, next.ArrivalTicks, next.Payload);
    }

    /// <summary>Compares with what the case expects.</summary>
    /// <returns>Null when equal, else what is different.</returns>
    public string? Compare(QueryCase test, QueryCounters counters)
    {
        ArgumentNullException.ThrowIfNull(test);
        if (Complaint.Length > 0)
            return Complaint;
        foreach (var output in rows.Keys)
        {
            if (!test.Expected!.ContainsKey(output))
                return $"output {output} is not expected{Show("found", [.. rows[output].Take(1).Select(RowOf)])}";
        }

        foreach (var (output, expected) in test.Expected!)
        {
            var found = rows.TryGetValue(output, out var list)
                ? list.ConvertAll(RowOf)
                : [];
            if (Difference(expected, found, test.IsOrdered) is { } difference)
                return $"{output}: {difference}{LastReason()}";
        }

        foreach (var (name, count) in test.ExpectedCounters)
        {
            var found = name switch
            {
                "bad" => counters.Bad,
                "late" => counters.Late,
                "early" => counters.Early,
                "out_of_order" => counters.OutOfOrder,
                _ => throw new InvalidDataException($"unknown counter {name}"),
            };
            if (found != count)
                return $"counter {name} is {found}, {count} was expected{LastReason()}";
        }

        return null;
    }

    private static JsonElement RowOf(string json) => JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1024 }).RootElement;

    private string LastReason() => deadLetters.Count > 0 ? $"\n  {deadLetters.Count} dead letters, the last: {deadLetters[^1]}" : "";

    private static string? Difference(IReadOnlyList<JsonElement> expected, List<JsonElement> found, bool ordered)
    {
        var missing = new List<JsonElement>();
        var left = found.ToList();
        for (var index = 0; index < expected.Count; index++)
        {
            if (ordered)
            {
                if (index < found.Count && !RowComparison.AreEqual(expected[index], found[index]))
                    return $"row {index} differs{Show("expected", [expected[index]])}{Show("found", [found[index]])}";
                if (index >= found.Count)
                    missing.Add(expected[index]);
                continue;
            }

            var at = left.FindIndex(f => RowComparison.AreEqual(expected[index], f));
            if (at < 0)
                missing.Add(expected[index]);
            else
                left.RemoveAt(at);
        }

        if (ordered)
            left.RemoveRange(0, Math.Min(expected.Count, left.Count));
        return missing.Count + left.Count == 0
            ? null
            : $"{found.Count} rows, {expected.Count} expected{Show("missing", missing)}{Show("too many", left)}";
    }

    private static string Show(string what, List<JsonElement> rows)
    {
        const int shown = 5;
        var lines = rows.Take(shown).Select(r => $"\n  {what}: {JsonSerializer.Serialize(r, Compact)}");
        return string.Concat(lines) + (rows.Count > shown ? $"\n  {what}: {rows.Count - shown} more" : "");
    }
}
