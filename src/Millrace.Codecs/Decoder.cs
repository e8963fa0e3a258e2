using System.Buffers;
using System.Text.Unicode;
using Millrace.Codecs.Formats;
using Millrace.Codecs.Json;
using Millrace.Core;

namespace Millrace.Codecs;

/// <summary>
/// Turns bytes into readings: who (the device), when (its own time) and what (payload as received). Hot: text and JSON
/// allocate nothing; nothing throws on input. Thread-safe.
/// </summary>
/// <remarks>
/// The device is, first found: the established id, <c>id</c>, <c>deviceId</c>, <c>originData.app.moteeui</c>,
/// <c>app.moteeui</c>; numbers become decimal text, null counts as missing. Its time is the first of <c>time</c>,
/// <c>timestamp</c>, <c>ts</c>, <c>userData.time</c>, and in a meter document <c>app.gwrx[0].time</c>.
/// </remarks>
public sealed class Decoder(DecoderOptions options)
{
    /// <summary>Bytes an id buffer must have.</summary>
    public const int IdBufferBytes = DeviceIds.LengthMax;

    private readonly PayloadFormat _meterFormat =
        options.GasMeter == GasMeterVariant.Standard ? PayloadFormat.GasMeter : PayloadFormat.GasMeterArticle;

    public DecoderOptions Options { get; } = options;

    /// <summary>Decodes one JSON object.</summary>
    /// <param name="establishedId">The device as known from the path or the connection; empty when the payload says it.</param>
    /// <param name="idBuffer"><see cref="IdBufferBytes"/> bytes for ids that do not stand in the payload as they are.</param>
    /// <returns><see cref="RejectReason.None"/>, or why the bytes are no reading.</returns>
    public RejectReason Json(ReadOnlySpan<byte> json, ReadOnlySpan<byte> establishedId, Span<byte> idBuffer, out DecodedReading reading)
    {
        reading = default;
        reading.DeviceTime = Micros.None;
        json = JsonText.Trim(json.StartsWith("\uFEFF"u8) ? json[3..] : json);
        var reason = CheckBytes(json);
        if (reason != RejectReason.None)
            return reason;

        var scanner = new JsonScanner(json, Options.DepthMax, Options.FieldsMax);
        reason = scanner.Scan();
        if (reason == RejectReason.None)
            reason = Identify(json, in scanner, establishedId, idBuffer, ref reading);
        else
            reading.ErrorAt = scanner.ErrorAt;
        if (reason != RejectReason.None)
            return reason;

        reading.Format = PayloadFormat.Json;
        reading.Payload = json;
        return scanner.MeterPayload.Kind == JsonKind.String ? CheckMeter(json, in scanner, ref reading) : RejectReason.None;
    }

    /// <summary>Decodes one XML document; the rules of JSON hold for its JSON view.</summary>
    /// <inheritdoc cref="Json"/>
    public RejectReason Xml(ReadOnlySpan<byte> xml, ReadOnlySpan<byte> establishedId, Span<byte> idBuffer, out DecodedReading reading)
    {
        reading = default;
        reading.DeviceTime = Micros.None;
        xml = JsonText.Trim(xml);
        var reason = CheckBytes(xml);
        if (reason != RejectReason.None)
            return reason;

        var view = new ArrayBufferWriter<byte>(xml.Length + 256);
        reason = XmlToJson.Write(xml, Options.DepthMax, Options.FieldsMax, view, out var errorAt);
        reading.ErrorAt = errorAt;
        return reason != RejectReason.None ? reason : FromView(view, PayloadFormat.Xml, xml, establishedId, idBuffer, ref reading);
    }

    /// <summary>Decodes the fields of application/x-www-form-urlencoded; the rules of JSON hold for its JSON view.</summary>
    /// <inheritdoc cref="Json"/>
    public RejectReason Form(ReadOnlySpan<byte> form, ReadOnlySpan<byte> establishedId, Span<byte> idBuffer, out DecodedReading reading)
    {
        reading = default;
        reading.DeviceTime = Micros.None;
        form = JsonText.Trim(form);
        var reason = CheckBytes(form);
        if (reason != RejectReason.None)
            return reason;

        var view = new ArrayBufferWriter<byte>(form.Length + 256);
        reason = FormToJson.Write(form, Options.FieldsMax, view);
        return reason != RejectReason.None ? reason : FromView(view, PayloadFormat.Form, form, establishedId, idBuffer, ref reading);
    }

