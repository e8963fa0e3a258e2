using System.Text;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Expressions;

internal enum Arithmetic
{
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

internal enum CompareOperator
{
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

internal sealed class ArithmeticNode(Arithmetic operation, Node left, Node right) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        left.Evaluate(frame, out var a);
        right.Evaluate(frame, out var b);
        result = Value.Null;
        if (a.IsNull || b.IsNull)
            return;
        if (operation == Arithmetic.Add && a.IsText && b.IsText)
        {
            result = Concatenate(frame, Conversion.TextBytes(a), Conversion.TextBytes(b));
            return;
        }

        if (!Conversion.TryToNumber(a, out var x) || !Conversion.TryToNumber(b, out var y))
        {
            frame.Fail("arithmetic with a value that is not a number");
            return;
        }

        if (x.Kind == Kind.Bigint && y.Kind == Kind.Bigint)
            Whole(frame, x.Bits, y.Bits, ref result);
        else
            Float(frame, AsDouble(x), AsDouble(y), ref result);
    }

    private static double AsDouble(in Value value) => value.Kind == Kind.Bigint ? value.Bits : value.Double;

    private static Value Concatenate(Frame frame, ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        if (!frame.MayMakeText((long)a.Length + b.Length))
            return Value.Null;
        var joined = new byte[a.Length + b.Length];
        a.CopyTo(joined);
        b.CopyTo(joined.AsSpan(a.Length));
        return Value.OfBytes(Kind.Text, joined);
    }

    private void Whole(Frame frame, long a, long b, ref Value result)
    {
        long value;
        var overflow = false;
        switch (operation)
        {
            case Arithmetic.Add:
                value = unchecked(a + b);
                overflow = ((a ^ value) & (b ^ value)) < 0;
                break;
            case Arithmetic.Subtract:
                value = unchecked(a - b);
                overflow = ((a ^ b) & (a ^ value)) < 0;
                break;
            case Arithmetic.Multiply:
                var high = Math.BigMul(a, b, out value);
                overflow = high != value >> 63;
                break;
            default:
                if (b == 0)
                {
                    frame.Fail("division by zero");
                    return;
                }

                if (b == -1)
                {
                    overflow = operation == Arithmetic.Divide && a == long.MinValue;
                    value = operation == Arithmetic.Divide && !overflow ? -a : 0;
                }
                else
                {
                    value = operation == Arithmetic.Divide ? a / b : a % b;
                }

                break;
        }

        if (overflow)
            frame.Fail("bigint overflow");
        else
            result = Value.Of(value);
    }

    private void Float(Frame frame, double a, double b, ref Value result)
    {
        if (b == 0 && (operation is Arithmetic.Divide or Arithmetic.Modulo))
        {
            frame.Fail("division by zero");
            return;
        }

        var value = operation switch
        {
            Arithmetic.Add => a + b,
            Arithmetic.Subtract => a - b,
            Arithmetic.Multiply => a * b,
            Arithmetic.Divide => a / b,
            _ => a % b,
        };
        if (double.IsFinite(value))
            result = Value.Of(value);
        else
            frame.Fail("float overflow");
    }
}

internal sealed class NegateNode(Node operand) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        operand.Evaluate(frame, out var value);
        result = Value.Null;
        if (value.IsNull)
            return;
        if (!Conversion.TryToNumber(value, out var number))
            frame.Fail("minus before a value that is not a number");
        else if (number.Kind == Kind.Float)
            result = Value.Of(-number.Double);
        else if (number.Bits == long.MinValue)
            frame.Fail("bigint overflow");
        else
            result = Value.Of(-number.Bits);
    }
}

/// <summary>A condition; as a value it is a bit.</summary>
internal abstract class ConditionNode : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        var truth = Test(frame);
        result = truth == Truth.Unknown ? Value.Null : Value.Of(truth == Truth.True);
    }

    public abstract override Truth Test(Frame frame);

    protected static Truth Holds(CompareOperator relation, int order) => relation switch
    {
        CompareOperator.Equal => order == 0,
        CompareOperator.NotEqual => order != 0,
        CompareOperator.Less => order < 0,
        CompareOperator.LessOrEqual => order <= 0,
        CompareOperator.Greater => order > 0,
        _ => order >= 0,
    }
        ? Truth.True
        : Truth.False;
}

