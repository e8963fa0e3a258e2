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

internal static class MatchBinder
{
    public static MatchPlan? Bind(MatchClause match, SelectPlan bound, Scope scope, ExpressionBinder expressions)
    {
        expressions.Error(match.Position, "MATCH_RECOGNIZE is not supported");
        return null;
    }
}
