using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;
using Millrace.Codecs.Formats;
using Millrace.Codecs.Json;
using Millrace.Core;

namespace Millrace.Codecs;

/// <summary>The JSON object that a stored payload is seen as (docs/formats/payloads.md). Thread-safe.</summary>
public static class PayloadView
{
    /// <summary>Views were bounded when they were taken in; these bounds only protect from a damaged record.</summary>
    private const int DepthMax = 80;

    private const int FieldsMax = 70_000;

    /// <summary>
    /// Writes one JSON object, on one line. Numbers keep the digits they came with. A payload that its format does not
    /// explain is written as <c>{"$base64": …}</c>; nothing throws.
    /// </summary>
    public static void WriteJson(in ReadingRecord record, IBufferWriter<byte> output) =>
        WriteJson(record.Format, record.Payload, record.ReceivedAt, output);

    /// <inheritdoc cref="WriteJson(in ReadingRecord, IBufferWriter{byte})"/>
    /// <param name="receivedAt">Arrival in µs: the time of a meter reading that came without one.</param>
    public static void WriteJson(PayloadFormat format, ReadOnlySpan<byte> payload, long receivedAt, IBufferWriter<byte> output)
    {
        var written = format switch
        {
            PayloadFormat.Text => TryWriteText(payload, output),
            PayloadFormat.Json => TryWriteObject(payload, output),
            PayloadFormat.Xml => TryWriteXml(payload, output),
            PayloadFormat.Form => TryWriteForm(payload, output),
            PayloadFormat.GasMeter => TryWriteMeter(payload, GasMeterVariant.Standard, receivedAt, output),
            PayloadFormat.GasMeterArticle => TryWriteMeter(payload, GasMeterVariant.Article, receivedAt, output),
            _ => false,
        };
        if (!written)
            WriteBinary(payload, output);
    }

    private static bool TryWriteText(ReadOnlySpan<byte> payload, IBufferWriter<byte> output)
    {
        if (!Utf8.IsValid(payload))
            return false;
        var trimmed = JsonText.Trim(payload);
        if (trimmed.Length > 0 && trimmed[0] == '{' && TryWriteObject(trimmed, output))
            return true;
        output.Write("{\"value\":"u8);
        ScalarText.Write(output, payload);
        output.Write("}"u8);
        return true;
    }

    private static bool TryWriteObject(ReadOnlySpan<byte> json, IBufferWriter<byte> output)
    {
        if (!TryScan(json, out _))
            return false;
        WriteOneLine(json, output);
        return true;
    }

    private static bool TryWriteXml(ReadOnlySpan<byte> xml, IBufferWriter<byte> output)
    {
        var view = new ArrayBufferWriter<byte>(xml.Length + 256);
        if (XmlToJson.Write(xml, DepthMax, FieldsMax, view, out _) != RejectReason.None)
            return false;
        output.Write(view.WrittenSpan);
        return true;
    }

    private static bool TryWriteForm(ReadOnlySpan<byte> form, IBufferWriter<byte> output)
    {
        var view = new ArrayBufferWriter<byte>(form.Length + 256);
        if (FormToJson.Write(form, FieldsMax, view) != RejectReason.None)
            return false;
        output.Write(view.WrittenSpan);
        return true;
    }

    private static bool TryWriteMeter(ReadOnlySpan<byte> json, GasMeterVariant variant, long receivedAt, IBufferWriter<byte> output)
    {
        json = JsonText.Trim(json);
        if (!TryScan(json, out var scanner) || scanner.MeterPayload.Kind != JsonKind.String)
            return false;
        scoped var base64 = scanner.MeterPayload.In(json);
        Span<byte> plain = stackalloc byte[256];
        if (scanner.MeterPayload.Escaped)
        {
            var length = JsonText.Unescape(base64, plain);
            if (length < 0)
                return false;
            base64 = plain[..length];
        }

        if (GasMeterPayload.Check(base64, variant) != RejectReason.None)
            return false;

        output.Write("{\"originData\":{"u8);
        if (!scanner.HasGw)
            output.Write("\"gw\":null,"u8);
        if (!scanner.HasMote)
            output.Write("\"mote\":null,"u8);
        WriteOneLine(json[1..], output);
        output.Write(",\"userData\":{"u8);
        GasMeterPayload.WriteMembers(output, base64, variant);
        output.Write(",\"time\":"u8);
        WriteMeterTime(json, scanner.GatewayTime, receivedAt, output);
        output.Write("}}"u8);
        return true;
    }

    /// <summary>The gateway's time as it stands; without one, the arrival.</summary>
    private static void WriteMeterTime(ReadOnlySpan<byte> json, JsonToken time, long receivedAt, IBufferWriter<byte> output)
    {
        if (time.Kind == JsonKind.String)
        {
            output.Write("\""u8);
            output.Write(time.In(json));
            output.Write("\""u8);
        }
        else if (time.Kind == JsonKind.Number)
        {
            output.Write(time.In(json));
        }
        else
        {
            JsonText.WriteString(output, Encoding.ASCII.GetBytes(Micros.ToIso(receivedAt)));
        }
    }

    private static bool TryScan(ReadOnlySpan<byte> json, out JsonScanner scanner)
    {
        scanner = new JsonScanner(json, DepthMax, FieldsMax);
        return Utf8.IsValid(json) && scanner.Scan() == RejectReason.None;
    }

    /// <summary>Line ends can only stand between tokens of checked JSON; readers of JSON lines must not meet them.</summary>
    private static void WriteOneLine(ReadOnlySpan<byte> json, IBufferWriter<byte> output)
    {
        while (json.IndexOfAny((byte)'\n', (byte)'\r') is var end and >= 0)
        {
            output.Write(json[..end]);
            output.Write(" "u8);
            json = json[(end + 1)..];
        }

        output.Write(json);
    }

    private static void WriteBinary(ReadOnlySpan<byte> payload, IBufferWriter<byte> output)
    {
        output.Write("{\"$base64\":\""u8);
        var span = output.GetSpan(Base64.GetMaxEncodedToUtf8Length(payload.Length));
        Base64.EncodeToUtf8(payload, span, out _, out var written);
        output.Advance(written);
        output.Write("\"}"u8);
    }
}
