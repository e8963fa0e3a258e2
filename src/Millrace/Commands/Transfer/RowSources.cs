using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Parquet;

namespace Millrace.Commands.Transfer;

/// <summary>The rows of a file that is imported, each as a JSON object with the file's own names.</summary>
internal static class RowSources
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static IEnumerable<ImportRow> Open(string path, string format, RowMapping mapping) => format switch
    {
        "csv" => Csv(path, mapping),
        "parquet" => Parquet(path, mapping),
        _ => JsonLines(path, mapping),
    };

    private static IEnumerable<ImportRow> JsonLines(string path, RowMapping mapping)
    {
        using var reader = new StreamReader(path, Encoding.UTF8);
        for (long line = 1; reader.ReadLine() is { } text; line++)
        {
            if (!string.IsNullOrWhiteSpace(text))
                yield return mapping.Map(line, Encoding.UTF8.GetBytes(text));
        }
    }

    private static IEnumerable<ImportRow> Csv(string path, RowMapping mapping)
    {
        using var records = new CsvRecords(path);
        if (!records.MoveNext())
            yield break;
        var header = records.Fields.ConvertAll(field => field.Text);
        while (records.MoveNext())
        {
            if (records.Fault is { } fault)
                yield return new ImportRow(records.Line, null, fault);
            else if (records.Fields.Count != header.Count)
                yield return new ImportRow(records.Line, null, $"has {records.Fields.Count} fields and the header {header.Count}");
            else
                yield return mapping.Map(records.Line, ToJson(header, records.Fields));
        }
    }

    /// <summary>Unquoted numbers, true and false become what they look like; the column data of an export is an object again.</summary>
    private static byte[] ToJson(List<string> header, List<(string Text, bool Quoted)> fields)
    {
        var output = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(output, Options))
        {
            json.WriteStartObject();
            for (var i = 0; i < fields.Count; i++)
            {
                var (text, quoted) = fields[i];
                if (!quoted && text.Length == 0)
                    continue;
                json.WritePropertyName(header[i]);
                if (!quoted && text is "true" or "false")
                    json.WriteBooleanValue(text == "true");
                else if (!quoted && IsNumber(text))
                    json.WriteRawValue(text);
                else if (header[i] == "data" && IsObject(text))
                    json.WriteRawValue(text);
                else
                    json.WriteStringValue(text);
            }

            json.WriteEndObject();
        }

        return output.WrittenSpan.ToArray();
    }

    /// <summary>A number as JSON writes one; an id with leading zeros stays a text.</summary>
    private static bool IsNumber(string text)
    {
        if (!char.IsAsciiDigit(text[^1]) || (!char.IsAsciiDigit(text[0]) && text[0] != '-'))
            return false;
        try
        {
            var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(text));
            return reader.Read() && reader.TokenType == JsonTokenType.Number && !reader.Read();
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool IsObject(string text)
    {
        if (!text.StartsWith('{'))
            return false;
        try
        {
            using var parsed = JsonDocument.Parse(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static IEnumerable<ImportRow> Parquet(string path, RowMapping mapping)
    {
        using var reader = OpenParquet(path);
        foreach (var row in ReadingFile.IsOne(reader) ? Readings(reader, mapping) : Rows(reader, mapping))
            yield return row;
    }

    private static ParquetReader OpenParquet(string path)
    {
        try
        {
            return ParquetReader.Open(path);
        }
        catch (ParquetFormatException fault)
        {
            throw new CommandException(fault.Message, fault);
        }
    }

    private static IEnumerable<ImportRow> Readings(ParquetReader reader, RowMapping mapping)
    {
        long number = 0;
        var output = new ArrayBufferWriter<byte>(512);
        foreach (var (device, time, payload) in ReadingFile.Read(reader))
        {
            // As an export's line, so that one rule takes it apart.
            output.ResetWrittenCount();
            using (var json = new Utf8JsonWriter(output, Options))
            {
                json.WriteStartObject();
                json.WriteString("id"u8, device);
                json.WriteString("time"u8, Micros.ToIso(time));
                json.WriteNull("receivedAt"u8);
                json.WriteNull("sequence"u8);
                json.WriteNull("partition"u8);
                json.WritePropertyName("data"u8);
                json.WriteRawValue(payload.Span);
                json.WriteEndObject();
            }

            yield return mapping.Map(++number, output.WrittenMemory);
        }
    }

    private static IEnumerable<ImportRow> Rows(ParquetReader reader, RowMapping mapping)
    {
        long number = 0;
        var scan = reader.Scan(new ParquetScanOptions());
        var output = new ArrayBufferWriter<byte>(512);
        while (scan.Read())
        {
            for (var row = 0; row < scan.RowCount; row++)
            {
                output.ResetWrittenCount();
                using (var json = new Utf8JsonWriter(output, Options))
                {
                    json.WriteStartObject();
                    for (var column = 0; column < reader.Columns.Count; column++)
                    {
                        if (scan[column].IsNull(row))
                            continue;
                        json.WritePropertyName(reader.Columns[column].Name);
                        WriteValue(json, scan[column], row);
                    }

                    json.WriteEndObject();
                }

                yield return mapping.Map(++number, output.WrittenMemory);
            }
        }
    }

    private static void WriteValue(Utf8JsonWriter json, ParquetVector vector, int row)
    {
        switch (vector.Column.Kind)
        {
            case ParquetKind.Boolean:
                json.WriteBooleanValue(vector.Booleans[row]);
                break;
            case ParquetKind.Double or ParquetKind.Float when double.IsFinite(vector.Doubles[row]):
                json.WriteNumberValue(vector.Doubles[row]);
                break;
            case ParquetKind.Double or ParquetKind.Float:
                json.WriteNullValue();
                break;
            case ParquetKind.TimestampMillis:
                json.WriteStringValue(Micros.ToIso(vector.Int64s[row] * 1000));
                break;
            case ParquetKind.TimestampMicros:
                json.WriteStringValue(Micros.ToIso(vector.Int64s[row]));
                break;
            case ParquetKind.TimestampNanos:
                json.WriteStringValue(Micros.ToIso(vector.Int64s[row] / 1000));
                break;
            case ParquetKind.Date:
                json.WriteStringValue(DateOnly.FromDayNumber((int)(vector.Int64s[row] + DateOnly.FromDateTime(DateTime.UnixEpoch).DayNumber)).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));
                break;
            case ParquetKind.Decimal:
                json.WriteRawValue(Decimal(vector.Decimal(row), vector.Column.Scale));
                break;
            case ParquetKind.UInt64:
                json.WriteNumberValue((ulong)vector.Int64s[row]);
                break;
            case ParquetKind.Json:
                json.WriteRawValue(vector.Bytes(row));
                break;
            case ParquetKind.String:
                json.WriteStringValue(vector.Bytes(row));
                break;
            case ParquetKind.Bytes or ParquetKind.FixedBytes:
                json.WriteBase64StringValue(vector.Bytes(row));
                break;
            default:
                json.WriteNumberValue(vector.Int64s[row]);
                break;
        }
    }

    private static string Decimal(Int128 unscaled, int scale)
    {
        var digits = Int128.Abs(unscaled).ToString(CultureInfo.InvariantCulture).PadLeft(scale + 1, '0');
        return (unscaled < 0 ? "-" : "") + (scale == 0 ? digits : $"{digits[..^scale]}.{digits[^scale..]}");
    }
}
