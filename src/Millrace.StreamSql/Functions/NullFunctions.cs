using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

/// <summary>COALESCE and ISNULL: arguments behind the first value are not evaluated.</summary>
internal sealed class CoalesceNode(Node[] arguments) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        result = Value.Null;
        foreach (var argument in arguments)
        {
            argument.Evaluate(frame, out result);
            if (!result.IsNull)
                return;
        }

        result = Value.Null;
    }
}

internal sealed class NullIfNode(Node left, Node right) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        left.Evaluate(frame, out result);
        right.Evaluate(frame, out var other);
        if (Comparison.TryCompare(result, other, out var order) && order == 0)
            result = Value.Null;
    }
}