    /// <summary>
    /// Decodes <c>ID:value</c>, without its line end (docs/formats/id-value.md). A value that is a JSON object is decoded as
    /// such, with the id in front as the device; any other value is text. NUL bytes at the end are C's and fall away.
    /// </summary>
    public RejectReason TextLine(ReadOnlySpan<byte> line, out DecodedReading reading)
    {
        reading = default;
        reading.DeviceTime = Micros.None;
        line = line.TrimEnd((byte)0);
        if (JsonText.Trim(line).IsEmpty)
            return RejectReason.EmptyPayload;
        var colon = line.IndexOf((byte)':');
        if (colon < 0)
            return RejectReason.MissingSeparator;
        var id = line[..colon];
        if (!DeviceIds.IsTextId(id))
            return RejectReason.BadDeviceId;

        var value = line[(colon + 1)..];
        var trimmed = JsonText.Trim(value);
        if (trimmed.IsEmpty)
            return RejectReason.EmptyPayload;
        if (trimmed[0] == '{')
        {
            var reason = Json(trimmed, id, default, out reading);
            // A value that only looks like JSON is text like any other.
            if (reason != RejectReason.InvalidJson)
                return reason;
        }

        reading.DeviceTime = Micros.None;
        reading.ErrorAt = colon + 1;
        return Text(value, id, ref reading);
    }

    /// <summary>Takes bytes as the text payload of a known device: what a line is when it names none.</summary>
    public RejectReason PlainText(ReadOnlySpan<byte> text, ReadOnlySpan<byte> establishedId, out DecodedReading reading)
    {
        reading = default;
        reading.DeviceTime = Micros.None;
        text = text.TrimEnd((byte)0);
        if (JsonText.Trim(text).IsEmpty)
            return RejectReason.EmptyPayload;
        return DeviceIds.IsValid(establishedId) ? Text(text, establishedId, ref reading) : RejectReason.BadDeviceId;
    }

    /// <summary>What is wrong and where, for people; made only when somebody wants to read it.</summary>
    /// <param name="errorAt"><see cref="DecodedReading.ErrorAt"/> of the refused reading.</param>
    public string Describe(RejectReason reason, int errorAt) => reason switch
    {
        RejectReason.None => "nothing is wrong",
        RejectReason.MissingSeparator => "no ':' between an id and a value",
        RejectReason.BadDeviceId => "the device id is not 1 to 128 allowed characters",
        RejectReason.MissingDevice => "no id, deviceId or moteeui names the device",
        RejectReason.EmptyPayload => "there is no value",
        RejectReason.TooLarge => $"larger than {Options.PayloadBytesMax} bytes",
        RejectReason.InvalidUtf8 => $"not UTF-8 at byte {errorAt}",
        RejectReason.InvalidJson => $"not JSON at byte {errorAt}",
        RejectReason.NotAnObject => "the JSON value is not an object",
        RejectReason.TooDeep => $"nested deeper than {Options.DepthMax}",
        RejectReason.DuplicateKey => $"a key stands twice in one object, the second time at byte {errorAt}",
        RejectReason.TooManyFields => $"more than {Options.FieldsMax} fields",
        RejectReason.InvalidXml => $"not XML without DTD at byte {errorAt}",
        RejectReason.InvalidForm => "not name=value fields with percent encoding",
        RejectReason.InvalidTime => $"the device time at byte {errorAt} is neither ISO 8601 nor Unix seconds or milliseconds",
        RejectReason.Base64 => $"the meter payload at byte {errorAt} is not base64",
        RejectReason.Length => $"the meter payload at byte {errorAt} has the wrong length",
        _ => reason.Name(),
    };

    private RejectReason FromView(
        ArrayBufferWriter<byte> view, PayloadFormat format, ReadOnlySpan<byte> payload, ReadOnlySpan<byte> establishedId,
        Span<byte> idBuffer, ref DecodedReading reading)
    {
        var json = view.WrittenSpan;
        // One more level and one more member than the source has: its text beside elements.
        var scanner = new JsonScanner(json, Options.DepthMax + 2, Options.FieldsMax + 1);
        var reason = scanner.Scan();
        if (reason != RejectReason.None)
            return reason;
        reason = Identify(json, in scanner, establishedId, idBuffer, ref reading);
        if (reason != RejectReason.None)
            return reason;

        // Where the view says something else than the source: offsets mean nothing to the sender.
        reading.ErrorAt = 0;
        reading.Format = format;
        reading.Payload = payload;
        return RejectReason.None;
    }

