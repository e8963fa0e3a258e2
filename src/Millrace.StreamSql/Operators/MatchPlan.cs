using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Syntax;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Operators;

/// <summary>MATCH_RECOGNIZE, bound. An execution has a plan of its own, so the plan can hold the state of the attempt at hand.</summary>
internal sealed class MatchPlan
{
    public required string[] Variables { get; init; }

    public required Pattern Pattern { get; init; }

    public required long Limit { get; init; }

    public required Node[] PartitionBy { get; init; }

    /// <summary>Per variable, null where any row fits.</summary>
    public required Node?[] Conditions { get; init; }

    public required (string Name, Node Node)[] Measures { get; init; }

    public required MatchAssignment Assignment { get; init; }
}

/// <summary>Which row of the current attempt has become which variable.</summary>
internal sealed class MatchAssignment(string[] variables)
{
    public List<(int Variable, Row Row)> Rows { get; } = [];

    public string[] Variables => variables;
}

internal enum MatchFunction
{
    First,
    Last,
    Min,
    Max,
}

/// <summary>FIRST, LAST, MIN, MAX of an expression over the rows of a variable matched so far.</summary>
internal sealed class MatchFunctionNode(MatchAssignment assignment, int variable, MatchFunction function, Node argument) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        result = Value.Null;
        var any = false;
        var kept = frame.Sources[variable];
        foreach (var (candidate, row) in assignment.Rows)
        {
            if (candidate != variable)
                continue;
            frame.Sources[variable] = row;
            argument.Evaluate(frame, out var value);
            switch (function)
            {
                case MatchFunction.First when !any:
                case MatchFunction.Last:
                    result = value;
                    break;
                case MatchFunction.Min when !value.IsNull && (result.IsNull || Comparison.Rank(value, result) < 0):
                case MatchFunction.Max when !value.IsNull && (result.IsNull || Comparison.Rank(value, result) > 0):
                    result = value;
                    break;
            }

            any = true;
        }

        frame.Sources[variable] = kept;
    }
}

/// <summary>Classifier(): the names of the variables, row by row.</summary>
internal sealed class ClassifierNode(MatchAssignment assignment) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        var target = new JsonBuffer();
        target.Add((byte)'[');
        for (var index = 0; index < assignment.Rows.Count; index++)
        {
            if (index > 0)
                target.Add((byte)',');
            target.AddString(System.Text.Encoding.UTF8.GetBytes(assignment.Variables[assignment.Rows[index].Variable]));
        }

        target.Add((byte)']');
        result = Value.OfBytes(Kind.Array, target.ToArray());
    }
}
