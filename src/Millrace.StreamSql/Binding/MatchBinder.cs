using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Syntax;

namespace Millrace.StreamSql.Binding;

/// <summary>Columns that MATCH_RECOGNIZE measures.</summary>
internal sealed class MeasuresRelation(MatchPlan plan) : Relation
{
    public override int ColumnCount => plan.Measures.Length;

    private int IndexOf(string name) => Array.FindIndex(plan.Measures, m => m.Name.Equals(name, StringComparison.OrdinalIgnoreCase));

    public override Presence Has(string name) => IndexOf(name) >= 0 ? Presence.Yes : Presence.No;

    public override Node Path(int source, ReadOnlySpan<PathPart> parts)
    {
        var index = parts.Length == 0 ? -1 : IndexOf(parts[0].Name);
        return index < 0 ? ConstantNode.Null : Walk(new ColumnNode(source, index), parts[1..]);
    }

    public override List<ResultColumn> Star(int source)
        => [.. plan.Measures.Select((m, i) => new ResultColumn(m.Name, new ColumnNode(source, i)))];
}

/// <summary>Variables of a pattern, while MEASURES and DEFINE are bound.</summary>
internal sealed record MatchScope(string[] Variables, MatchAssignment Assignment);

internal static class MatchBinder
{
    public static MatchPlan? Bind(MatchClause match, SelectPlan bound, Scope scope, ExpressionBinder expressions)
    {
        if (scope.Sources.Count > 1)
        {
            expressions.Error(match.Position, "MATCH_RECOGNIZE cannot be used with JOIN or APPLY: put them in a WITH step");
            return null;
        }

        if (match.Limit is null)
        {
            expressions.Error(match.Position, "MATCH_RECOGNIZE needs LIMIT DURATION(unit, n)");
            return null;
        }

        if (match.Pattern is null || match.Measures.Count == 0)
        {
            expressions.Error(match.Position, $"MATCH_RECOGNIZE needs {(match.Pattern is null ? "PATTERN" : "MEASURES")}");
            return null;
        }

        if (!expressions.TryLimit(match.Limit, out var limit))
            return null;
        var names = new List<string>();
        Collect(match.Pattern, names);
        foreach (var (name, _) in match.Definitions)
        {
            // Defined and not used in the pattern: harmless, and handy while a pattern is being tried out.
            if (!names.Contains(name.Name, StringComparer.OrdinalIgnoreCase))
                names.Add(name.Name);
        }

        var variables = names.ToArray();
        var assignment = new MatchAssignment(variables);
        var relation = scope.Sources[0].Relation;
        var inner = new Scope();
        inner.Sources.Add(new ScopeSource(relation, scope.Sources[0].Alias, variables.Length));
        for (var index = 0; index < variables.Length; index++)
        {
            if (inner.Find(variables[index]) is null)
                inner.Sources.Add(new ScopeSource(relation, variables[index], index));
        }

        var place = new Place
        {
            Scope = inner,
            Match = new MatchScope(variables, assignment),
            NoAnalytics = "cannot be used in MATCH_RECOGNIZE: put it in a WITH step",
            NoAggregates = "is an aggregate and cannot stand in MATCH_RECOGNIZE (FIRST, LAST, MIN and MAX of one variable can)",
        };
        var conditions = new Node?[variables.Length];
        foreach (var (name, condition) in match.Definitions)
        {
            var index = Array.FindIndex(variables, v => v.Equals(name.Name, StringComparison.OrdinalIgnoreCase));
            var node = expressions.Bind(condition, place);
            if (index >= 0)
                conditions[index] = node;
        }

        return new MatchPlan
        {
            Variables = variables,
            Pattern = match.Pattern,
            Limit = limit,
            PartitionBy = [.. match.PartitionBy.Select(p => expressions.Bind(p, place))],
            Conditions = conditions,
            Measures = [.. match.Measures.Select(m => (m.Name, (Node)new ReadNode(expressions.Bind(m.Expression, place))))],
            Assignment = assignment,
        };
    }

    private static void Collect(Pattern pattern, List<string> names)
    {
        switch (pattern)
        {
            case VariablePattern variable when !names.Contains(variable.Name, StringComparer.OrdinalIgnoreCase):
                names.Add(variable.Name);
                break;
            case SequencePattern sequence:
                sequence.Items.ForEach(i => Collect(i, names));
                break;
            case ChoicePattern choice:
                choice.Items.ForEach(i => Collect(i, names));
                break;
            case RepeatPattern repeat:
                Collect(repeat.Item, names);
                break;
        }
    }
}
