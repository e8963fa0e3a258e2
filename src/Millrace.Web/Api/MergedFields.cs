using System.Buffers;
using System.Text.Json;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Listeners.Http;

namespace Millrace.Web.Api;

/// <summary>
/// The newest value of every top-level field a device sent in the hour before its newest reading: devices that send one
/// field at a time are seen whole.
/// </summary>
internal sealed class MergedFields
{
    private const long Window = 3600 * Micros.PerSecond;

    private readonly SortedDictionary<string, (long Time, long Sequence, string Value)> _fields = new(StringComparer.Ordinal);
    private readonly ArrayBufferWriter<byte> _view = new(1024);

    public static MergedFields Collect(WebParts parts, ushort tenant, byte[] id, ReadOnlyMemory<byte> newest, ReadingPlace place)
    {
        var merged = new MergedFields();
        using (var scan = new DeviceScan(parts.Log, tenant, id, place.ReceivedAt - Window, place.ReceivedAt + 1, null))
        {
            while (scan.MoveNextBlock())
            {
                while (scan.MoveNext(out var record))
                    merged.Add(in record);
            }
        }

        // The log may have let go of it already; the view has not.
        merged.Add(new ReadingRecord(newest.Span, place.Sequence, place.ReceivedAt));
        return merged;
    }

    public void Write(IBufferWriter<byte> output, ReadOnlySpan<byte> newest, ReadingPlace place)
    {
        var record = new ReadingRecord(newest, place.Sequence, place.ReceivedAt);
        using var json = new Utf8JsonWriter(output, JsonText.WriterOptions);
        json.WriteStartObject();
        json.WriteString("id"u8, record.Id);
        json.WriteString("time"u8, Micros.ToIso(record.EventTime));
        json.WriteString("receivedAt"u8, Micros.ToIso(record.ReceivedAt));
        json.WriteNumber("sequence"u8, place.Sequence);
        json.WriteNumber("partition"u8, place.Partition);
        json.WriteStartObject("data"u8);
        foreach (var (name, field) in _fields)
        {
            json.WritePropertyName(name);
            json.WriteRawValue(field.Value, skipInputValidation: true);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void Add(in ReadingRecord record)
    {
        _view.ResetWrittenCount();
        PayloadView.WriteJson(in record, _view);
        using var data = JsonDocument.Parse(_view.WrittenMemory, new JsonDocumentOptions { MaxDepth = 128 });
        if (data.RootElement.ValueKind != JsonValueKind.Object)
            return;
        var (time, sequence) = (record.EventTime, record.Sequence);
        foreach (var field in data.RootElement.EnumerateObject())
        {
            if (!_fields.TryGetValue(field.Name, out var held) || (held.Time, held.Sequence).CompareTo((time, sequence)) <= 0)
                _fields[field.Name] = (time, sequence, field.Value.GetRawText());
        }
    }
}
