using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Syntax;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Binding;

/// <summary>Finds the window of a GROUP BY and reads its sizes.</summary>
internal sealed class WindowBinder(ExpressionBinder expressions)
{
    public (WindowPlan[] Windows, List<Expr> Keys) Bind(SelectClause select, Place place)
    {
        var items = select.GroupBy!;
        var window = items.Find(ExpressionBinder.IsWindow);
        var keys = new List<Expr>();
        foreach (var item in items)
        {
            if (ReferenceEquals(item, window))
                continue;
            if (ExpressionBinder.IsWindow(item))
                expressions.Error(item.Position, $"a second window: GROUP BY takes one window, found {((CallExpr)item).Name}");
            else
                keys.Add(item);
        }

        if (window is null)
        {
            var snapshot = keys.FindIndex(ExpressionBinder.IsTimestamp);
            if (snapshot < 0)
            {
                expressions.Error(items[0].Position, "GROUP BY needs a window (TumblingWindow, HoppingWindow, SlidingWindow, SessionWindow or System.Timestamp())");
                return ([], keys);
            }

            keys.RemoveAt(snapshot);
            return ([new WindowPlan(WindowKind.Snapshot, 0, 0, 0, Value.Null, [])], keys);
        }

        var call = (CallExpr)window;
        if (!call.Is("Windows"))
            return (BindOne(call, Value.Null, place) is { } only ? [only] : [], keys);
        return (BindSet(call, place), keys);
    }

    private WindowPlan[] BindSet(CallExpr set, Place place)
    {
        var result = new List<WindowPlan>();
        var ids = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        if (set.Arguments.Count == 0)
            expressions.Error(set.Position, "Windows needs at least one window");
        foreach (var argument in set.Arguments)
        {
            var id = Value.Null;
            var inner = argument;
            if (argument is CallExpr named && named.Is("Window"))
            {
                if (named.Arguments is not [LiteralExpr { Value.Kind: Kind.Text } text, var second])
                {
                    expressions.Error(named.Position, "Window takes an id in quotes and a window");
                    continue;
                }

                if (!ids.Add(text.Text))
                    expressions.Error(text.Position, $"two windows have the id '{text.Text}'");
                id = text.Value;
                inner = second;
            }

            if (ExpressionBinder.IsTimestamp(inner))
                result.Add(new WindowPlan(WindowKind.Snapshot, 0, 0, 0, id, []));
            else if (inner is CallExpr call && ExpressionBinder.IsWindow(call) && !call.Is("Windows"))
                result.AddIfNotNull(BindOne(call, id, place));
            else
                expressions.Error(inner.Position, "Windows takes windows only");
        }

        return [.. result];
    }

    private WindowPlan? BindOne(CallExpr call, Value id, Place place)
    {
        if (call.Is("TumblingWindow") || call.Is("Tumbling"))
            return BindTumbling(call, id);
        if (call.Is("HoppingWindow") || call.Is("Hopping"))
            return BindHopping(call, id);
        if (call.Is("SlidingWindow") || call.Is("Sliding"))
            return BindSliding(call, id);
        return BindSession(call, id, place);
    }

    private static bool IsPart(Expr expression, string name) => expression is CallExpr call && call.Is(name);

    private WindowPlan? BindTumbling(CallExpr call, Value id)
    {
        if (!TakesNoOver(call))
            return null;
        if (call.Arguments is [CallExpr first, ..] && first.Is("Duration"))
        {
            if (call.Arguments.Count > 2 || (call.Arguments.Count == 2 && !IsPart(call.Arguments[1], "Offset")))
                return Shape(call, "Duration(unit, n) and optionally Offset(unit, n)");
            if (!TryPart(first, call, out var duration))
                return null;
            long shift = 0;
            if (call.Arguments.Count == 2 && !TryOffset((CallExpr)call.Arguments[1], out shift))
                return null;
            return new WindowPlan(WindowKind.Tumbling, duration, duration, shift, id, []);
        }

        if (call.Arguments.Count is not (2 or 3))
            return Shape(call, "a unit, a size and optionally an offset");
        if (!expressions.TryUnit(call.Arguments[0], out var unit)
            || !expressions.TrySize(call.Arguments[1], unit, call, mayBeZero: false, out var size))
            return null;
        long offset = 0;
        if (call.Arguments.Count == 3 && !TryPlainOffset(call.Arguments[2], unit, out offset))
            return null;
        return new WindowPlan(WindowKind.Tumbling, size, size, offset, id, []);
    }

