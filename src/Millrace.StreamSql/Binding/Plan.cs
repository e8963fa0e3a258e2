using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;

namespace Millrace.StreamSql.Binding;

/// <summary>What stands between the first source of a SELECT and its WHERE, one source after the other.</summary>
internal abstract record LinkPlan;

internal sealed record StreamLink(Relation Right, bool IsLeftJoin, TimeBound[] Bounds, long LeftSpan, (Node Left, Node Right)[] EqualKeys, Node On, int LeftSources) : LinkPlan;

internal sealed record ReferenceLink(ReferenceRelation Right, bool IsLeftJoin, (Node Left, Node Right)[] EqualKeys, Node On, int LeftSources) : LinkPlan;

internal sealed record ApplyLink(ApplyPlan Plan) : LinkPlan;

/// <summary>One bound SELECT.</summary>
internal sealed class SelectPlan(QueryIdentity query, SelectRelation result)
{
    public QueryIdentity Query { get; } = query;

    public SelectRelation Result { get; } = result;

    public Relation Source { get; set; } = null!;

    public List<LinkPlan> Links { get; } = [];

    public MatchPlan? Match { get; set; }

    public List<AnalyticPlan> Analytics { get; } = [];

    public Node? Where { get; set; }

    public GroupPlan? Group { get; set; }

    public Node? Having { get; set; }

    public bool IsDistinct { get; set; }

    public int DistinctColumns { get; set; }
}

/// <summary>One destination and the queries that write to it, in text order.</summary>
internal sealed record OutputPlan(string Name, List<Relation> Queries);

/// <summary>A whole bound script.</summary>
internal sealed class ScriptPlan
{
    public List<InputPlan> Inputs { get; } = [];

    public List<ReferenceRelation> References { get; } = [];

    /// <summary>In text order: a step stands before its readers.</summary>
    public List<SelectPlan> Selects { get; } = [];

    public List<UnionRelation> Unions { get; } = [];

    public List<OutputPlan> Outputs { get; } = [];

    public long WarmUpTicks { get; set; }
}
