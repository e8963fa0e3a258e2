using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Commands.Transfer;

/// <summary>As the API shows a reading: id, time, receivedAt, sequence, partition, data.</summary>
internal sealed class JsonLine : ILineFormat
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private readonly ArrayBufferWriter<byte> _data = new(512);

    public string Header => "";

    public void Write(in ReadingRecord record, int partition, IBufferWriter<byte> output)
    {
        _data.ResetWrittenCount();
        PayloadView.WriteJson(record, _data);
        using var json = new Utf8JsonWriter(output, Options);
        json.WriteStartObject();
        json.WriteString("id"u8, record.Id);
        json.WriteString("time"u8, Micros.ToIso(record.EventTime));
        json.WriteString("receivedAt"u8, Micros.ToIso(record.ReceivedAt));
        json.WriteNumber("sequence"u8, record.Sequence);
        json.WriteNumber("partition"u8, partition);
        json.WritePropertyName("data"u8);
        json.WriteRawValue(_data.WrittenSpan, skipInputValidation: true);
        json.WriteEndObject();
    }
}