internal sealed class CompareNode(CompareOperator relation, Node left, Node right) : ConditionNode
{
    public override Truth Test(Frame frame)
    {
        left.Evaluate(frame, out var a);
        right.Evaluate(frame, out var b);
        return Comparison.TryCompare(a, b, out var order) ? Holds(relation, order) : Truth.Unknown;
    }
}

/// <summary>Hot special case: something against a literal number.</summary>
internal sealed class CompareWithNumberNode(CompareOperator relation, Node left, Value number) : ConditionNode
{
    public override Truth Test(Frame frame)
    {
        left.Evaluate(frame, out var value);
        if (value.Kind <= Kind.Null || !Conversion.TryToNumber(value, out var read))
            return Truth.Unknown;
        return Holds(relation, Comparison.CompareNumbers(read, number));
    }
}

/// <summary>Hot special case: something against a literal string.</summary>
internal sealed class CompareWithTextNode(CompareOperator relation, Node left, Value text) : ConditionNode
{
    private readonly byte[] wanted = text.Span.ToArray();

    public override Truth Test(Frame frame)
    {
        left.Evaluate(frame, out var value);
        if (value.Kind == Kind.Text)
        {
            if (relation is CompareOperator.Equal or CompareOperator.NotEqual)
                return value.Span.SequenceEqual(wanted) == (relation == CompareOperator.Equal) ? Truth.True : Truth.False;
            return Holds(relation, value.Span.SequenceCompareTo(wanted));
        }

        return Comparison.TryCompare(value, text, out var order) ? Holds(relation, order) : Truth.Unknown;
    }
}

internal sealed class AndNode(Node[] operands) : ConditionNode
{
    public override Truth Test(Frame frame)
    {
        var result = Truth.True;
        foreach (var operand in operands)
        {
            var truth = operand.Test(frame);
            if (truth == Truth.False)
                return Truth.False;
            if (truth == Truth.Unknown)
                result = Truth.Unknown;
        }

        return result;
    }
}

internal sealed class OrNode(Node[] operands) : ConditionNode
{
    public override Truth Test(Frame frame)
    {
        var result = Truth.False;
        foreach (var operand in operands)
        {
            var truth = operand.Test(frame);
            if (truth == Truth.True)
                return Truth.True;
            if (truth == Truth.Unknown)
                result = Truth.Unknown;
        }

        return result;
    }
}

internal sealed class NotNode(Node operand) : ConditionNode
{
    public override Truth Test(Frame frame) => operand.Test(frame) switch
    {
        Truth.True => Truth.False,
        Truth.False => Truth.True,
        _ => Truth.Unknown,
    };
}

internal sealed class IsNullNode(Node operand, bool negated) : ConditionNode
{
    public override Truth Test(Frame frame)
    {
        operand.Evaluate(frame, out var value);
        return value.IsNull != negated ? Truth.True : Truth.False;
    }
}

/// <summary>x BETWEEN low AND high: x is evaluated once.</summary>
internal sealed class BetweenNode(Node operand, Node low, Node high, bool negated) : ConditionNode
{
    public override Truth Test(Frame frame)
    {
        operand.Evaluate(frame, out var value);
        low.Evaluate(frame, out var from);
        high.Evaluate(frame, out var to);
        var above = Comparison.TryCompare(value, from, out var order) ? Holds(CompareOperator.GreaterOrEqual, order) : Truth.Unknown;
        var below = Comparison.TryCompare(value, to, out order) ? Holds(CompareOperator.LessOrEqual, order) : Truth.Unknown;
        Truth result;
        if (above == Truth.False || below == Truth.False)
            result = Truth.False;
        else
            result = above == Truth.True && below == Truth.True ? Truth.True : Truth.Unknown;
        if (!negated || result == Truth.Unknown)
            return result;
        return result == Truth.True ? Truth.False : Truth.True;
    }
}

