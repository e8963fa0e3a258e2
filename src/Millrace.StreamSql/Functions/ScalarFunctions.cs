using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

/// <summary>String, mathematical, NULL, array and record functions by name.</summary>
internal static class ScalarFunctions
{
    /// <summary>Longest text that REPLICATE, SPACE and CONCAT may make: a slip in a query must not take the memory.</summary>
    private const int TextMax = 16 * 1024 * 1024;

    private static readonly Dictionary<string, ScalarFunction> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
        ["CONCAT"] = new(1, int.MaxValue, true, Concat),
        ["CONCAT_WS"] = new(2, int.MaxValue, true, ConcatWithSeparator),
        ["LEN"] = Text(1, 1, t => Value.Of((long)t[0].TrimEnd(' ').Length)),
        ["LOWER"] = Text(1, 1, t => Value.Of(t[0].ToLowerInvariant())),
        ["UPPER"] = Text(1, 1, t => Value.Of(t[0].ToUpperInvariant())),
        ["SUBSTRING"] = new(3, 3, false, Substring),
        ["REPLACE"] = Text(3, 3, t => Value.Of(t[1].Length == 0 ? t[0] : t[0].Replace(t[1], t[2], StringComparison.Ordinal))),
        ["CHARINDEX"] = new(2, 3, false, CharIndex),
        ["LTRIM"] = Text(1, 1, t => Value.Of(t[0].TrimStart(' '))),
        ["RTRIM"] = Text(1, 1, t => Value.Of(t[0].TrimEnd(' '))),
        ["TRIM"] = Text(1, 1, t => Value.Of(t[0].Trim(' '))),
        ["LEFT"] = new(2, 2, false, Left),
        ["RIGHT"] = new(2, 2, false, Right),
        ["PATINDEX"] = Text(2, 2, t => Value.Of((long)LikePattern.PositionOf(t[0], t[1]))),
        ["REGEXMATCH"] = new(2, 2, false, RegexMatch),
        ["REPLICATE"] = new(2, 2, false, Replicate),
        ["REVERSE"] = Text(1, 1, t => Value.Of(Reverse(t[0]))),
        ["SPACE"] = new(1, 1, false, Space),
        ["STUFF"] = new(4, 4, true, Stuff),
        ["TRANSLATE"] = new(3, 3, false, Translate),
        ["NCHAR"] = new(1, 1, false, NChar),
        ["UNICODE"] = Text(1, 1, t => t[0].Length == 0 ? Value.Null : Value.Of((long)FirstCode(t[0]))),

        ["ABS"] = new(1, 1, false, Abs),
        ["CEILING"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => KeepWhole(f, a[0], Math.Ceiling, out r)),
        ["FLOOR"] = new(1, 1, false, (Frame f, ReadOnlySpan<Value> a, out Value r) => KeepWhole(f, a[0], Math.Floor, out r)),
        ["ROUND"] = new(1, 2, false, Round),
        ["SIGN"] = new(1, 1, false, Sign),
        ["SQRT"] = Float(Math.Sqrt),
        ["SQUARE"] = Float(x => x * x),
        ["POWER"] = Float2(Math.Pow),
        ["EXP"] = Float(Math.Exp),
        ["LOG"] = new(1, 2, false, Log),
        ["LOG10"] = Float(Math.Log10),
        ["SIN"] = Float(Math.Sin),
        ["COS"] = Float(Math.Cos),
        ["TAN"] = Float(Math.Tan),
        ["COT"] = Float(x => 1 / Math.Tan(x)),
        ["ASIN"] = Float(Math.Asin),
        ["ACOS"] = Float(Math.Acos),
        ["ATAN"] = Float(Math.Atan),
        ["ATN2"] = Float2(Math.Atan2),
        ["DEGREES"] = Float(x => x * (180 / Math.PI)),
        ["RADIANS"] = Float(x => x * (Math.PI / 180)),
        ["PI"] = new(0, 0, true, (Frame f, ReadOnlySpan<Value> a, out Value r) => r = Value.Of(Math.PI)),

