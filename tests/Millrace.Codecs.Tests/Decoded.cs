using System.Buffers;
using System.Text;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

/// <summary>A decoded reading off the stack, for comparing.</summary>
internal sealed record Decoded(RejectReason Reason, string Id, long DeviceTime, PayloadFormat Format, string Payload, int ErrorAt)
{
    private static readonly Decoder Default = new(new DecoderOptions());

    public static Decoded Json(string json, string established = "", DecoderOptions? options = null) =>
        Json(Encoding.UTF8.GetBytes(json), established, options);

    public static Decoded Json(byte[] json, string established = "", DecoderOptions? options = null)
    {
        var reason = Of(options).Json(json, Encoding.UTF8.GetBytes(established), new byte[Decoder.IdBufferBytes], out var reading);
        return From(reason, reading);
    }

    public static Decoded Xml(string xml, string established = "", DecoderOptions? options = null)
    {
        var reason = Of(options).Xml(Encoding.UTF8.GetBytes(xml), Encoding.UTF8.GetBytes(established), new byte[Decoder.IdBufferBytes], out var reading);
        return From(reason, reading);
    }

    public static Decoded Form(string form, string established = "", DecoderOptions? options = null)
    {
        var reason = Of(options).Form(Encoding.UTF8.GetBytes(form), Encoding.UTF8.GetBytes(established), new byte[Decoder.IdBufferBytes], out var reading);
        return From(reason, reading);
    }

    public static Decoded Line(string line) => Line(Encoding.UTF8.GetBytes(line));

    public static Decoded Line(byte[] line, DecoderOptions? options = null)
    {
        var reason = Of(options).TextLine(line, out var reading);
        return From(reason, reading);
    }

    public static string View(PayloadFormat format, string payload, long receivedAt = 0) =>
        View(format, Encoding.UTF8.GetBytes(payload), receivedAt);

    public static string View(PayloadFormat format, byte[] payload, long receivedAt = 0)
    {
        var output = new ArrayBufferWriter<byte>();
        PayloadView.WriteJson(format, payload, receivedAt, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    /// <summary>The JSON view of a reading that was accepted.</summary>
    public string View()
    {
        Assert.Equal(RejectReason.None, Reason);
        return View(Format, Payload);
    }

    private static Decoder Of(DecoderOptions? options) => options is null ? Default : new Decoder(options);

    private static Decoded From(RejectReason reason, DecodedReading r) =>
        new(reason, Encoding.UTF8.GetString(r.Id), r.DeviceTime, r.Format, Encoding.UTF8.GetString(r.Payload), r.ErrorAt);
}