internal sealed class InNode(Node operand, Node[] items, bool negated) : ConditionNode
{
    public override Truth Test(Frame frame)
    {
        operand.Evaluate(frame, out var value);
        var result = Truth.False;
        foreach (var item in items)
        {
            item.Evaluate(frame, out var candidate);
            if (!Comparison.TryCompare(value, candidate, out var order))
                result = Truth.Unknown;
            else if (order == 0)
                return negated ? Truth.False : Truth.True;
        }

        if (!negated || result == Truth.Unknown)
            return result;
        return Truth.True;
    }
}

internal sealed class LikeNode(Node operand, Node pattern, Node? escape, bool negated) : ConditionNode
{
    // A literal pattern is taken apart once.
    private readonly LikePattern? fixedPattern =
        pattern is ConstantNode { Value.Kind: Kind.Text } p && escape is null or ConstantNode
            ? LikePattern.Parse(p.Value.Span, escape is ConstantNode { Value.IsText: true } e ? EscapeOf(e.Value) : null)
            : null;

    /// <summary>The escape character; null when it is not one character.</summary>
    private static Rune? EscapeOf(in Value value)
    {
        var text = TextOf(value);
        return text.Length > 0 && Characters.Next(ref text) is var first && text.Length == 0 ? first : null;
    }

    private static ReadOnlySpan<byte> TextOf(in Value value)
    {
        _ = Conversion.TryRead(value, out var read);
        return Conversion.ToText(read).Span;
    }

    public override Truth Test(Frame frame)
    {
        operand.Evaluate(frame, out var value);
        if (value.IsNull)
            return Truth.Unknown;
        var like = fixedPattern;
        if (like is null)
        {
            pattern.Evaluate(frame, out var wanted);
            if (wanted.IsNull)
                return Truth.Unknown;
            Rune? escapeRune = null;
            if (escape is not null)
            {
                escape.Evaluate(frame, out var e);
                if (e.IsNull)
                    return Truth.Unknown;
                escapeRune = EscapeOf(e);
            }

            like = LikePattern.Parse(TextOf(wanted), escapeRune);
        }

        return like.IsMatch(TextOf(value)) != negated ? Truth.True : Truth.False;
    }
}

internal sealed class CaseNode((Node When, Node Then)[] branches, Node? otherwise) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        foreach (var (when, then) in branches)
        {
            if (when.Test(frame) == Truth.True)
            {
                then.Evaluate(frame, out result);
                return;
            }
        }

        if (otherwise is null)
            result = Value.Null;
        else
            otherwise.Evaluate(frame, out result);
    }
}

/// <summary>CASE x WHEN v THEN r: x is evaluated once.</summary>
internal sealed class SimpleCaseNode(Node operand, (Node When, Node Then)[] branches, Node? otherwise) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        operand.Evaluate(frame, out var value);
        foreach (var (when, then) in branches)
        {
            when.Evaluate(frame, out var candidate);
            if (Comparison.TryCompare(value, candidate, out var order) && order == 0)
            {
                then.Evaluate(frame, out result);
                return;
            }
        }

        if (otherwise is null)
            result = Value.Null;
        else
            otherwise.Evaluate(frame, out result);
    }
}

internal sealed class CastNode(Node operand, SqlTypeName type, string typeText, bool orNull) : Node
{
    private readonly string failure = $"a value cannot be converted to {typeText}";

    public override void Evaluate(Frame frame, out Value result)
    {
        operand.Evaluate(frame, out var value);
        if (Conversion.TryCast(value, type, out result))
            return;
        result = Value.Null;
        if (!orNull)
            frame.Fail(failure);
    }
}

/// <summary>A record built of a row's columns and events: what <c>*</c> stands for where one value is wanted.</summary>
internal sealed class RecordNode(OutputItem[] items) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        var target = new JsonBuffer();
        OutputItem.Write(target, items, frame, writeNulls: true);
        result = frame.MayMake(target.Length) ? Value.OfBytes(Kind.Record, target.ToArray()) : Value.Null;
    }
}
