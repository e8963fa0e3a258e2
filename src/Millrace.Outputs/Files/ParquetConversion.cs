using System.Text;
using System.Text.Json;
using Millrace.Outputs.Sql;
using Millrace.Parquet;

namespace Millrace.Outputs.Files;

/// <summary>
/// JSON lines as a Parquet table: a column for every member in the order of its first row, as narrow as the whole file allows. Numbers that
/// are whole become INT64, others DOUBLE; objects and arrays JSON; a column of several kinds is text.
/// </summary>
internal static class ParquetConversion
{
    /// <summary>Rows between two looks at whether a row group is full.</summary>
    private const int CommitRows = 4096;

    public static void Run(string jsonLines, Stream target)
    {
        var kinds = KindsOf(jsonLines);
        // A table has at least one column, also when no row has a member.
        if (kinds.Count == 0)
            kinds.Add(("row", ColumnKind.Json));
        var writer = new ParquetWriter(target, [.. kinds.Select(Column)], new ParquetWriterOptions { CreatedBy = "Millrace" });
        var cells = new JsonElement[kinds.Count];
        var ordinals = kinds.Select((k, i) => (k.Name, i)).ToDictionary(p => p.Name, p => p.i, StringComparer.Ordinal);
        var rows = 0;
        foreach (var line in File.ReadLines(jsonLines))
        {
            using var document = JsonDocument.Parse(line);
            Array.Clear(cells);
            foreach (var property in document.RootElement.EnumerateObject())
                cells[ordinals[property.Name]] = property.Value;
            for (var i = 0; i < cells.Length; i++)
                Add(writer[i], kinds[i].Kind, cells[i]);
            if (++rows % CommitRows == 0)
                writer.CommitRows();
        }

        writer.Complete();
    }

    private static List<(string Name, ColumnKind Kind)> KindsOf(string jsonLines)
    {
        List<string> names = [];
        Dictionary<string, ColumnKind?> kinds = new(StringComparer.Ordinal);
        foreach (var line in File.ReadLines(jsonLines))
        {
            using var document = JsonDocument.Parse(line);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (kinds.TryAdd(property.Name, null))
                    names.Add(property.Name);
                if (KindOf(property.Value) is { } kind)
                    kinds[property.Name] = kinds[property.Name] is { } held ? held.Join(kind) : kind;
            }
        }

        return [.. names.Select(n => (n, kinds[n] ?? ColumnKind.Text))];
    }

    private static ColumnKind? KindOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.True or JsonValueKind.False => ColumnKind.Boolean,
        JsonValueKind.Number => value.TryGetInt64(out _) ? ColumnKind.BigInt : ColumnKind.Double,
        JsonValueKind.String => ColumnKind.Text,
        _ => ColumnKind.Json,
    };

    private static ParquetColumn Column((string Name, ColumnKind Kind) column) => column.Kind switch
    {
        ColumnKind.Boolean => ParquetColumn.Boolean(column.Name),
        ColumnKind.BigInt => ParquetColumn.Int64(column.Name),
        ColumnKind.Double => ParquetColumn.Double(column.Name),
        ColumnKind.Json => ParquetColumn.Json(column.Name),
        _ => ParquetColumn.String(column.Name),
    };

    private static void Add(ParquetColumnWriter column, ColumnKind kind, JsonElement value)
    {
        if (value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
            column.AddNull();
        else if (kind == ColumnKind.Boolean)
            column.Add(value.GetBoolean());
        else if (kind == ColumnKind.BigInt)
            column.Add(value.GetInt64());
        else if (kind == ColumnKind.Double)
            column.Add(value.GetDouble());
        else
            column.Add(Encoding.UTF8.GetBytes(value.ValueKind == JsonValueKind.String && kind != ColumnKind.Json ? value.GetString()! : value.GetRawText()));
    }
}
