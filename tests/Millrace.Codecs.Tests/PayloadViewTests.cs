using System.Buffers;
using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

public sealed class PayloadViewTests
{
    [Theory]
    [InlineData(PayloadFormat.Text, "{\"a\":1}", """{"a":1}""")]
    [InlineData(PayloadFormat.Text, "{\"a\":1,\"a\":2}", """{"value":"{\"a\":1,\"a\":2}"}""")]
    [InlineData(PayloadFormat.Text, "", """{"value":""}""")]
    [InlineData(PayloadFormat.Json, "{ \"a\" : 1.50,\n\t\"b\" : [ ] }", "{ \"a\" : 1.50, \t\"b\" : [ ] }")]
    [InlineData(PayloadFormat.Binary, "abc", """{"$base64":"YWJj"}""")]
    [InlineData(PayloadFormat.Json, "not JSON", """{"$base64":"bm90IEpTT04="}""")]
    [InlineData(PayloadFormat.Xml, "<not", """{"$base64":"PG5vdA=="}""")]
    [InlineData(PayloadFormat.GasMeter, "{\"app\":{}}", """{"$base64":"eyJhcHAiOnt9fQ=="}""")]
    [InlineData((PayloadFormat)99, "abc", """{"$base64":"YWJj"}""")]
    public void A_payload_is_seen_as_one_object(PayloadFormat format, string payload, string view) =>
        Assert.Equal(view, Decoded.View(format, payload));

    [Fact]
    public void A_stored_record_is_seen_with_its_own_format_and_time()
    {
        var batch = new ReadingBatch(1);
        batch.Add(0, "m"u8, ListenerId.Udp, PayloadFormat.Text, ReadingFlags.None, Micros.None, default, "20.5"u8);
        var output = new ArrayBufferWriter<byte>();

        foreach (var record in new LogBlock(0, 0, 1, 1, batch.RecordsOf(0).ToArray()))
            PayloadView.WriteJson(record, output);

        Assert.Equal("""{"value":20.5}""", Encoding.UTF8.GetString(output.WrittenSpan));
    }

    /// <summary>Whatever lies in a record, the view is one JSON object on one line.</summary>
    [Fact]
    public void The_view_of_anything_is_a_JSON_object_on_one_line() =>
        Prop.ForAll<byte[], int>((payload, format) =>
        {
            var view = Decoded.View((PayloadFormat)(Math.Abs(format % 7) + 1), payload);
            using var document = JsonDocument.Parse(view);
            return document.RootElement.ValueKind == JsonValueKind.Object && !view.Contains('\n') && !view.Contains('\r');
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
}
