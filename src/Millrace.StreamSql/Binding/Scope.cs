using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Syntax;

namespace Millrace.StreamSql.Binding;

/// <summary>One source of a SELECT.</summary>
internal sealed record ScopeSource(Relation Relation, string Alias, int Index);

/// <summary>What names mean at one place of a SELECT.</summary>
internal sealed class Scope
{
    public List<ScopeSource> Sources { get; } = [];

    /// <summary>The only source's alias, null when there are several.</summary>
    public string? OnlyAlias => Sources.Count == 1 ? Sources[0].Alias : null;

    public ScopeSource? Find(string alias) => Sources.Find(s => s.Alias.Equals(alias, StringComparison.OrdinalIgnoreCase));
}

/// <summary>The grouping of a SELECT while its expressions are bound.</summary>
internal sealed class GroupScope
{
    public required List<string> KeyTexts { get; init; }

    /// <summary>The keys over an input row.</summary>
    public required Expressions.Node[] KeyNodes { get; init; }

    public required int IdColumn { get; init; }

    public List<Aggregates.Aggregate> Aggregates { get; } = [];

    public Dictionary<string, int> ByText { get; } = [];
}

/// <summary>Where an expression stands, and so what it may contain.</summary>
internal sealed record Place
{
    public required Scope Scope { get; init; }

    /// <summary>Set where expressions are over groups: SELECT and HAVING of a grouped query.</summary>
    public GroupScope? Group { get; init; }

    /// <summary>Analytic functions found here are added to this list; null where they are not allowed.</summary>
    public List<AnalyticPlan>? Analytics { get; init; }

    public Dictionary<string, int>? AnalyticTexts { get; init; }

    /// <summary>Why analytic functions are not allowed.</summary>
    public string NoAnalytics { get; init; } = "";

    /// <summary>SELECT aliases, in WHERE, GROUP BY and HAVING.</summary>
    public Dictionary<string, Expr>? Aliases { get; init; }

    /// <summary>What to say of an aggregate function.</summary>
    public string NoAggregates { get; init; } = "";

    /// <summary>Set inside MATCH_RECOGNIZE.</summary>
    public MatchScope? Match { get; init; }

    public bool IsOn { get; init; }

    public bool IsTimestampBy { get; init; }
}
