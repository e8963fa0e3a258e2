using System.Text;
using System.Text.Json;

namespace Millrace.Commands.Query;

/// <summary>Rows of a reference input from a file: a JSON array, JSON lines, or CSV with a header (values are strings).</summary>
internal static class ReferenceFile
{
    public static IEnumerable<ReadOnlyMemory<byte>> Read(string path)
    {
        var text = File.ReadAllText(path);
        if (path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase))
            return ReadCsv(path, text);
        return text.AsSpan().TrimStart().StartsWith("[") ? ReadArray(path, text) : ReadLines(text);
    }

    private static List<ReadOnlyMemory<byte>> ReadArray(string path, string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return [.. document.RootElement.EnumerateArray().Select(r => new ReadOnlyMemory<byte>(Encoding.UTF8.GetBytes(r.GetRawText())))];
        }
        catch (JsonException failure)
        {
            throw new InvalidDataException($"{path} is not JSON: {failure.Message}", failure);
        }
    }

    private static IEnumerable<ReadOnlyMemory<byte>> ReadLines(string text)
    {
        foreach (var line in text.Split('\n'))
        {
            if (!string.IsNullOrWhiteSpace(line))
                yield return Encoding.UTF8.GetBytes(line.Trim());
        }
    }

    private static IEnumerable<ReadOnlyMemory<byte>> ReadCsv(string path, string text)
    {
        var index = 0;
        var header = ReadRecord(text, ref index);
        for (var number = 1; index < text.Length; number++)
        {
            var fields = ReadRecord(text, ref index);
            if (fields is [""])
                continue;
            if (fields.Count > header.Count)
                throw new InvalidDataException($"{path}: row {number} has {fields.Count} fields under a header of {header.Count}");
            using var row = new MemoryStream();
            using (var writer = new Utf8JsonWriter(row, RowFiles.Readable))
            {
                writer.WriteStartObject();
                for (var column = 0; column < fields.Count; column++)
                    writer.WriteString(header[column], fields[column]);
                writer.WriteEndObject();
            }

            yield return row.ToArray();
        }
    }

    /// <summary>One record after RFC 4180: quoted fields may hold commas, line ends and doubled quotes.</summary>
    private static List<string> ReadRecord(string text, ref int index)
    {
        var fields = new List<string>();
        var field = new StringBuilder();
        var quoted = false;
        for (; index < text.Length; index++)
        {
            var current = text[index];
            if (quoted)
            {
                if (current != '"')
                    field.Append(current);
                else if (index + 1 < text.Length && text[index + 1] == '"')
                    field.Append(text[++index]);
                else
                    quoted = false;
            }
            else if (current == '"' && field.Length == 0)
            {
                quoted = true;
            }
            else if (current == ',')
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else if (current == '\n')
            {
                index++;
                break;
            }
            else if (current is not ('\r' or '\uFEFF'))
            {
                field.Append(current);
            }
        }

        fields.Add(field.ToString());
        return fields;
    }
}