    private WindowPlan? BindHopping(CallExpr call, Value id)
    {
        if (!TakesNoOver(call))
            return null;
        if (call.Arguments is [CallExpr first, ..] && first.Is("Duration"))
        {
            if (call.Arguments.Count is not (2 or 3) || !IsPart(call.Arguments[1], "Hop")
                || (call.Arguments.Count == 3 && !IsPart(call.Arguments[2], "Offset")))
                return Shape(call, "Duration(unit, n), Hop(unit, n) and optionally Offset(unit, n)");
            if (!TryPart(first, call, out var duration) || !TryPart((CallExpr)call.Arguments[1], call, out var step))
                return null;
            long shift = 0;
            if (call.Arguments.Count == 3 && !TryOffset((CallExpr)call.Arguments[2], out shift))
                return null;
            return new WindowPlan(WindowKind.Hopping, duration, step, shift, id, []);
        }

        if (call.Arguments.Count is not (3 or 4))
            return Shape(call, "a unit, a size, a hop and optionally an offset");
        if (!expressions.TryUnit(call.Arguments[0], out var unit)
            || !expressions.TrySize(call.Arguments[1], unit, call, mayBeZero: false, out var size)
            || !expressions.TrySize(call.Arguments[2], unit, call, mayBeZero: false, out var hop))
            return null;
        long offset = 0;
        if (call.Arguments.Count == 4 && !TryPlainOffset(call.Arguments[3], unit, out offset))
            return null;
        return new WindowPlan(WindowKind.Hopping, size, hop, offset, id, []);
    }

    private WindowPlan? BindSliding(CallExpr call, Value id)
    {
        if (!TakesNoOver(call))
            return null;
        long size;
        if (call.Arguments is [CallExpr only] && only.Is("Duration"))
            return TryPart(only, call, out size) ? new WindowPlan(WindowKind.Sliding, size, 0, 0, id, []) : null;
        if (call.Arguments.Count != 2)
            return Shape(call, "a unit and a size");
        return expressions.TryUnit(call.Arguments[0], out var unit)
            && expressions.TrySize(call.Arguments[1], unit, call, mayBeZero: false, out size)
            ? new WindowPlan(WindowKind.Sliding, size, 0, 0, id, [])
            : null;
    }

    private WindowPlan? BindSession(CallExpr call, Value id, Place place)
    {
        long timeout;
        long longest;
        if (call.Arguments is [CallExpr first, CallExpr second] && first.Is("Timeout") && second.Is("MaxDuration"))
        {
            if (!TryPart(first, call, out timeout) || !TryPart(second, call, out longest))
                return null;
        }
        else
        {
            if (call.Arguments.Count != 3)
                return Shape(call, "a unit, a timeout and a maximum duration");
            if (!expressions.TryUnit(call.Arguments[0], out var unit)
                || !expressions.TrySize(call.Arguments[1], unit, call, mayBeZero: false, out timeout)
                || !expressions.TrySize(call.Arguments[2], unit, call, mayBeZero: false, out longest))
                return null;
        }

        var keys = new List<Node>();
        if (call.Over is { } over)
        {
            if (over.PartitionBy.Count == 0 || over.Limit is not null || over.OrderBy.Count > 0 || over.When is not null)
                expressions.Error(over.Position, $"{call.Name} takes OVER (PARTITION BY key) only");
            foreach (var key in over.PartitionBy)
                keys.Add(expressions.Bind(key, place with { NoAggregates = "is an aggregate and cannot stand in PARTITION BY" }));
        }

        return new WindowPlan(WindowKind.Session, timeout, longest, 0, id, [.. keys]);
    }

    private bool TakesNoOver(CallExpr call)
    {
        if (call.Over is null)
            return true;
        expressions.Error(call.Over.Position, $"{call.Name} takes no OVER");
        return false;
    }

    private WindowPlan? Shape(CallExpr call, string wanted)
    {
        expressions.Error(call.Position, $"the window {call.Name} takes {wanted}");
        return null;
    }

    /// <summary>Duration(unit, n), Hop(unit, n), Timeout(unit, n), MaxDuration(unit, n).</summary>
    private bool TryPart(CallExpr part, CallExpr window, out long ticks)
    {
        ticks = 0;
        if (part.Arguments.Count != 2)
        {
            expressions.Error(part.Position, $"{part.Name} takes a unit and a number");
            return false;
        }

        return expressions.TryUnit(part.Arguments[0], out var unit)
            && expressions.TrySize(part.Arguments[1], unit, window, mayBeZero: false, out ticks);
    }

    private bool TryOffset(CallExpr part, out long ticks)
    {
        ticks = 0;
        if (part.Arguments.Count == 2)
            return expressions.TryUnit(part.Arguments[0], out var unit) && TryPlainOffset(part.Arguments[1], unit, out ticks);
        expressions.Error(part.Position, $"{part.Name} takes a unit and a number");
        return false;
    }

    private bool TryPlainOffset(Expr expression, long unit, out long ticks)
    {
        ticks = 0;
        if (!ExpressionBinder.TryWhole(expression, out var count) || Int128.Abs((Int128)count * unit) > ExpressionBinder.SizeMax)
        {
            expressions.Error(expression.Position, "an offset is a whole number of at most 7 days");
            return false;
        }

        ticks = count * unit;
        return true;
    }
}

file static class ListExtensions
{
    public static void AddIfNotNull<T>(this List<T> list, T? item)
        where T : class
    {
        if (item is not null)
            list.Add(item);
    }
}
