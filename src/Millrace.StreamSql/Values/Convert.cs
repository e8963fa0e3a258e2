using System.Globalization;
using System.Text;
using Millrace.StreamSql.Json;

namespace Millrace.StreamSql.Values;

/// <summary>Target of CAST.</summary>
internal enum SqlTypeName
{
    Bigint,
    Float,
    Text,
    Datetime,
    Bit,
    Record,
    Array,
}

/// <summary>Conversions between values: what CAST does, and the automatic ones.</summary>
internal static class Conversion
{
    /// <summary>Turns unread JSON tokens into values: digits into numbers, escaped text into text.</summary>
    /// <returns>False when a number is beyond what a double holds.</returns>
    public static bool TryRead(in Value value, out Value read)
    {
        switch (value.Kind)
        {
            case Kind.NumberText:
                return Numbers.TryParse(value.Span, out read);
            case Kind.EscapedText:
                read = Value.OfBytes(Kind.Text, JsonText.Unescape(value.Span));
                return true;
            default:
                read = value;
                return true;
        }
    }

    /// <summary>Text as UTF-8, without copying when there are no escapes.</summary>
    public static ReadOnlySpan<byte> TextBytes(in Value value)
        => value.Kind == Kind.EscapedText ? JsonText.Unescape(value.Span) : value.Span;

    /// <summary>CAST(value AS type); NULL stays NULL.</summary>
    public static bool TryCast(in Value source, SqlTypeName type, out Value result)
    {
        result = Value.Null;
        if (source.IsNull)
            return true;
        if (!TryRead(source, out var value))
            return false;
        switch (type)
        {
            case SqlTypeName.Bigint:
                return TryToBigint(value, out result);
            case SqlTypeName.Float:
                return TryToFloat(value, out result);
            case SqlTypeName.Text:
                result = ToText(value);
                return true;
            case SqlTypeName.Datetime:
                if (!TryToTicks(value, out var ticks))
                    return false;
                result = Value.OfTicks(ticks);
                return true;
            case SqlTypeName.Bit:
                return TryToBit(value, out result);
            default:
                result = value;
                return value.Kind == (type == SqlTypeName.Record ? Kind.Record : Kind.Array);
        }
    }

    private static bool TryToBigint(in Value value, out Value result)
    {
        result = Value.Null;
        switch (value.Kind)
        {
            case Kind.Bigint or Kind.Bit:
                result = Value.Of(value.Bits);
                return true;
            case Kind.Float:
                var truncated = Math.Truncate(value.Double);
                if (truncated is not (>= -9223372036854775808.0 and < 9223372036854775808.0))
                    return false;
                result = Value.Of((long)truncated);
                return true;
            case Kind.Text:
                if (!Numbers.TryParseWhole(value.Span, out var whole))
                    return false;
                result = Value.Of(whole);
                return true;
            default:
                return false;
        }
    }

    private static bool TryToFloat(in Value value, out Value result)
    {
        result = Value.Null;
        switch (value.Kind)
        {
            case Kind.Float:
                result = value;
                return true;
            case Kind.Bigint or Kind.Bit:
                result = Value.Of((double)value.Bits);
                return true;
            case Kind.Text:
                if (!Numbers.TryParseText(value.Span, out var number))
                    return false;
                result = Value.Of(number.Kind == Kind.Bigint ? number.Bits : number.Double);
                return true;
            default:
                return false;
        }
    }

    private static bool TryToBit(in Value value, out Value result)
    {
        result = Value.Null;
        switch (value.Kind)
        {
            case Kind.Bit or Kind.Bigint:
                result = Value.Of(value.Bits != 0);
                return true;
            case Kind.Float:
                result = Value.Of(value.Double != 0);
                return true;
            case Kind.Text:
                var text = value.Span;
                var isTrue = text.SequenceEqual("1"u8) || Ascii.EqualsIgnoreCase(text, "true"u8);
                if (!isTrue && !text.SequenceEqual("0"u8) && !Ascii.EqualsIgnoreCase(text, "false"u8))
                    return false;
                result = Value.Of(isTrue);
                return true;
            default:
                return false;
        }
    }

    /// <summary>A datetime, or a string that is one.</summary>
    public static bool TryToTicks(in Value value, out long ticks)
    {
        switch (value.Kind)
        {
            case Kind.Datetime:
                ticks = value.Bits;
                return true;
            case Kind.Text or Kind.EscapedText:
                return IsoTime.TryParse(TextBytes(value), out ticks);
            default:
                ticks = 0;
                return false;
        }
    }

    /// <summary>A number, a bit as 0 or 1, or text that is a number.</summary>
    public static bool TryToNumber(in Value value, out Value number)
    {
        switch (value.Kind)
        {
            case Kind.Bigint or Kind.Float:
                number = value;
                return true;
            case Kind.NumberText:
                return Numbers.TryParse(value.Span, out number);
            case Kind.Bit:
                number = Value.Of(value.Bits);
                return true;
            case Kind.Text or Kind.EscapedText:
                return Numbers.TryParseText(TextBytes(value), out number);
            default:
                number = Value.Null;
                return false;
        }
    }

    /// <summary>CAST(value AS nvarchar(max)) of a value that is not NULL and has been read.</summary>
    public static Value ToText(in Value value)
    {
        switch (value.Kind)
        {
            case Kind.Text:
                return value;
            case Kind.Bigint:
                return Value.Of(value.Bits.ToString(CultureInfo.InvariantCulture));
            case Kind.Float:
                return Value.Of(value.Double.ToString("R", CultureInfo.InvariantCulture));
            case Kind.Bit:
                return Value.OfBytes(Kind.Text, (value.Bits != 0 ? "true"u8 : "false"u8).ToArray());
            case Kind.Datetime:
                var text = new byte[IsoTime.TextLength];
                IsoTime.Write(value.Bits, text);
                return Value.OfBytes(Kind.Text, text);
            default:
                return Value.OfBytes(Kind.Text, Compact(value));
        }
    }

    /// <summary>A record or array without blanks between its tokens.</summary>
    public static byte[] Compact(in Value value)
    {
        var text = value.Span;
        if (text.IndexOfAny(" \n\r\t"u8) < 0)
            return text.ToArray();
        var target = new JsonBuffer();
        for (var index = 0; index < text.Length; index++)
        {
            if (text[index] == '"')
            {
                var end = JsonText.StringEnd(text, index + 1, out _);
                target.Add(text[index..(end + 1)]);
                index = end;
            }
            else if (text[index] is not ((byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t'))
            {
                target.Add(text[index]);
            }
        }

        return target.ToArray();
    }

    /// <summary>The value as a .NET string, converted as by CAST.</summary>
    public static string ToClrString(in Value value)
    {
        _ = TryRead(value, out var read);
        return Encoding.UTF8.GetString(ToText(read).Span);
    }
}
