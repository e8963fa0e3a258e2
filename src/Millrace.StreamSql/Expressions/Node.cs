using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Expressions;

/// <summary>
/// A compiled expression: a tree of sealed nodes chosen once, by operator and by what is known of the operands. Evaluation
/// writes to a caller's <see cref="Value"/>: nothing is boxed and nothing allocated, except text that has to be made.
/// </summary>
internal abstract class Node
{
    public abstract void Evaluate(Frame frame, out Value result);

    /// <summary>Evaluates as a condition. A number or bit other than 0 is true; what has no truth is unknown.</summary>
    public virtual Truth Test(Frame frame)
    {
        Evaluate(frame, out var value);
        switch (value.Kind)
        {
            case Kind.Missing or Kind.Null:
                return Truth.Unknown;
            case Kind.Bit or Kind.Bigint:
                return value.Bits != 0 ? Truth.True : Truth.False;
            case Kind.Float:
                return value.Double != 0 ? Truth.True : Truth.False;
            case Kind.NumberText:
                return Numbers.TryParse(value.Span, out var number) && number.Bits << 1 != 0 ? Truth.True : Truth.False;
            default:
                frame.Fail("a condition is neither a comparison nor a number");
                return Truth.Unknown;
        }
    }

    public virtual bool IsConstant => false;
}

internal sealed class ConstantNode(Value value) : Node
{
    public static readonly ConstantNode Null = new(Value.Null);

    public Value Value { get; } = value;

    public override bool IsConstant => true;

    public override void Evaluate(Frame frame, out Value result) => result = Value;
}

internal sealed class ColumnNode(int source, int column) : Node
{
    public int Source => source;

    public int Column => column;

    public override void Evaluate(Frame frame, out Value result) => result = frame.Sources[source].Columns[column];
}

/// <summary>System.Timestamp().</summary>
internal sealed class TimestampNode : Node
{
    public override void Evaluate(Frame frame, out Value result) => result = Value.OfTicks(frame.Time);
}

/// <summary>Timestamp of one source's row, for DATEDIFF between sources in ON.</summary>
internal sealed class SourceTimeNode(int source) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        var time = frame.Sources[source].Time;
        result = time == Row.NoTime ? Value.Null : Value.OfTicks(time);
    }
}

/// <summary>A field of a record that is not an event itself: a function's result, a step's column, an array's element.</summary>
internal sealed class FieldNode(Node record, byte[] name) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        record.Evaluate(frame, out var value);
        if (value.Kind == Kind.Record)
            Json.JsonText.TryGetField(value, name, out result);
        else
            result = default;
    }
}

/// <summary>The first alternative whose field exists: a name searched through several sources, or field before alias.</summary>
internal sealed class FirstPresentNode(Node present, Node value, Node otherwise) : Node
{
    public override void Evaluate(Frame frame, out Value result)
    {
        present.Evaluate(frame, out result);
        if (result.Kind == Kind.Missing)
            otherwise.Evaluate(frame, out result);
        else if (!ReferenceEquals(present, value))
            value.Evaluate(frame, out result);
    }
}

/// <summary>NULL of an existing column: what is missing below stays NULL but counts as present.</summary>
internal sealed class PresentNode(Node value) : Node
{
    public Node Value => value;

    public override void Evaluate(Frame frame, out Value result)
    {
        value.Evaluate(frame, out result);
        if (result.Kind == Kind.Missing)
            result.Kind = Kind.Null;
    }
}
