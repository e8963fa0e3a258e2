using System.Buffers;
using System.Text;
using System.Text.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Json;

/// <summary>Walks JSON text that is known to be valid: records and arrays inside values.</summary>
internal static class JsonText
{
    private static readonly SearchValues<byte> StringEnds = SearchValues.Create("\"\\"u8);
    private static readonly SearchValues<byte> Brackets = SearchValues.Create("{}[]\""u8);
    internal static readonly SearchValues<byte> ScalarEnds = SearchValues.Create(",}] \n\r\t"u8);

    /// <summary>Undoes the escapes of a JSON string's inside; a lone surrogate becomes U+FFFD.</summary>
    public static byte[] Unescape(ReadOnlySpan<byte> text)
    {
        var target = new byte[text.Length];
        var used = 0;
        Span<char> pair = stackalloc char[2];
        for (var index = 0; index < text.Length; index++)
        {
            if (text[index] != '\\' || index + 1 >= text.Length)
            {
                target[used++] = text[index];
                continue;
            }

            index++;
            switch (text[index])
            {
                case (byte)'b': target[used++] = 8; break;
                case (byte)'f': target[used++] = 12; break;
                case (byte)'n': target[used++] = 10; break;
                case (byte)'r': target[used++] = 13; break;
                case (byte)'t': target[used++] = 9; break;
                case (byte)'u':
                    pair[0] = Hex(text[(index + 1)..]);
                    index += 4;
                    var count = 1;
                    if (char.IsHighSurrogate(pair[0]) && text[(index + 1)..].StartsWith("\\u"u8)
                        && char.IsLowSurrogate(Hex(text[(index + 3)..])))
                    {
                        pair[1] = Hex(text[(index + 3)..]);
                        index += 6;
                        count = 2;
                    }

                    used += Encoding.UTF8.GetBytes(pair[..count], target.AsSpan(used));
                    break;
                default: target[used++] = text[index]; break;
            }
        }

        Array.Resize(ref target, used);
        return target;
    }

    private static char Hex(ReadOnlySpan<byte> digits)
    {
        var value = 0;
        for (var index = 0; index < 4; index++)
            value = value * 16 + Convert.ToInt32(((char)digits[index]).ToString(), 16);
        return (char)value;
    }

