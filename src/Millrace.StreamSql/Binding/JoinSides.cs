using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Functions;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Syntax;

namespace Millrace.StreamSql.Binding;

/// <summary>
/// Takes ON apart: what reads one side only is evaluated when a row of that side comes, so that the row on which it fails is
/// the bad event and not whoever meets it.
/// </summary>
internal sealed class JoinSides(Scope scope, int rightSource)
{
    [Flags]
    private enum Sides
    {
        None = 0,
        Left = 1,
        Right = 2,
        Both = Left | Right,
    }

    /// <summary>What to evaluate of a row of one side, in text order.</summary>
    /// <param name="conditions">Joined by AND.</param>
    /// <param name="right">Whether the rows are those of the right side.</param>
    /// <param name="bind">Binds an expression of ON.</param>
    public JoinCheck[] Checks(List<Expr> conditions, bool right, Func<Expr, Node> bind)
    {
        var side = right ? Sides.Right : Sides.Left;
        var checks = new List<JoinCheck>();
        foreach (var condition in conditions)
        {
            if (SidesOf(condition) == side)
                checks.Add(new JoinCheck(bind(condition), IsCondition: true));
            else
                checks.AddRange(Operands(condition, side).Select(o => new JoinCheck(bind(o), IsCondition: false)));
        }

        return [.. checks];
    }

    /// <summary>The largest parts that read this side alone, can fail, and are evaluated whatever the others give.</summary>
    private IEnumerable<Expr> Operands(Expr expression, Sides side)
    {
        var sides = SidesOf(expression);
        if (sides == side)
            return expression is PathExpr or LiteralExpr ? [] : [expression];
        return sides == Sides.Both ? Always(expression).SelectMany(e => Operands(e, side)) : [];
    }

    private static IEnumerable<Expr> Always(Expr expression) => expression switch
    {
        MemberExpr member => [member.Target],
        UnaryExpr unary => [unary.Operand],
        BinaryExpr binary => [binary.Left, binary.Right],
        LogicExpr logic => [logic.Operands[0]],
        IsNullExpr isNull => [isNull.Operand],
        BetweenExpr between => [between.Operand, between.Low, between.High],
        InExpr oneOf => [oneOf.Operand, oneOf.Items[0]],
        LikeExpr like => [like.Operand, like.Pattern],
        CaseExpr choice => choice.Operand is { } operand ? [operand, choice.Branches[0].When] : [choice.Branches[0].When],
        CastExpr cast => [cast.Operand],
        CallExpr call when call.Is("COALESCE") || call.Is("ISNULL") || call.Is("NULLIF") => call.Arguments.Take(1),
        CallExpr call => ArgumentsOf(call),
        _ => [],
    };

    /// <summary>Arguments that are values: the first of a date function is a part's name.</summary>
    private static IEnumerable<Expr> ArgumentsOf(CallExpr call)
        => call.Arguments.Skip(ScalarFunctions.TryGet(call.Name, out var function) && function.FirstIsPart ? 1 : 0);

    private Sides SidesOf(Expr expression)
    {
        switch (expression)
        {
            case LiteralExpr:
                return Sides.None;
            case PathExpr path:
                // A name without its source is looked for in both.
                if (path.Parts.Length < 2 || scope.Find(path.Parts[0].Name) is not { } source)
                    return Sides.Both;
                return source.Index == rightSource ? Sides.Right : Sides.Left;
            case CallExpr { Arguments.Count: 0 } call when call.Is("System.Timestamp"):
                return Sides.Both;
            case CallExpr call:
                return SidesOf(ArgumentsOf(call));
            case LogicExpr logic:
                return SidesOf(logic.Operands);
            case InExpr oneOf:
                return SidesOf(oneOf.Items.Prepend(oneOf.Operand));
            case LikeExpr { Escape: { } escape } like:
                return SidesOf([like.Operand, like.Pattern, escape]);
            case CaseExpr choice:
                var parts = choice.Branches.SelectMany(b => (Expr[])[b.When, b.Then]);
                if (choice.Operand is { } operand)
                    parts = parts.Append(operand);
                return SidesOf(choice.Otherwise is { } otherwise ? parts.Append(otherwise) : parts);
            default:
                return SidesOf(Always(expression));
        }
    }

    private Sides SidesOf(IEnumerable<Expr> expressions) => expressions.Aggregate(Sides.None, (all, e) => all | SidesOf(e));
}