    private RejectReason CheckBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
            return RejectReason.EmptyPayload;
        if (bytes.Length > Options.PayloadBytesMax)
            return RejectReason.TooLarge;
        return Utf8.IsValid(bytes) ? RejectReason.None : RejectReason.InvalidUtf8;
    }

    private RejectReason Text(ReadOnlySpan<byte> text, ReadOnlySpan<byte> id, ref DecodedReading reading)
    {
        var reason = CheckBytes(text);
        if (reason != RejectReason.None)
            return reason;
        reading.Id = id;
        reading.Format = PayloadFormat.Text;
        reading.Payload = text;
        return RejectReason.None;
    }

    private static RejectReason Identify(
        ReadOnlySpan<byte> json, scoped in JsonScanner scanner, ReadOnlySpan<byte> establishedId, Span<byte> idBuffer, ref DecodedReading reading)
    {
        var reason = RejectReason.None;
        if (!establishedId.IsEmpty)
            reading.Id = establishedId;
        else
            reason = ReadId(json, FirstGiven(scanner.Id, scanner.DeviceId, scanner.OriginEui, scanner.AppEui), idBuffer, ref reading);
        if (reason != RejectReason.None)
            return reason;
        if (!DeviceIds.IsValid(reading.Id))
            return RejectReason.BadDeviceId;

        var time = FirstGiven(scanner.Time, scanner.Timestamp, scanner.Ts, scanner.UserDataTime);
        if (!time.IsGiven)
            return RejectReason.None;
        if (TryReadTime(json, time, out var micros))
        {
            reading.DeviceTime = micros;
            return RejectReason.None;
        }

        reading.ErrorAt = time.Start;
        return RejectReason.InvalidTime;
    }

    private static JsonToken FirstGiven(JsonToken a, JsonToken b, JsonToken c, JsonToken d) =>
        a.IsGiven ? a : b.IsGiven ? b : c.IsGiven ? c : d;

    private static RejectReason ReadId(ReadOnlySpan<byte> json, JsonToken token, Span<byte> idBuffer, ref DecodedReading reading)
    {
        if (!token.IsGiven)
            return RejectReason.MissingDevice;
        reading.ErrorAt = token.Start;
        var text = token.In(json);
        if (token.Kind == JsonKind.String && !token.Escaped)
        {
            reading.Id = text;
            return RejectReason.None;
        }

        var length = token.Kind switch
        {
            JsonKind.String => JsonText.Unescape(text, idBuffer),
            JsonKind.Number => DecimalText.Write(text, idBuffer),
            _ => 0,
        };
        if (length <= 0)
            return RejectReason.BadDeviceId;
        reading.Id = idBuffer[..length];
        return RejectReason.None;
    }

    private static bool TryReadTime(ReadOnlySpan<byte> json, JsonToken token, out long micros)
    {
        micros = Micros.None;
        return token.Kind switch
        {
            JsonKind.Number => DeviceTimes.TryUnix(token.In(json), out micros),
            JsonKind.String when !token.Escaped => DeviceTimes.TryParse(token.In(json), out micros),
            JsonKind.String => TryReadEscapedTime(token.In(json), out micros),
            _ => false,
        };
    }

    private static bool TryReadEscapedTime(ReadOnlySpan<byte> inside, out long micros)
    {
        micros = Micros.None;
        Span<byte> plain = stackalloc byte[64];
        var length = JsonText.Unescape(inside, plain);
        return length > 0 && DeviceTimes.TryParse(plain[..length], out micros);
    }

    private RejectReason CheckMeter(ReadOnlySpan<byte> json, scoped in JsonScanner scanner, ref DecodedReading reading)
    {
        var token = scanner.MeterPayload;
        scoped var base64 = token.In(json);
        Span<byte> plain = stackalloc byte[256];
        if (token.Escaped)
        {
            var length = JsonText.Unescape(base64, plain);
            if (length < 0)
                return Refuse(token, RejectReason.Length, ref reading);
            base64 = plain[..length];
        }

        var reason = GasMeterPayload.Check(base64, Options.GasMeter);
        if (reason != RejectReason.None)
            return Refuse(token, reason, ref reading);

        reading.Format = _meterFormat;
        // The gateway's clock is somebody else's: when it makes no sense the reading still counts, by its arrival.
        if (reading.DeviceTime == Micros.None && scanner.GatewayTime.IsGiven && TryReadTime(json, scanner.GatewayTime, out var micros))
            reading.DeviceTime = micros;
        return RejectReason.None;

        static RejectReason Refuse(JsonToken token, RejectReason reason, ref DecodedReading reading)
        {
            reading.ErrorAt = token.Start;
            return reason;
        }
    }
}
