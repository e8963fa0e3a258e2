using System.Buffers;
using System.Buffers.Text;
using System.Text.Json;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Listeners.Http;

namespace Millrace.Web.Api;

/// <summary>A reading as the API shows it, written by hand into the response: the payload's view is JSON already.</summary>
internal static class ReadingText
{
    /// <summary>{"id","time","receivedAt","sequence","partition","data"}; the id only when asked for.</summary>
    public static void Write(IBufferWriter<byte> output, in ReadingRecord record, int partition, bool withId, FieldFilter? fields = null)
    {
        if (withId)
        {
            output.Write("{\"id\":"u8);
            WriteString(output, record.Id);
            output.Write(",\"time\":\""u8);
        }
        else
        {
            output.Write("{\"time\":\""u8);
        }

        WritePlace(output, record.EventTime, record.ReceivedAt, record.Sequence, partition);
        if (fields is null)
            PayloadView.WriteJson(in record, output);
        else
            fields.Write(in record, output);
        output.Write("}"u8);
    }

    /// <summary>A reading out of the history, as <see cref="Write(IBufferWriter{byte}, in ReadingRecord, int, bool, FieldFilter?)"/> shows it without its id.</summary>
    public static void Write(IBufferWriter<byte> output, ArchivedReading reading, FieldFilter? fields)
    {
        output.Write("{\"time\":\""u8);
        WritePlace(output, reading.Time, reading.ReceivedAt, reading.Sequence, reading.Partition);
        if (fields is null)
            output.Write(reading.Json.Span);
        else
            fields.Write(reading.Json, output);
        output.Write("}"u8);
    }

    private static void WritePlace(IBufferWriter<byte> output, long time, long receivedAt, long sequence, int partition)
    {
        WriteTime(output, time);
        output.Write("\",\"receivedAt\":\""u8);
        WriteTime(output, receivedAt);
        output.Write("\",\"sequence\":"u8);
        WriteNumber(output, sequence);
        output.Write(",\"partition\":"u8);
        WriteNumber(output, partition);
        output.Write(",\"data\":"u8);
    }

    /// <summary>A JSON string of UTF-8 text, quotes included.</summary>
    public static void WriteString(IBufferWriter<byte> output, ReadOnlySpan<byte> text)
    {
        if (DeviceIds.IsTextId(text))
        {
            var span = output.GetSpan(text.Length + 2);
            span[0] = (byte)'"';
            text.CopyTo(span[1..]);
            span[text.Length + 1] = (byte)'"';
            output.Advance(text.Length + 2);
            return;
        }

        using var json = new Utf8JsonWriter(output, JsonText.WriterOptions);
        json.WriteStringValue(text);
    }

    public static void WriteNumber(IBufferWriter<byte> output, long number)
    {
        _ = Utf8Formatter.TryFormat(number, output.GetSpan(20), out var written);
        output.Advance(written);
    }

    /// <summary>ISO 8601 with six fraction digits and Z, without quotes.</summary>
    public static void WriteTime(IBufferWriter<byte> output, long micros)
    {
        _ = Micros.ToDateTime(micros).TryFormat(output.GetSpan(27), out var written, "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");
        output.Advance(written);
    }
}
