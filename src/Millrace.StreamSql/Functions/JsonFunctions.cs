using System.Globalization;
using System.Text;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

/// <summary>ISJSON, JSON_PARSE, JSON_VALUE, JSON_QUERY, JSON_MODIFY. Paths: <c>$.name.name[0]."odd name"</c>.</summary>
internal static class JsonFunctions
{
    public static readonly Dictionary<string, ScalarFunction> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
        ["ISJSON"] = new(1, 1, true, (Frame f, ReadOnlySpan<Value> a, out Value r) =>
            r = a[0].IsNull ? Value.Null : Value.Of(TryOpen(a[0], out var v) && v.Kind is Kind.Record or Kind.Array ? 1L : 0L)),
        ["JSON_PARSE"] = new(1, 1, false, Parse),
        ["JSON_VALUE"] = new(2, 2, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Extract(f, a, scalar: true, out r)),
        ["JSON_QUERY"] = new(1, 2, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Extract(f, a, scalar: false, out r)),
        ["JSON_MODIFY"] = new(3, 3, true, Modify),
    };

    private static bool TryOpen(in Value value, out Value opened)
    {
        opened = value;
        return value.Kind is Kind.Record or Kind.Array || (value.IsText && JsonText.TryParse(Conversion.TextBytes(value), out opened));
    }

    private static void Parse(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        if (TryOpen(arguments[0], out result))
            return;
        result = Value.Null;
        frame.Fail("JSON_PARSE of text that is not JSON");
    }

    private static void Extract(Frame frame, ReadOnlySpan<Value> arguments, bool scalar, out Value result)
    {
        result = Value.Null;
        if (!TryOpen(arguments[0], out var current))
        {
            frame.Fail("JSON_VALUE or JSON_QUERY of text that is not JSON");
            return;
        }

        var steps = arguments.Length == 1 ? [] : ReadPath(Conversion.ToClrString(arguments[1]));
        if (steps is null)
        {
            frame.Fail("a JSON path starts with $ and goes on with .name or [index]");
            return;
        }

        foreach (var step in steps)
        {
            if (!TryStep(current, step, out var next))
                return;
            current = next;
        }

        if (scalar != (current.Kind is Kind.Record or Kind.Array))
            result = current;
    }

    private static bool TryStep(in Value current, object step, out Value next)
    {
        next = Value.Null;
        return step is string name
            ? current.Kind == Kind.Record && JsonText.TryGetField(current, Encoding.UTF8.GetBytes(name), out next)
            : current.Kind == Kind.Array && JsonText.TryGetElement(current, (long)step, out next);
    }

    private static List<object>? ReadPath(string path)
    {
        var text = path.AsSpan().Trim();
        if (text.StartsWith("lax "))
            text = text[4..].TrimStart();
        if (!text.StartsWith("$"))
            return null;
        text = text[1..];
        var steps = new List<object>();
        while (text.Length > 0)
        {
            if (text.StartsWith(".\""))
            {
                var end = text[2..].IndexOf('"');
                if (end < 0)
                    return null;
                steps.Add(text.Slice(2, end).ToString());
                text = text[(end + 3)..];
            }
            else if (text[0] == '.')
            {
                var end = text[1..].IndexOfAny('.', '[');
                var name = end < 0 ? text[1..] : text.Slice(1, end);
                if (name.Length == 0)
                    return null;
                steps.Add(name.ToString());
                text = text[(name.Length + 1)..];
            }
            else if (text[0] == '[')
            {
                var end = text.IndexOf(']');
                if (end < 0 || !long.TryParse(text[1..end], NumberStyles.None, CultureInfo.InvariantCulture, out var index))
                    return null;
                steps.Add(index);
                text = text[(end + 1)..];
            }
            else
            {
                return null;
            }
        }

        return steps;
    }

    private static void Modify(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (arguments[0].IsNull || arguments[1].IsNull)
            return;
        if (!TryOpen(arguments[0], out var root))
        {
            frame.Fail("JSON_MODIFY of text that is not JSON");
            return;
        }

        var path = Conversion.ToClrString(arguments[1]).TrimStart();
        var append = path.StartsWith("append ", StringComparison.Ordinal);
        var steps = ReadPath(append ? path[7..] : path);
        if (steps is null || steps.Count == 0)
        {
            frame.Fail("a JSON path starts with $ and goes on with .name or [index]");
            return;
        }

        var target = new JsonBuffer();
        Rewrite(target, root, steps, 0, arguments[2], append);
        if (!frame.MayMakeText(target.Length))
            return;
        result = Value.OfBytes(arguments[0].IsText ? Kind.Text : root.Kind, target.ToArray());
    }

    private static void Rewrite(JsonBuffer target, in Value current, List<object> steps, int depth, in Value replacement, bool append)
    {
        if (depth == steps.Count)
        {
            if (!append)
                target.Add(replacement);
            else
                Append(target, current, replacement);
            return;
        }

        var first = true;
        if (steps[depth] is string name && current.Kind == Kind.Record)
        {
            target.Add((byte)'{');
            var wanted = Encoding.UTF8.GetBytes(name);
            var found = false;
            var fields = new FieldEnumerator(current);
            while (fields.MoveNext())
            {
                var hit = !found && fields.IsNamed(wanted);
                found |= hit;

                // Setting a field to NULL removes it, as in T-SQL.
                if (hit && depth == steps.Count - 1 && replacement.IsNull && !append)
                    continue;
                if (!first)
                    target.Add((byte)',');
                first = false;
                target.Add((byte)'"');
                target.Add(fields.RawName);
                target.Add("\":"u8);
                if (hit)
                    Rewrite(target, fields.Value, steps, depth + 1, replacement, append);
                else
                    target.Add(fields.Value);
            }

            if (!found && depth == steps.Count - 1 && !replacement.IsNull)
            {
                if (!first)
                    target.Add((byte)',');
                target.AddString(wanted);
                target.Add((byte)':');
                Rewrite(target, Value.Null, steps, depth + 1, replacement, append);
            }

            target.Add((byte)'}');
        }
        else if (steps[depth] is long index && current.Kind == Kind.Array)
        {
            target.Add((byte)'[');
            var elements = new ElementEnumerator(current);
            for (long number = 0; elements.MoveNext(); number++)
            {
                if (!first)
                    target.Add((byte)',');
                first = false;
                if (number == index)
                    Rewrite(target, elements.Value, steps, depth + 1, replacement, append);
                else
                    target.Add(elements.Value);
            }

            target.Add((byte)']');
        }
        else
        {
            target.Add(current);
        }
    }

    private static void Append(JsonBuffer target, in Value current, in Value added)
    {
        target.Add((byte)'[');
        var first = true;
        if (current.Kind == Kind.Array)
        {
            var elements = new ElementEnumerator(current);
            while (elements.MoveNext())
            {
                if (!first)
                    target.Add((byte)',');
                first = false;
                target.Add(elements.Value);
            }
        }

        if (!first)
            target.Add((byte)',');
        target.Add(added);
        target.Add((byte)']');
    }
}