        ["GETTYPE"] = new(1, 1, true, GetTypeName),
        ["GETARRAYELEMENT"] = new(2, 2, true, GetArrayElement),
        ["GETARRAYLENGTH"] = new(1, 1, true, GetArrayLength),
        ["GETRECORDPROPERTYVALUE"] = new(2, 2, true, GetRecordPropertyValue),
        ["ISDATE"] = new(1, 1, true, (Frame f, ReadOnlySpan<Value> a, out Value r) => r = Value.Of(Conversion.TryToTicks(a[0], out _) ? 1L : 0L)),
    };

    public static bool TryGet(string name, out ScalarFunction function)
        => ByName.TryGetValue(name, out function!)
            || DateFunctions.ByName.TryGetValue(name, out function!)
            || JsonFunctions.ByName.TryGetValue(name, out function!)
            || GeoFunctions.ByName.TryGetValue(name, out function!);

    private static ScalarFunction Text(int least, int most, Func<string[], Value> body)
        => new(least, most, false, (Frame frame, ReadOnlySpan<Value> arguments, out Value result) =>
        {
            var texts = new string[arguments.Length];
            for (var index = 0; index < texts.Length; index++)
                texts[index] = Conversion.ToClrString(arguments[index]);
            result = body(texts);
        });

    private static ScalarFunction Float(Func<double, double> body)
        => new(1, 1, false, (Frame frame, ReadOnlySpan<Value> arguments, out Value result) =>
        {
            result = Value.Null;
            if (!TryDouble(frame, arguments[0], out var x))
                return;
            Finite(frame, body(x), out result);
        });

    private static ScalarFunction Float2(Func<double, double, double> body)
        => new(2, 2, false, (Frame frame, ReadOnlySpan<Value> arguments, out Value result) =>
        {
            result = Value.Null;
            if (!TryDouble(frame, arguments[0], out var x) || !TryDouble(frame, arguments[1], out var y))
                return;
            Finite(frame, body(x, y), out result);
        });

    private static void Finite(Frame frame, double value, out Value result)
    {
        result = Value.Null;
        if (double.IsFinite(value))
            result = Value.Of(value);
        else
            frame.Fail("a mathematical function outside its domain");
    }

    internal static bool TryDouble(Frame frame, in Value value, out double number)
    {
        number = 0;
        if (!Conversion.TryToNumber(value, out var read))
        {
            frame.Fail("a function expects a number");
            return false;
        }

        number = read.Kind == Kind.Bigint ? read.Bits : read.Double;
        return true;
    }

    /// <summary>A whole number argument; a float is truncated.</summary>
    internal static bool TryLong(Frame frame, in Value value, out long number)
    {
        number = 0;
        if (!Conversion.TryToNumber(value, out var read) || !Conversion.TryCast(read, SqlTypeName.Bigint, out var whole))
        {
            frame.Fail("a function expects a whole number");
            return false;
        }

        number = whole.Bits;
        return true;
    }

    private static void Concat(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        var text = new StringBuilder();
        foreach (ref readonly var argument in arguments)
        {
            if (!argument.IsNull)
                text.Append(Conversion.ToClrString(argument));
        }

        result = Bounded(frame, text);
    }

    private static void ConcatWithSeparator(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        var separator = arguments[0].IsNull ? "" : Conversion.ToClrString(arguments[0]);
        var text = new StringBuilder();
        var any = false;
        foreach (ref readonly var argument in arguments[1..])
        {
            if (argument.IsNull)
                continue;
            if (any)
                text.Append(separator);
            any = true;
            text.Append(Conversion.ToClrString(argument));
        }

        result = Bounded(frame, text);
    }

    private static Value Bounded(Frame frame, StringBuilder text)
    {
        if (text.Length <= TextMax)
            return Value.Of(text.ToString());
        frame.Fail("a text becomes longer than 16 MiB");
        return Value.Null;
    }

    private static void Substring(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryLong(frame, arguments[1], out var start) || !TryLong(frame, arguments[2], out var length))
            return;
        if (length < 0)
        {
            frame.Fail("SUBSTRING with a negative length");
            return;
        }

        var text = Conversion.ToClrString(arguments[0]);
        var from = Math.Max(1, start);
        var to = Int128.Min((Int128)start + length, text.Length + 1);
        result = Value.Of(from < to ? text[(int)(from - 1)..(int)(to - 1)] : "");
    }

    private static void CharIndex(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        long start = 1;
        if (arguments.Length == 3 && !TryLong(frame, arguments[2], out start))
            return;
        var find = Conversion.ToClrString(arguments[0]);
        var text = Conversion.ToClrString(arguments[1]);
        start = Math.Max(1, start);
        if (find.Length == 0 || start > text.Length)
            result = Value.Of(0L);
        else
            result = Value.Of(text.IndexOf(find, (int)start - 1, StringComparison.Ordinal) + 1L);
    }

    private static void Left(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
        => Side(frame, arguments, (text, count) => text[..count], out result);

    private static void Right(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
        => Side(frame, arguments, (text, count) => text[^count..], out result);

    private static void Side(Frame frame, ReadOnlySpan<Value> arguments, Func<string, int, string> cut, out Value result)
    {
        result = Value.Null;
        if (!TryLong(frame, arguments[1], out var count))
            return;
        if (count < 0)
        {
            frame.Fail("LEFT or RIGHT with a negative length");
            return;
        }

        var text = Conversion.ToClrString(arguments[0]);
        result = Value.Of(cut(text, (int)Math.Min(count, text.Length)));
    }

    private static void RegexMatch(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        try
        {
            var match = Regex.Match(
                Conversion.ToClrString(arguments[0]),
                Conversion.ToClrString(arguments[1]),
                RegexOptions.IgnoreCase | RegexOptions.ECMAScript | RegexOptions.CultureInvariant,
                TimeSpan.FromMilliseconds(250));
            result = Value.Of(match.Success ? match.Index + 1L : 0L);
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

    private static void Replicate(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryLong(frame, arguments[1], out var count) || count < 0)
            return;
        var text = Conversion.ToClrString(arguments[0]);
        if ((Int128)text.Length * count > TextMax)
            frame.Fail("a text becomes longer than 16 MiB");
        else
            result = Value.Of(new StringBuilder().Insert(0, text, text.Length == 0 ? 0 : (int)count).ToString());
    }

    private static int FirstCode(string text)
        => text.Length > 1 && char.IsSurrogatePair(text[0], text[1]) ? char.ConvertToUtf32(text[0], text[1]) : text[0];

    private static string Reverse(string text)
    {
        var characters = text.EnumerateRunes().Reverse().Select(r => r.ToString());
        return string.Concat(characters);
    }

    private static void Space(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryLong(frame, arguments[0], out var count) || count < 0)
            return;
        if (count > TextMax)
            frame.Fail("a text becomes longer than 16 MiB");
        else
            result = Value.Of(new string(' ', (int)count));
    }

    private static void Stuff(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (arguments[0].IsNull || arguments[1].IsNull || arguments[2].IsNull || arguments[3].IsNull)
            return;
        if (!TryLong(frame, arguments[1], out var start) || !TryLong(frame, arguments[2], out var length))
            return;
        var text = Conversion.ToClrString(arguments[0]);
        if (start < 1 || start > text.Length || length < 0)
            return;
        var from = (int)start - 1;
        var count = (int)Math.Min(length, text.Length - from);
        result = Value.Of(string.Concat(text.AsSpan(0, from), Conversion.ToClrString(arguments[3]), text.AsSpan(from + count)));
    }

    private static void Translate(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        var from = Conversion.ToClrString(arguments[1]);
        var to = Conversion.ToClrString(arguments[2]);
        if (from.Length != to.Length)
        {
            frame.Fail("TRANSLATE with sets of different length");
            return;
        }

        var text = Conversion.ToClrString(arguments[0]).ToCharArray();
        for (var index = 0; index < text.Length; index++)
        {
            var at = from.IndexOf(text[index], StringComparison.Ordinal);
            if (at >= 0)
                text[index] = to[at];
        }

        result = Value.Of(new string(text));
    }

    private static void NChar(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (TryLong(frame, arguments[0], out var code) && Rune.IsValid((int)Math.Clamp(code, -1, int.MaxValue)))
            result = Value.Of(new Rune((int)code).ToString());
    }

    private static void Abs(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!Conversion.TryToNumber(arguments[0], out var number))
            frame.Fail("ABS expects a number");
        else if (number.Kind == Kind.Float)
            result = Value.Of(Math.Abs(number.Double));
        else if (number.Bits == long.MinValue)
            frame.Fail("bigint overflow");
        else
            result = Value.Of(Math.Abs(number.Bits));
    }

    private static void KeepWhole(Frame frame, in Value argument, Func<double, double> body, out Value result)
    {
        result = Value.Null;
        if (!Conversion.TryToNumber(argument, out var number))
            frame.Fail("a function expects a number");
        else
            result = number.Kind == Kind.Bigint ? number : Value.Of(body(number.Double));
    }

    private static void Sign(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!Conversion.TryToNumber(arguments[0], out var number))
            frame.Fail("SIGN expects a number");
        else if (number.Kind == Kind.Bigint)
            result = Value.Of((long)Math.Sign(number.Bits));
        else
            result = Value.Of((double)Math.Sign(number.Double));
    }

    private static void Round(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        long digits = 0;
        if (arguments.Length == 2 && !TryLong(frame, arguments[1], out digits))
            return;
        if (!Conversion.TryToNumber(arguments[0], out var number))
            frame.Fail("ROUND expects a number");
        else if (number.Kind == Kind.Bigint)
            RoundWhole(frame, number.Bits, digits, out result);
        else
            Finite(frame, RoundFloat(number.Double, digits), out result);
    }

    private static void RoundWhole(Frame frame, long value, long digits, out Value result)
    {
        result = Value.Of(value);
        if (digits >= 0)
            return;
        if (digits < -19)
        {
            result = Value.Of(0L);
            return;
        }

        Int128 unit = 1;
        for (var index = digits; index < 0; index++)
            unit *= 10;
        var rest = value % unit;
        var rounded = value - rest;
        if (Int128.Abs(rest) * 2 >= unit)
            rounded += value < 0 ? -unit : unit;
        if (rounded < long.MinValue || rounded > long.MaxValue)
        {
            result = Value.Null;
            frame.Fail("bigint overflow");
            return;
        }

        result = Value.Of((long)rounded);
    }

    private static double RoundFloat(double value, long digits)
    {
        // Decimal rounds the digits people see: 2.675 to 2.68, where binary arithmetic gives 2.67.
        if (digits is >= -28 and <= 28 && Math.Abs(value) < 7.9e27)
        {
            var text = value.ToString("R", CultureInfo.InvariantCulture);
            if (decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var exact))
            {
                if (digits >= 0)
                    return (double)Math.Round(exact, (int)digits, MidpointRounding.AwayFromZero);
                var unit = 1m;
                for (var index = digits; index < 0; index++)
                    unit *= 10;
                var scaled = Math.Round(exact / unit, MidpointRounding.AwayFromZero);
                return (double)scaled * (double)unit;
            }
        }

        if (digits > 28)
            return value;
        if (digits < -308)
            return 0;
        var power = Math.Pow(10, digits);
        return Math.Round(value * power, MidpointRounding.AwayFromZero) / power;
    }

    private static void Log(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (!TryDouble(frame, arguments[0], out var x))
            return;
        if (arguments.Length == 1)
            Finite(frame, Math.Log(x), out result);
        else if (TryDouble(frame, arguments[1], out var root))
            Finite(frame, Math.Log(x) / Math.Log(root), out result);
    }

    private static void GetTypeName(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
        => result = Value.Of(arguments[0].Kind switch
        {
            Kind.Missing or Kind.Null => "null",
            Kind.Bit => "bit",
            Kind.Bigint => "bigint",
            Kind.Float => "float",
            Kind.Datetime => "datetime",
            Kind.Record => "record",
            Kind.Array => "array",
            _ => "nvarchar(max)",
        });

    private static void GetArrayElement(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (arguments[0].Kind == Kind.Array && !arguments[1].IsNull && TryLong(frame, arguments[1], out var index))
            JsonText.TryGetElement(arguments[0], index, out result);
    }

    private static void GetArrayLength(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (arguments[0].Kind != Kind.Array)
            return;
        long count = 0;
        for (var elements = new ElementEnumerator(arguments[0]); elements.MoveNext();)
            count++;
        result = Value.Of(count);
    }

    private static void GetRecordPropertyValue(Frame frame, ReadOnlySpan<Value> arguments, out Value result)
    {
        result = Value.Null;
        if (arguments[0].Kind == Kind.Record && arguments[1].IsText)
            JsonText.TryGetField(arguments[0], Conversion.TextBytes(arguments[1]), out result);
    }
}
