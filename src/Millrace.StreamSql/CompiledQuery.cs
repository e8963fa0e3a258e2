using Millrace.StreamSql.Binding;

namespace Millrace.StreamSql;

/// <summary>What came of compiling a script.</summary>
/// <param name="Query">The compiled script; null when there are errors.</param>
/// <param name="Errors">In text order.</param>
/// <param name="Warnings">In text order; they do not keep a query from running.</param>
public sealed record CompileResult(CompiledQuery? Query, IReadOnlyList<QueryError> Errors, IReadOnlyList<QueryError> Warnings);

/// <summary>A script that can be run. Immutable; executions started from it are independent of each other.</summary>
public sealed class CompiledQuery
{
    internal CompiledQuery(string text, CompileOptions options, ScriptPlan plan)
    {
        Text = text;
        Options = options;
        Inputs = [.. plan.Inputs.Select(i => i.Name)];
        References = [.. plan.References.Select(r => r.Name)];
        Outputs = [.. plan.Outputs.Select(o => o.Name)];
        WarmUp = TimeSpan.FromTicks(plan.WarmUpTicks);
    }

    public string Text { get; }

    public CompileOptions Options { get; }

    /// <summary>Inputs that the script reads; an input's ordinal is its index here.</summary>
    public IReadOnlyList<string> Inputs { get; }

    /// <summary>Reference inputs that the script reads.</summary>
    public IReadOnlyList<string> References { get; }

    /// <summary>Outputs that the script writes; an output's ordinal is its index here.</summary>
    public IReadOnlyList<string> Outputs { get; }

    /// <summary>
    /// How far back a new execution has to read before its results are exact: the reach of windows, LIMIT DURATIONs and join
    /// bounds, added up along steps. The tolerance for late events comes on top.
    /// </summary>
    public TimeSpan WarmUp { get; }

    /// <summary>Ordinal of an input by name, −1 if the script does not read it.</summary>
    public int InputOrdinal(string name)
    {
        for (var index = 0; index < Inputs.Count; index++)
        {
            if (Inputs[index].Equals(name, StringComparison.OrdinalIgnoreCase))
                return index;
        }

        return -1;
    }

    /// <summary>Starts an execution with empty state.</summary>
    public QueryExecution Start(IQuerySink sink)
    {
        ArgumentNullException.ThrowIfNull(sink);

        // Nodes keep scratch values of their own, so every execution is bound anew: some hundred microseconds.
        return new QueryExecution(this, StreamQuery.Bind(Text, Options, out _, out _), sink);
    }
}
