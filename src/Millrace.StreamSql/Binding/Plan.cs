using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;

namespace Millrace.StreamSql.Binding;

/// <summary>What stands between the first source of a SELECT and its WHERE, one source after the other.</summary>
internal abstract record LinkPlan;

/// <summary>A JOIN of either kind.</summary>
internal abstract record JoinLink(bool IsLeftJoin, (Node Left, Node Right)[] EqualKeys, Node On, int LeftSources) : LinkPlan
{
    public required JoinCheck[] LeftChecks { get; init; }

    public required JoinCheck[] RightChecks { get; init; }
}

internal sealed record StreamLink(Relation Right, bool IsLeftJoin, TimeBound[] Bounds, long LeftSpan, (Node Left, Node Right)[] EqualKeys, Node On, int LeftSources)
    : JoinLink(IsLeftJoin, EqualKeys, On, LeftSources);

internal sealed record ReferenceLink(ReferenceRelation Right, bool IsLeftJoin, (Node Left, Node Right)[] EqualKeys, Node On, int LeftSources)
    : JoinLink(IsLeftJoin, EqualKeys, On, LeftSources);

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

    public bool Reads(Relation relation)
        => ReferenceEquals(Source, relation) || Links.Exists(l => l is StreamLink join && ReferenceEquals(join.Right, relation));

    /// <summary>Rows are treated one by one, or with earlier ones of the same keys.</summary>
    public bool LooksAtOneKeyAtATime(Node[] keys)
        => Group is null && Match is null && !IsDistinct && Links.TrueForAll(l => l is not StreamLink)
            && Analytics.TrueForAll(a => Array.TrueForAll(keys, k => Array.Exists(a.PartitionBy, p => IsSameColumn(p, k))));

    private static bool IsSameColumn(Node a, Node b)
        => a is ColumnNode x && b is ColumnNode y && x.Source == y.Source && x.Column == y.Column;
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

    /// <summary>
    /// Whether the readers of a stream with OVER need its rows in order within each sub-stream only: each looks at one key at a
    /// time, and its results go to an output of its own.
    /// </summary>
    public bool PermitsKeyOrder(StreamRelation stream)
        => stream.Over.Length > 0 && Selects.TrueForAll(s => !s.Reads(stream) || (s.LooksAtOneKeyAtATime(stream.Over) && IsAloneInItsOutput(s)));

    public bool TakesRowsByKey(SelectPlan select) => select.Source is StreamRelation stream && PermitsKeyOrder(stream);

    public bool TakesRowsByKey(OutputPlan output) => Selects.Exists(s => output.Queries.Contains(s.Result) && TakesRowsByKey(s));

    private bool IsAloneInItsOutput(SelectPlan select)
        => !Selects.Exists(s => s.Reads(select.Result)) && !Unions.Exists(u => u.Branches.Contains(select.Result))
            && Outputs.TrueForAll(o => !o.Queries.Contains(select.Result) || o.Queries.Count == 1);
}
