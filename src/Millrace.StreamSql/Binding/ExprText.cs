using System.Text;
using Millrace.StreamSql.Syntax;

namespace Millrace.StreamSql.Binding;

/// <summary>An expression as canonical text: two expressions are the same exactly when their texts are.</summary>
internal static class ExprText
{
    /// <param name="expression">What to write.</param>
    /// <param name="onlySource">Alias of the only source, whose mention makes no difference; null when there are several.</param>
    public static string Of(Expr expression, string? onlySource)
    {
        var text = new StringBuilder();
        Write(text, expression, onlySource);
        return text.ToString();
    }

    private static void Write(StringBuilder text, Expr? expression, string? only)
    {
        switch (expression)
        {
            case null:
                text.Append("()");
                break;
            case LiteralExpr literal:
                text.Append(literal.Value.Kind).Append(':').Append(literal.Text.Length).Append(':').Append(literal.Text);
                break;
            case PathExpr path:
                var start = path.Parts.Length > 1 && path.Parts[0].Name.Equals(only, StringComparison.OrdinalIgnoreCase) ? 1 : 0;
                for (var index = start; index < path.Parts.Length; index++)
                    text.Append('[').Append(path.Parts[index].Name.ToLowerInvariant()).Append(']');
                break;
            case MemberExpr member:
                Write(text, member.Target, only);
                text.Append(".[").Append(member.Member.Name.ToLowerInvariant()).Append(']');
                break;
            case UnaryExpr unary:
                Write(text, unary.Symbol, only, unary.Operand);
                break;
            case BinaryExpr binary:
                Write(text, binary.Symbol, only, binary.Left, binary.Right);
                break;
            case LogicExpr logic:
                Write(text, logic.IsAnd ? "and" : "or", only, [.. logic.Operands]);
                break;
            case IsNullExpr isNull:
                Write(text, isNull.Negated ? "notnull" : "isnull", only, isNull.Operand);
                break;
            case BetweenExpr between:
                Write(text, between.Negated ? "notbetween" : "between", only, between.Operand, between.Low, between.High);
                break;
            case InExpr oneOf:
                Write(text, oneOf.Negated ? "notin" : "in", only, [oneOf.Operand, .. oneOf.Items]);
                break;
            case LikeExpr like:
                Write(text, like.Negated ? "notlike" : "like", only, like.Operand, like.Pattern, like.Escape);
                break;
            case CaseExpr choice:
                Write(text, "case", only, [choice.Operand, .. choice.Branches.SelectMany(b => new[] { b.When, b.Then }), choice.Otherwise]);
                break;
            case CastExpr cast:
                Write(text, (cast.OrNull ? "try_cast " : "cast ") + cast.Type, only, cast.Operand);
                break;
            case CallExpr call:
                Write(text, "call " + call.Name.ToLowerInvariant() + (call.IsDistinct ? " distinct" : "") + (call.HasStar ? " *" : ""), only, [.. call.Arguments]);
                if (call.Over is { } over)
                {
                    Write(text, "over", only, [.. over.PartitionBy]);
                    Write(text, string.Concat(over.OrderBy.Select(o => o.Descending ? 'd' : 'a')), only, [.. over.OrderBy.Select(o => o.Key)]);
                    Write(text, "limit", only, over.Limit, over.When);
                }

                break;
        }
    }

    private static void Write(StringBuilder text, string name, string? only, params Expr?[] parts)
    {
        text.Append(name).Append('(');
        foreach (var part in parts)
        {
            Write(text, part, only);
            text.Append(',');
        }

        text.Append(')');
    }
}
