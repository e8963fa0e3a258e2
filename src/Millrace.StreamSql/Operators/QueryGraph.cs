using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;

namespace Millrace.StreamSql.Operators;

/// <summary>
/// The operators of a plan and who hands rows to whom. Filled in the order of the plan: producers come before consumers, and
/// snapshots hold the operators in that order.
/// </summary>
internal sealed class QueryGraph(ScriptPlan plan, CompileOptions options, IFailureSink failures, IReadOnlyDictionary<string, ReferenceTable> references)
{
    private readonly Dictionary<Relation, Operator> producers = [];

    public List<Operator> Operators { get; } = [];

    /// <summary>Results of windows tell their rank (<see cref="SelectOperator.KeepsRank"/>).</summary>
    public bool KeepsRank { get; init; }

    /// <summary>The operator that gives the rows of a relation.</summary>
    public Operator this[Relation relation] => producers[relation];

    /// <summary>A stream's rows come from this operator.</summary>
    public void AddStream(StreamRelation stream, Operator source)
    {
        producers.Add(stream, source);
        Operators.Add(source);
    }

    /// <summary>
    /// Selects in text order, each union as soon as its branches are there. One that <paramref name="isFed"/> refuses is made and
    /// hands on what it is given, but gets no rows from its source.
    /// </summary>
    public void AddQueries(Predicate<SelectPlan> isFed)
    {
        var unionColumns = plan.Unions.ToDictionary(u => u, u => u.ColumnsByBranch());
        var unions = plan.Unions.ToList();
        foreach (var select in plan.Selects)
        {
            AddSelect(select, isFed(select));
            foreach (var union in unions.Where(u => Array.TrueForAll(u.Branches, producers.ContainsKey)).ToList())
            {
                unions.Remove(union);
                var merge = new UnionOperator(unionColumns[union], failures);
                Operators.Add(merge);
                for (var port = 0; port < union.Branches.Length; port++)
                    producers[union.Branches[port]].Targets.Add((merge, port));
                producers.Add(union, merge);
            }
        }
    }

    public void AddOutput(OutputOperator target, OutputPlan output)
    {
        Operators.Add(target);
        for (var port = 0; port < output.Queries.Count; port++)
            producers[output.Queries[port]].Targets.Add((target, port));
    }

    /// <summary>All operators are there: finds out where watermarks go.</summary>
    public void Complete()
    {
        for (var index = Operators.Count - 1; index >= 0; index--)
        {
            var step = Operators[index];
            step.WantsWatermarks = step.UsesWatermarks || step.Targets.Exists(t => t.Operator.WantsWatermarks);
        }
    }

    /// <summary>The operator of a SELECT alone, without what stands before it.</summary>
    public SelectOperator NewSelect(SelectPlan select)
    {
        var applies = TrailingApplies(select);
        var program = new SelectProgram
        {
            Sources = 1 + select.Links.Count - applies.Length,
            Applies = applies,
            Analytics = [.. select.Analytics],
            Where = select.Where,
            Group = select.Group,
            Having = select.Having,
            IsDistinct = select.IsDistinct,
            DistinctColumns = select.DistinctColumns,
            Columns = [.. select.Result.Columns],
        };
        return new SelectOperator(program, select.Query, failures, options.Partitions) { TakesRowsByKey = plan.TakesRowsByKey(select), KeepsRank = KeepsRank };
    }

    /// <summary>APPLYs behind the last join are done by the SELECT itself.</summary>
    private static ApplyPlan[] TrailingApplies(SelectPlan select)
        => [.. select.Links.Skip(select.Links.FindLastIndex(l => l is not ApplyLink) + 1).Select(l => ((ApplyLink)l).Plan)];

    public void AddSelect(SelectPlan select, bool isFed = true)
    {
        var last = isFed ? producers[select.Source] : new Unfed();
        var links = select.Links.Count - TrailingApplies(select).Length;
        for (var index = 0; index < links; index++)
        {
            var next = NewLink(select, index);
            if (select.Links[index] is StreamLink join)
                producers[join.Right].Targets.Add((next, 1));

            // The left side first: at equal times it goes before the right one.
            last.Targets.Insert(select.Links[index] is StreamLink ? LeftPosition(last, next) : last.Targets.Count, (next, 0));
            Operators.Add(next);
            last = next;
        }

        if (select.Match is { } match)
        {
            var matcher = new MatchOperator(match, select.Source.ColumnCount, select.Query, failures);
            last.Targets.Add((matcher, 0));
            Operators.Add(matcher);
            last = matcher;
        }

        var result = NewSelect(select);
        last.Targets.Add((result, 0));
        Operators.Add(result);
        producers.Add(select.Result, result);
    }

    private Operator NewLink(SelectPlan select, int index) => select.Links[index] switch
    {
        StreamLink join => new JoinOperator(
            new JoinPlan
            {
                LeftSources = join.LeftSources,
                IsLeftJoin = join.IsLeftJoin,
                Bounds = join.Bounds,
                LeftSpan = join.LeftSpan,
                EqualKeys = join.EqualKeys,
                LeftChecks = join.LeftChecks,
                RightChecks = join.RightChecks,
                On = join.On,
                RightColumns = join.Right.ColumnCount,
            },
            select.Query,
            failures),
        ReferenceLink join => new ReferenceJoinOperator(
            new ReferenceJoinPlan
            {
                LeftSources = join.LeftSources,
                IsLeftJoin = join.IsLeftJoin,
                EqualKeys = join.EqualKeys,
                LeftChecks = join.LeftChecks,
                RightChecks = join.RightChecks,
                On = join.On,
                RightColumns = join.Right.ColumnCount,
            },
            references[join.Right.Name],
            select.Query,
            failures),
        ApplyLink apply => new ApplyOperator(apply.Plan, 1 + index, select.Query, failures),
        _ => throw new InvalidOperationException(select.Links[index].GetType().Name),
    };

    private static int LeftPosition(Operator producer, Operator join)
    {
        var right = producer.Targets.FindIndex(t => ReferenceEquals(t.Operator, join));
        return right < 0 ? producer.Targets.Count : right;
    }

    /// <summary>Stands where rows would come from.</summary>
    private sealed class Unfed : Operator
    {
        public override void OnRow(int port, Row row) => throw new NotSupportedException("nobody hands rows to this operator");
    }
}
