using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Millrace.Jobs.References;

/// <summary>CSV with a header line (RFC 4180) as JSON objects. What looks like a plain number becomes one; an empty field is NULL.</summary>
internal static class CsvReader
{
    private static readonly SearchValues<char> NumberChars = SearchValues.Create("0123456789.");

    /// <exception cref="FormatException">A quote is not closed, or a row has more fields than the header.</exception>
    public static List<ReadOnlyMemory<byte>> Read(byte[] bytes)
    {
        var text = Encoding.UTF8.GetString(bytes).TrimStart('\uFEFF');
        var position = 0;
        if (!TryReadRecord(text, ref position, out var header))
            return [];
        List<ReadOnlyMemory<byte>> rows = [];
        while (TryReadRecord(text, ref position, out var fields))
        {
            if (fields.Count == 1 && fields[0].Text.Length == 0)
                continue;
            if (fields.Count > header.Count)
                throw new FormatException($"row {rows.Count + 1} has {fields.Count} fields and the header {header.Count}");
            rows.Add(ToJson(header, fields));
        }

        return rows;
    }

    private static bool TryReadRecord(string text, ref int position, out List<(string Text, bool Quoted)> fields)
    {
        fields = [];
        if (position >= text.Length)
            return false;
        while (true)
        {
            fields.Add(text.AsSpan(position).StartsWith("\"") ? ReadQuoted(text, ref position) : ReadPlain(text, ref position));
            if (position >= text.Length)
                return true;
            if (text[position++] == ',')
                continue;
            if (text[position - 1] == '\r' && position < text.Length && text[position] == '\n')
                position++;
            return true;
        }
    }

    private static (string, bool) ReadPlain(string text, ref int position)
    {
        var end = text.AsSpan(position).IndexOfAny(',', '\r', '\n');
        var length = end < 0 ? text.Length - position : end;
        var field = text.Substring(position, length);
        position += length;
        return (field, false);
    }

    private static (string, bool) ReadQuoted(string text, ref int position)
    {
        var field = new StringBuilder();
        for (position++; position < text.Length; position++)
        {
            if (text[position] != '"')
            {
                field.Append(text[position]);
            }
            else if (position + 1 < text.Length && text[position + 1] == '"')
            {
                field.Append('"');
                position++;
            }
            else
            {
                position++;
                if (position < text.Length && text[position] is not (',' or '\r' or '\n'))
                    throw new FormatException("text follows a closing quote");
                return (field.ToString(), true);
            }
        }

        throw new FormatException("a quote is not closed");
    }

    private static byte[] ToJson(List<(string Text, bool Quoted)> header, List<(string Text, bool Quoted)> fields)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            for (var i = 0; i < fields.Count; i++)
            {
                json.WritePropertyName(header[i].Text);
                var (text, quoted) = fields[i];
                if (!quoted && text.Length == 0)
                    json.WriteNullValue();
                else if (!quoted && IsPlainNumber(text))
                    json.WriteRawValue(text);
                else
                    json.WriteStringValue(text);
            }

            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>A number as JSON writes one: an id with leading zeros stays a text.</summary>
    private static bool IsPlainNumber(string text)
    {
        var digits = text.StartsWith('-') ? text.AsSpan(1) : text;
        return digits.Length is > 0 and <= 24 && char.IsAsciiDigit(digits[0]) && (digits[0] != '0' || digits.Length == 1 || digits[1] == '.')
            && digits[^1] != '.' && !digits.ContainsAnyExcept(NumberChars) && digits.Count('.') <= 1
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out _);
    }
}
