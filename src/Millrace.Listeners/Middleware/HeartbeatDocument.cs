using System.Buffers;
using System.Buffers.Text;
using System.Text.Json;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Listeners.Http;

namespace Millrace.Listeners.Middleware;

/// <summary>
/// A heartbeat's JSON, in and out. In: {"id": integer, "location": any, "data": any}. Out: the same with ip_address and
/// timestamp added. Hot: out runs once per consumer's read and allocates nothing.
/// </summary>
internal static class HeartbeatDocument
{
    /// <summary>Checks what the decoder does not: the id is a whole number above zero, location and data are there.</summary>
    /// <param name="json">A JSON object the decoder accepted.</param>
    public static RejectReason Check(ReadOnlySpan<byte> json)
    {
        var (hasId, hasLocation, hasData) = (false, false, false);
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isId = reader.ValueTextEquals("id"u8);
            hasLocation |= reader.ValueTextEquals("location"u8);
            hasData |= reader.ValueTextEquals("data"u8);
            reader.Read();
            if (isId)
            {
                if (reader.TokenType != JsonTokenType.Number || !IsProducerId(reader.ValueSpan))
                    return RejectReason.BadDeviceId;
                hasId = true;
            }

            reader.Skip();
        }

        return !hasId ? RejectReason.MissingDevice : hasLocation && hasData ? RejectReason.None : RejectReason.EmptyPayload;
    }

    /// <summary>Whether the text is a whole number from 1 to 2^63-1, written plainly.</summary>
    public static bool IsProducerId(ReadOnlySpan<byte> text) =>
        text.Length > 0 && text[0] is >= (byte)'1' and <= (byte)'9'
        && Utf8Parser.TryParse(text, out long _, out var used) && used == text.Length;

    /// <summary>Writes a device's newest reading as consumers know it; what is no heartbeat becomes its data.</summary>
    public static void Write(in ReadingRecord record, IBufferWriter<byte> output)
    {
        var payload = record.Payload;
        var (location, data) = (Range.All, Range.All);
        var isHeartbeat = record.Format == PayloadFormat.Json && TryFind(payload, out location, out data);

        output.Write("{\"id\":"u8);
        if (IsProducerId(record.Id))
            output.Write(record.Id);
        else
            WriteString(record.Id, output);
        output.Write(",\"location\":"u8);
        output.Write(isHeartbeat ? payload[location] : "null"u8);
        output.Write(",\"ip_address\":"u8);
        if (record.TryGetProperty(ReadingProperties.RemoteAddress, out var address))
            WriteString(address, output);
        else
            output.Write("null"u8);
        output.Write(",\"timestamp\":\""u8);
        _ = Micros.ToDateTime(record.ReceivedAt).TryFormat(output.GetSpan(27), out var length, "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");
        output.Advance(length);
        output.Write("\",\"data\":"u8);
        if (isHeartbeat)
            output.Write(payload[data]);
        else
            PayloadView.WriteJson(in record, output);
        output.Write("}"u8);
    }

    /// <summary>Finds location and data among the object's own members.</summary>
    private static bool TryFind(ReadOnlySpan<byte> json, out Range location, out Range data)
    {
        (location, data) = (Range.All, Range.All);
        var (hasLocation, hasData) = (false, false);
        var reader = new Utf8JsonReader(json);
        try
        {
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                return false;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isLocation = reader.ValueTextEquals("location"u8);
                var isData = reader.ValueTextEquals("data"u8);
                reader.Read();
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                var value = start..(int)reader.BytesConsumed;
                if (isLocation)
                    (location, hasLocation) = (value, true);
                else if (isData)
                    (data, hasData) = (value, true);
            }
        }
        catch (JsonException)
        {
            return false;                   // a damaged record; shown as what it is
        }

        return hasLocation && hasData;
    }

    private static void WriteString(ReadOnlySpan<byte> text, IBufferWriter<byte> output)
    {
        // Addresses and most ids need no escapes.
        if (!text.ContainsAnyInRange((byte)0, (byte)0x1F) && text.IndexOfAny((byte)'"', (byte)'\\') < 0)
        {
            output.Write("\""u8);
            output.Write(text);
            output.Write("\""u8);
            return;
        }

        using var json = new Utf8JsonWriter(output, JsonText.WriterOptions);
        json.WriteStringValue(text);
    }
}
