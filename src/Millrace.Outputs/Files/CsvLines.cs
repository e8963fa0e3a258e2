using System.Text;
using System.Text.Json;

namespace Millrace.Outputs.Files;

/// <summary>Rows as CSV (RFC 4180, CRLF): a field is quoted when it holds a comma, a quote or a line break.</summary>
internal static class CsvLines
{
    public static IReadOnlyList<string> ColumnsOf(ReadOnlyMemory<byte> row)
    {
        using var document = JsonDocument.Parse(row);
        return [.. document.RootElement.EnumerateObject().Select(p => p.Name).Distinct(StringComparer.Ordinal)];
    }

    public static void WriteHeader(Stream target, IReadOnlyList<string> columns) => WriteLine(target, columns);

    /// <summary>Writes a row under the columns; false, and nothing written, when it has a column they lack.</summary>
    public static bool TryWrite(Stream target, IReadOnlyList<string> columns, ReadOnlyMemory<byte> row)
    {
        using var document = JsonDocument.Parse(row);
        var fields = new string[columns.Count];
        foreach (var property in document.RootElement.EnumerateObject())
        {
            var at = IndexOf(columns, property.Name);
            if (at < 0)
                return false;
            fields[at] = Text(property.Value);
        }

        WriteLine(target, fields);
        return true;
    }

    private static int IndexOf(IReadOnlyList<string> columns, string name)
    {
        for (var i = 0; i < columns.Count; i++)
        {
            if (columns[i] == name)
                return i;
        }

        return -1;
    }

    private static string Text(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined => "",
        JsonValueKind.String => value.GetString()!,
        _ => value.GetRawText(),
    };

    private static void WriteLine(Stream target, IReadOnlyList<string?> fields)
    {
        var line = new StringBuilder();
        for (var i = 0; i < fields.Count; i++)
        {
            if (i > 0)
                line.Append(',');
            var field = fields[i] ?? "";
            if (field.AsSpan().IndexOfAny(",\"\r\n") < 0)
                line.Append(field);
            else
                line.Append('"').Append(field.Replace("\"", "\"\"")).Append('"');
        }

        target.Write(Encoding.UTF8.GetBytes(line.Append("\r\n").ToString()));
    }
}