    public static bool EqualsIgnoringCase(ReadOnlySpan<byte> name, ReadOnlySpan<byte> wanted, bool wantedIsAscii)
    {
        if (wantedIsAscii)
            return name.Length == wanted.Length && Ascii.EqualsIgnoreCase(name, wanted);
        return string.Equals(Encoding.UTF8.GetString(name), Encoding.UTF8.GetString(wanted), StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>The field with this exact name, else the first that differs in case only.</summary>
    public static bool TryGetField(in Value record, ReadOnlySpan<byte> name, out Value value)
    {
        value = default;
        var ascii = Ascii.IsValid(name);
        var fields = new FieldEnumerator(record);
        var found = false;
        while (fields.MoveNext())
        {
            if (fields.IsNamed(name))
            {
                value = fields.Value;
                found = true;
                break;
            }

            if (!found && EqualsIgnoringCase(fields.Name, name, ascii))
            {
                value = fields.Value;
                found = true;
            }
        }

        return found;
    }

    public static bool TryGetElement(in Value array, long wanted, out Value value)
    {
        var elements = new ElementEnumerator(array);
        for (long index = 0; elements.MoveNext(); index++)
        {
            if (index == wanted)
            {
                value = elements.Value;
                return true;
            }
        }

        value = Value.Null;
        return false;
    }

    internal static int SkipBlank(ReadOnlySpan<byte> text, int index)
    {
        while (index < text.Length && text[index] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
            index++;
        return index;
    }

    /// <summary>Index of the closing quote of the string whose inside starts at <paramref name="index"/>.</summary>
    internal static int StringEnd(ReadOnlySpan<byte> text, int index, out bool escaped)
    {
        escaped = false;
        while (true)
        {
            index += text[index..].IndexOfAny(StringEnds);
            if (text[index] == '"')
                return index;
            escaped = true;
            index += 2;
        }
    }

    /// <summary>Reads the value at <paramref name="index"/> of the array behind it; returns where it ends.</summary>
    internal static int ReadValue(byte[] buffer, int index, int limit, out Value value)
    {
        var text = buffer.AsSpan(0, limit);
        switch (text[index])
        {
            case (byte)'"':
                var close = StringEnd(text, index + 1, out var escaped);
                value = Value.Slice(escaped ? Kind.EscapedText : Kind.Text, buffer, index + 1, close - index - 1);
                return close + 1;
            case (byte)'{' or (byte)'[':
                var depth = 0;
                var end = index;
                do
                {
                    end += text[end..].IndexOfAny(Brackets);
                    if (text[end] == '"')
                        end = StringEnd(text, end + 1, out _);
                    else
                        depth += text[end] is (byte)'{' or (byte)'[' ? 1 : -1;
                    end++;
                }
                while (depth > 0);
                value = Value.Slice(text[index] == '{' ? Kind.Record : Kind.Array, buffer, index, end - index);
                return end;
            default:
                var length = text[index..].IndexOfAny(ScalarEnds);
                if (length < 0)
                    length = text.Length - index;
                value = text[index] switch
                {
                    (byte)'t' => Value.Of(true),
                    (byte)'f' => Value.Of(false),
                    (byte)'n' => Value.Null,
                    _ => Value.Slice(Kind.NumberText, buffer, index, length),
                };
                return index + length;
        }
    }

    /// <summary>Reads text that need not be valid JSON as one value (JSON_PARSE and the like).</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out Value value)
    {
        value = Value.Null;
        try
        {
            var reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = EventReader.DepthMax });
            if (!reader.Read())
                return false;
            reader.Skip();
            if (reader.Read())
                return false;
        }
        catch (JsonException)
        {
            return false;
        }

        var copy = text.ToArray();
        ReadValue(copy, SkipBlank(copy, 0), copy.Length, out value);
        return true;
    }
}

/// <summary>The fields of a record in document order.</summary>
internal ref struct FieldEnumerator
{
    private readonly byte[] buffer;
    private readonly int limit;
    private int index;
    private int nameStart;
    private int nameLength;
    private bool escaped;

    public FieldEnumerator(in Value record)
    {
        buffer = record.Buffer!;
        limit = record.Offset + record.Length;
        index = record.Offset + 1;
    }

    public Value Value { get; private set; }

    /// <summary>The name as it stands between the quotes, for copying.</summary>
    public readonly ReadOnlySpan<byte> RawName => buffer.AsSpan(nameStart, nameLength);

    public readonly ReadOnlySpan<byte> Name => escaped ? JsonText.Unescape(RawName) : RawName;

    public readonly bool IsNamed(ReadOnlySpan<byte> name) => Name.SequenceEqual(name);

    public bool MoveNext()
    {
        var text = buffer.AsSpan(0, limit);
        index = JsonText.SkipBlank(text, index);
        if (text[index] == ',')
            index = JsonText.SkipBlank(text, index + 1);
        if (text[index] == '}')
            return false;
        nameStart = index + 1;
        var close = JsonText.StringEnd(text, nameStart, out escaped);
        nameLength = close - nameStart;
        index = JsonText.SkipBlank(text, close + 1) + 1;
        index = JsonText.ReadValue(buffer, JsonText.SkipBlank(text, index), limit, out var value);
        Value = value;
        return true;
    }
}

/// <summary>The elements of an array in document order.</summary>
internal struct ElementEnumerator
{
    private readonly byte[] buffer;
    private readonly int limit;
    private int index;

    public ElementEnumerator(in Value array)
    {
        buffer = array.Buffer!;
        limit = array.Offset + array.Length;
        index = array.Offset + 1;
    }

    public Value Value { get; private set; }

    public bool MoveNext()
    {
        var text = buffer.AsSpan(0, limit);
        index = JsonText.SkipBlank(text, index);
        if (text[index] == ',')
            index = JsonText.SkipBlank(text, index + 1);
        if (text[index] == ']')
            return false;
        index = JsonText.ReadValue(buffer, index, limit, out var value);
        Value = value;
        return true;
    }
}
