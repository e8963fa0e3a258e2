using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

/// <summary>Body of a scalar function. A result that cannot be computed is reported to the frame.</summary>
internal delegate void FunctionBody(Frame frame, ReadOnlySpan<Value> arguments, out Value result);

/// <summary>A scalar function as the binder finds it.</summary>
/// <param name="Least">Fewest arguments.</param>
/// <param name="Most">Most arguments.</param>
/// <param name="NullsPassed">False: a NULL argument makes the result NULL without running the body.</param>
/// <param name="Body">What computes the result.</param>
/// <param name="FirstIsPart">The first argument is a date part's name.</param>
internal sealed record ScalarFunction(int Least, int Most, bool NullsPassed, FunctionBody Body, bool FirstIsPart = false);

/// <summary>A call of a scalar function. The argument array is the node's own: an execution has nodes of its own.</summary>
internal sealed class FunctionNode(FunctionBody body, Node[] arguments, bool nullsPassed) : Node
{
    private readonly Value[] values = new Value[arguments.Length];

    public override void Evaluate(Frame frame, out Value result)
    {
        for (var index = 0; index < arguments.Length; index++)
        {
            arguments[index].Evaluate(frame, out values[index]);
            if (!nullsPassed && values[index].IsNull)
            {
                result = Value.Null;
                return;
            }

            if (values[index].Kind is Kind.NumberText or Kind.EscapedText && !Conversion.TryRead(values[index], out values[index]))
            {
                frame.Fail("a number is beyond what a float holds");
                result = Value.Null;
                return;
            }
        }

        body(frame, values, out result);
    }
}
