using System.Text;
using System.Text.RegularExpressions;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

/// <summary>
/// String functions. They work on UTF-8 and count characters (code points), as comparisons and LIKE do: nothing is cut in the
/// middle of one. A result that could be longer than its arguments is measured before it is made.
/// </summary>
internal static class TextFunctions
{
    private static readonly TimeSpan RegexTimeMax = TimeSpan.FromMilliseconds(250);

    public static readonly Dictionary<string, ScalarFunction> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
        ["CONCAT"] = new(1, int.MaxValue, true, (Frame f, ReadOnlySpan<Value> a, out Value r) => Join(f, default, a, out r)),
        ["CONCAT_WS"] = new(2, int.MaxValue, true, (Frame f, ReadOnlySpan<Value> a, out Value r)
            => Join(f, a[0].IsNull ? default : Conversion.ToText(a[0]).Span, a[1..], out r)),
        ["LEN"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r)
            => r = Value.Of((long)Characters.Count(Conversion.ToText(a[0]).Span.TrimEnd((byte)' ')))),
        ["LOWER"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => ChangeCase(f, a[0], upper: false, out r)),
        ["UPPER"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => ChangeCase(f, a[0], upper: true, out r)),
        ["SUBSTRING"] = new(3, 3, false, Substring),
        ["REPLACE"] = new(3, 3, false, Replace),
        ["CHARINDEX"] = new(2, 3, false, CharIndex),
        ["LTRIM"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Trim(a[0], start: true, end: false, out r)),
        ["RTRIM"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Trim(a[0], start: false, end: true, out r)),
        ["TRIM"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Trim(a[0], start: true, end: true, out r)),
        ["LEFT"] = new(2, 2, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Side(f, a, left: true, out r)),
        ["RIGHT"] = new(2, 2, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Side(f, a, left: false, out r)),
        ["PATINDEX"] = new(2, 2, false, (Frame f, ReadOnlySpan<Value> a, out Value r)
            => r = Value.Of((long)LikePattern.PositionOf(Conversion.ToText(a[0]).Span, Conversion.ToText(a[1]).Span))),
        ["REGEXMATCH"] = new(2, 2, false, RegexMatch),
        ["REPLICATE"] = new(2, 2, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Repeat(f, Conversion.ToText(a[0]).Span, a[1], out r)),
        ["REVERSE"] = new(1, 1, false, Reverse),
        ["SPACE"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => Repeat(f, " "u8, a[0], out r)),
        ["STUFF"] = new(4, 4, false, Stuff),
        ["TRANSLATE"] = new(3, 3, false, Translate),
        ["NCHAR"] = new(1, 1, false, NChar),
        ["UNICODE"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r)
            => r = Rune.DecodeFromUtf8(Conversion.ToText(a[0]).Span, out var first, out var width) >= 0 && width > 0
                ? Value.Of((long)first.Value)
                : Value.Null),
    };

    private static void Join(Frame frame, ReadOnlySpan<byte> separator, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        var texts = new List<Value>(arguments.Length);
        long length = 0;
        foreach (ref readonly var argument in arguments)
        {
            if (argument.IsNull)
                continue;
            var text = Conversion.ToText(argument);
            length += text.Length + (texts.Count > 0 ? separator.Length : 0);
            texts.Add(text);
        }

        if (!frame.MayMakeText(length))
            return;
        var joined = new byte[length];
        var used = 0;
        for (var index = 0; index < texts.Count; index++)
        {
            if (index > 0)
                Append(separator, joined, ref used);
            Append(texts[index].Span, joined, ref used);
        }

        result = Value.OfBytes(Kind.Text, joined);
    }

    private static void Append(ReadOnlySpan<byte> text, byte[] target, ref int used)
    {
        text.CopyTo(target.AsSpan(used));
        used += text.Length;
    }

    private static void ChangeCase(Frame frame, in Value argument, bool upper, out Value result)
    {
        var text = Conversion.ToText(argument);
        result = Value.Null;
        if (!frame.MayMakeText(text.Length))
            return;
        if (Ascii.IsValid(text.Span))
        {
            var changed = new byte[text.Length];
            if (upper)
                Ascii.ToUpper(text.Span, changed, out _);
            else
                Ascii.ToLower(text.Span, changed, out _);
            result = Value.OfBytes(Kind.Text, changed);
            return;
        }

        // Few characters need more bytes in the other case, and none more than three for two.
        var characters = Encoding.UTF8.GetString(text.Span);
        result = Value.Of(upper ? characters.ToUpperInvariant() : characters.ToLowerInvariant());
        if (result.Length > MadeBytes.TextMax && !frame.MayMakeText(result.Length))
            result = Value.Null;
    }

    /// <summary>A part of a text, without copying it.</summary>
    private static Value Part(in Value text, int from, int to) => Value.Slice(Kind.Text, text.Buffer!, text.Offset + from, to - from);

    private static void Substring(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!ScalarFunctions.TryLong(frame, arguments[1], out var start) || !ScalarFunctions.TryLong(frame, arguments[2], out var length))
            return;
        if (length < 0)
        {
            frame.Fail("SUBSTRING with a negative length");
            return;
        }

        // A start before the first character takes away from the length.
        var skipped = Math.Max(1, start) - 1;
        var end = Int128.Max(skipped, (Int128)start + length - 1);
        var text = Conversion.ToText(arguments[0]);
        var from = Characters.Skip(text.Span, skipped);
        var to = from + Characters.Skip(text.Span[from..], (long)Int128.Min(end - skipped, long.MaxValue));
        result = Part(text, from, to);
    }

    private static void Side(Frame frame, ReadOnlySpan<Value> arguments, bool left, out Value result)
    {
        result = Value.Null;
        if (!ScalarFunctions.TryLong(frame, arguments[1], out var count))
            return;
        if (count < 0)
        {
            frame.Fail("LEFT or RIGHT with a negative length");
            return;
        }

        var text = Conversion.ToText(arguments[0]);
        result = left
            ? Part(text, 0, Characters.Skip(text.Span, count))
            : Part(text, Characters.Skip(text.Span, Math.Max(0, Characters.Count(text.Span) - count)), text.Length);
    }

    private static void Trim(in Value argument, bool start, bool end, out Value result)
    {
        var text = Conversion.ToText(argument);
        var from = start ? text.Length - text.Span.TrimStart((byte)' ').Length : 0;
        var to = end ? Math.Max(from, text.Span.TrimEnd((byte)' ').Length) : text.Length;
        result = Part(text, from, to);
    }

    private static void CharIndex(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        long start = 1;
        if (arguments.Length == 3 && !ScalarFunctions.TryLong(frame, arguments[2], out start))
            return;
        var find = Conversion.ToText(arguments[0]).Span;
        var text = Conversion.ToText(arguments[1]).Span;
        var from = Characters.Skip(text, Math.Max(1, start) - 1);
        var at = find.Length == 0 ? -1 : text[from..].IndexOf(find);
        result = Value.Of(at < 0 ? 0L : Characters.Count(text[..(from + at)]) + 1L);
    }

    private static void Replace(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Conversion.ToText(arguments[0]);
        var text = result.Span;
        var find = Conversion.ToText(arguments[1]).Span;
        var replacement = Conversion.ToText(arguments[2]).Span;
        var count = find.Length == 0 ? 0 : text.Count(find);
        if (count == 0)
            return;
        var length = text.Length + ((long)count * (replacement.Length - find.Length));
        result = Value.Null;
        if (!frame.MayMakeText(length))
            return;
        var replaced = new byte[length];
        var used = 0;
        for (; count > 0; count--)
        {
            var at = text.IndexOf(find);
            Append(text[..at], replaced, ref used);
            Append(replacement, replaced, ref used);
            text = text[(at + find.Length)..];
        }

        Append(text, replaced, ref used);
        result = Value.OfBytes(Kind.Text, replaced);
    }

    private static void RegexMatch(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        try
        {
            var text = Conversion.ToClrString(arguments[0]);
            var match = Regex.Match(
                text,
                Conversion.ToClrString(arguments[1]),
                RegexOptions.IgnoreCase | RegexOptions.ECMAScript | RegexOptions.CultureInvariant,
                RegexTimeMax);
            result = Value.Of(match.Success ? Characters.CountRunes(text.AsSpan(0, match.Index)) + 1L : 0L);
        }
        catch (RegexMatchTimeoutException)
        {
            frame.Fail("REGEXMATCH took longer than 250 ms");
        }
        catch (ArgumentException)
        {
            frame.Fail("REGEXMATCH with a pattern that is no regular expression");
        }
    }

    private static void Repeat(Frame frame, ReadOnlySpan<byte> text, in Value times, out Value result)
    {
        result = Value.Null;
        if (!ScalarFunctions.TryLong(frame, times, out var count) || count < 0)
            return;
        if (!frame.MayMakeText((long)Int128.Min((Int128)text.Length * count, long.MaxValue)))
            return;
        var repeated = new byte[text.Length * (text.Length == 0 ? 0 : count)];
        if (text.Length == 1)
        {
            Array.Fill(repeated, text[0]);
        }
        else
        {
            for (var used = 0; used < repeated.Length;)
                Append(text, repeated, ref used);
        }

        result = Value.OfBytes(Kind.Text, repeated);
    }

    private static void Reverse(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        var text = Conversion.ToText(arguments[0]).Span;
        if (!frame.MayMakeText(text.Length))
            return;
        var reversed = new byte[text.Length];
        for (var left = text.Length; text.Length > 0;)
        {
            var width = Characters.Skip(text, 1);
            left -= width;
            text[..width].CopyTo(reversed.AsSpan(left));
            text = text[width..];
        }

        result = Value.OfBytes(Kind.Text, reversed);
    }

    private static void Stuff(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!ScalarFunctions.TryLong(frame, arguments[1], out var start) || !ScalarFunctions.TryLong(frame, arguments[2], out var length))
            return;
        var text = Conversion.ToText(arguments[0]).Span;
        if (start < 1 || length < 0)
            return;
        var from = Characters.Skip(text, start - 1);
        if (from == text.Length)
            return;
        var rest = text[(from + Characters.Skip(text[from..], length))..];
        var inserted = Conversion.ToText(arguments[3]).Span;
        var total = (long)from + inserted.Length + rest.Length;
        if (!frame.MayMakeText(total))
            return;
        var stuffed = new byte[total];
        var used = 0;
        Append(text[..from], stuffed, ref used);
        Append(inserted, stuffed, ref used);
        Append(rest, stuffed, ref used);
        result = Value.OfBytes(Kind.Text, stuffed);
    }

    private static void Translate(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        var from = Conversion.ToText(arguments[1]).Span;
        var to = Conversion.ToText(arguments[2]).Span;
        if (Characters.Count(from) != Characters.Count(to))
        {
            frame.Fail("TRANSLATE with sets of different length");
            return;
        }

        var replacements = new Dictionary<Rune, Rune>();
        while (from.Length > 0)
            replacements.TryAdd(Characters.Next(ref from), Characters.Next(ref to));

        var text = Conversion.ToText(arguments[0]).Span;
        long length = 0;
        for (var rest = text; rest.Length > 0;)
        {
            var rune = Characters.Next(ref rest);
            length += replacements.GetValueOrDefault(rune, rune).Utf8SequenceLength;
        }

        if (!frame.MayMakeText(length))
            return;
        var translated = new byte[length];
        var used = 0;
        while (text.Length > 0)
        {
            var rune = Characters.Next(ref text);
            used += replacements.GetValueOrDefault(rune, rune).EncodeToUtf8(translated.AsSpan(used));
        }

        result = Value.OfBytes(Kind.Text, translated);
    }

    private static void NChar(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (ScalarFunctions.TryLong(frame, arguments[0], out var code) && Rune.IsValid((int)Math.Clamp(code, -1, int.MaxValue)))
            result = Value.Of(new Rune((int)code).ToString());
    }
}
