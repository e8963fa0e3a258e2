using System.Globalization;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Functions;

/// <summary>Mathematical, type, array and record functions by name, and the way to all others.</summary>
internal static class ScalarFunctions
{
    private static readonly Dictionary<string, ScalarFunction> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
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
            || TextFunctions.ByName.TryGetValue(name, out function!)
            || DateFunctions.ByName.TryGetValue(name, out function!)
            || JsonFunctions.ByName.TryGetValue(name, out function!)
            || GeoFunctions.ByName.TryGetValue(name, out function!);

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
