using Millrace.StreamSql.Expressions;

namespace Millrace.StreamSql.Operators;

/// <summary>MATCH_RECOGNIZE, bound.</summary>
internal sealed class MatchPlan
{
    public required long Limit { get; init; }

    public required (string Name, Node Node)[] Measures { get; init; }
}
