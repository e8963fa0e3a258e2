using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Syntax;

namespace Millrace.StreamSql;

/// <summary>Entry point: compiles scripts of the streaming SQL dialect (docs/stream-sql.md).</summary>
public static class StreamQuery
{
    /// <summary>Longest script that is compiled, in UTF-16 units.</summary>
    public const int TextMax = 1 << 20;

    /// <summary>Compiles a whole script. Never throws on what the text says.</summary>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    public static CompileResult Compile(string text, CompileOptions options)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(options);
        if (options.Partitions is < 1 or > 1024)
            throw new ArgumentException($"Partitions {options.Partitions} is outside 1..1024", nameof(options));
        if (options.Threads is < 1 or > 64)
            throw new ArgumentException($"Threads {options.Threads} is outside 1..64", nameof(options));
        if (options.LateArrival < TimeSpan.Zero || options.OutOfOrder < TimeSpan.Zero)
            throw new ArgumentException("a tolerance is negative", nameof(options));
        if (text.Length > TextMax)
            return new CompileResult(null, [new QueryError(1, 1, "the script is longer than 1 MiB")], []);

        var plan = Bind(text, options, out var errors, out var warnings);
        if (errors.Count > 0)
            return new CompileResult(null, errors, warnings);
        return new CompileResult(new CompiledQuery(text, options, plan), [], warnings);
    }

    /// <summary>The names that a script reads and that are not steps of its own, in order of appearance.</summary>
    /// <remarks>For hosts where every name may be an input. A script with syntax errors gives what could be read of it.</remarks>
    public static IReadOnlyList<string> ReferencedNames(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var script = Parser.Parse(text, []);
        var steps = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        var names = new List<string>();
        foreach (var step in script.Steps)
        {
            Collect(step.Query);
            steps.Add(step.Name.Name);
        }

        foreach (var query in script.Queries)
            Collect(query);
        return names;

        void Collect(QueryClause query)
        {
            foreach (var source in query.Branches.SelectMany(b => b.Links.Select(l => l.Source).Prepend(b.Source)).OfType<SourceClause>())
            {
                var name = source.Name.Name;
                if (!steps.Contains(name) && !names.Contains(name, StringComparer.OrdinalIgnoreCase))
                    names.Add(name);
            }
        }
    }

    internal static ScriptPlan Bind(string text, CompileOptions options, out List<QueryError> errors, out List<QueryError> warnings)
    {
        var syntax = new List<(int Position, string Message)>();
        var script = Parser.Parse(text, syntax);
        var meaning = new List<(int Position, string Message)>();
        var doubts = new List<(int Position, string Message)>();
        var plan = Binder.Bind(script, options, meaning, doubts);

        // Behind the first syntax error names may be missing that the reader can see: what is said of them would mislead.
        var limit = syntax.Count == 0 ? int.MaxValue : syntax.Min(e => e.Position);
        syntax.AddRange(meaning.Where(e => e.Position < limit));
        errors = Locate(text, syntax);
        warnings = Locate(text, doubts);
        return plan;
    }

    private static List<QueryError> Locate(string text, List<(int Position, string Message)> found)
    {
        var result = new List<QueryError>(found.Count);
        var line = 1;
        var column = 1;
        var index = 0;
        foreach (var (position, message) in found.OrderBy(f => f.Position))
        {
            for (; index < position && index < text.Length; index++)
            {
                if (text[index] == '\n')
                {
                    line++;
                    column = 1;
                }
                else if (!char.IsLowSurrogate(text[index]))
                {
                    column++;
                }
            }

            result.Add(new QueryError(line, column, message));
        }

        return result;
    }
}
