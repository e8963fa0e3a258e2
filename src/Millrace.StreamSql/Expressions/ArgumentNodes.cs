using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Expressions;

/// <summary>An aggregate's argument that has to be a number.</summary>
internal sealed class NumberNode(Node operand, string function) : Node
{
    private readonly string failure = $"{function} of a value that is not a number";

    public override void Evaluate(Frame frame, out Value result)
    {
        operand.Evaluate(frame, out result);
        if (result.Kind is Kind.Bigint or Kind.Float || result.IsNull)
            return;
        var digits = result;
        if (digits.Kind == Kind.NumberText ? !frame.TryReadNumber(digits, out result) : !Conversion.TryToNumber(digits, out result))
            frame.Fail(failure);
    }
}

/// <summary>A value whose JSON token has been read.</summary>
internal sealed class ReadNode(Node operand) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        operand.Evaluate(frame, out var value);
        if (value.Kind == Kind.NumberText ? !frame.TryReadNumber(value, out result) : !Conversion.TryRead(value, out result))
            frame.Fail("a number is beyond what a float holds");
    }
}
