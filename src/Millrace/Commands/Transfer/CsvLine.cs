using System.Buffers;
using System.Text;
using System.Text.Json;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Commands.Transfer;

/// <summary>id, time, receivedAt, sequence, partition, then the payload: as JSON in one column, or chosen members in a column each.</summary>
internal sealed class CsvLine(IReadOnlyList<string> fields) : ILineFormat
{
    private readonly ArrayBufferWriter<byte> _data = new(512);
    private readonly StringBuilder _line = new();
    private readonly string[][] _paths = [.. fields.Select(field => field.Split('.'))];

    public string Header => "id,time,receivedAt,sequence,partition," + (fields.Count == 0 ? "data" : string.Join(',', fields.Select(Quoted))) + "\n";

    public void Write(in ReadingRecord record, int partition, IBufferWriter<byte> output)
    {
        _data.ResetWrittenCount();
        PayloadView.WriteJson(record, _data);
        _line.Clear().Append(Text(Encoding.UTF8.GetString(record.Id))).Append(',').Append(Micros.ToIso(record.EventTime)).Append(',')
            .Append(Micros.ToIso(record.ReceivedAt)).Append(',').Append(record.Sequence).Append(',').Append(partition);
        if (_paths.Length == 0)
            _line.Append(',').Append(Quoted(Encoding.UTF8.GetString(_data.WrittenSpan)));
        else
            AppendMembers();
        Encoding.UTF8.GetBytes(_line.ToString(), output);
    }

    private void AppendMembers()
    {
        using var payload = JsonDocument.Parse(_data.WrittenMemory, new JsonDocumentOptions { MaxDepth = 256 });
        foreach (var path in _paths)
        {
            var at = payload.RootElement;
            var found = path.All(member => at.ValueKind == JsonValueKind.Object && at.TryGetProperty(member, out at));
            _line.Append(',').Append(found ? Cell(at) : "");
        }
    }

    private static string Cell(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => Text(value.GetString()!),
        JsonValueKind.Null => "",
        _ => Quoted(value.GetRawText()),
    };

    private static string Quoted(string text) => text.AsSpan().IndexOfAny(",\"\r\n") < 0 ? text : Text(text);

    /// <summary>In quotes always: a text <c>12</c>, <c>true</c> or without a letter is not what these would be without.</summary>
    private static string Text(string text) => $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
