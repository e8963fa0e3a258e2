using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

public sealed class TextLineTests
{
    [Theory]
    [InlineData("AABB01:20", "AABB01", """{"value":20}""")]
    [InlineData("a.b_c-1:-20.50", "a.b_c-1", """{"value":-20.50}""")]
    [InlineData("m: 21.5 ", "m", """{"value":21.5}""")]
    [InlineData("m:1e3", "m", """{"value":1e3}""")]
    [InlineData("m:12345678901234567890.123456789", "m", """{"value":12345678901234567890.123456789}""")]
    [InlineData("m:007", "m", """{"value":"007"}""")]
    [InlineData("m:+5", "m", """{"value":"+5"}""")]
    [InlineData("m:NaN", "m", """{"value":"NaN"}""")]
    [InlineData("m:open", "m", """{"value":"open"}""")]
    [InlineData("m:a:b:c", "m", """{"value":"a:b:c"}""")]
    [InlineData("m: two words ", "m", """{"value":" two words "}""")]
    [InlineData("m:say \"hi\"\\\t", "m", """{"value":"say \"hi\"\\\t"}""")]
    [InlineData("m:é😀", "m", """{"value":"é😀"}""")]
    [InlineData("m:true", "m", """{"value":"true"}""")]
    [InlineData("m:[1,2]", "m", """{"value":"[1,2]"}""")]
    [InlineData("m:{\"t\":1.50}", "m", """{"t":1.50}""")]
    [InlineData("m: {\"id\":\"other\",\"t\":1} ", "m", """{"id":"other","t":1}""")]
    [InlineData("m:{\"t\":NaN}", "m", """{"value":"{\"t\":NaN}"}""")]
    [InlineData("m:20.5\0\0", "m", """{"value":20.5}""")]
    [InlineData("m:2\u00000", "m", """{"value":"2\u00000"}""")]
    public void A_line_is_an_id_and_a_number_an_object_or_text(string line, string id, string view)
    {
        var reading = Decoded.Line(line);

        Assert.Equal((RejectReason.None, id), (reading.Reason, reading.Id));
        Assert.Equal(view, reading.View());
    }

    [Theory]
    [InlineData("", RejectReason.EmptyPayload)]
    [InlineData("  ", RejectReason.EmptyPayload)]
    [InlineData("m", RejectReason.MissingSeparator)]
    [InlineData(":1", RejectReason.BadDeviceId)]
    [InlineData(" m:1", RejectReason.BadDeviceId)]
    [InlineData("m m:1", RejectReason.BadDeviceId)]
    [InlineData("mé:1", RejectReason.BadDeviceId)]
    [InlineData("m/1:1", RejectReason.BadDeviceId)]
    [InlineData("m:", RejectReason.EmptyPayload)]
    [InlineData("m:  ", RejectReason.EmptyPayload)]
    [InlineData("m:{\"a\":1,\"a\":2}", RejectReason.DuplicateKey)]
    [InlineData("m:{\"time\":\"soon\"}", RejectReason.InvalidTime)]
    public void A_line_that_is_no_reading_is_refused_with_its_reason(string line, RejectReason reason) =>
        Assert.Equal(reason, Decoded.Line(line).Reason);

    [Fact]
    public void An_id_has_at_most_128_characters()
    {
        Assert.Equal(RejectReason.None, Decoded.Line(new string('m', 128) + ":1").Reason);
        Assert.Equal(RejectReason.BadDeviceId, Decoded.Line(new string('m', 129) + ":1").Reason);
    }

    [Fact]
    public void A_value_has_a_bound_and_must_be_UTF8()
    {
        var options = new DecoderOptions { PayloadBytesMax = 64 };
        Assert.Equal(RejectReason.None, Decoded.Line(Encoding.ASCII.GetBytes("m:" + new string('x', 64)), options).Reason);
        Assert.Equal(RejectReason.TooLarge, Decoded.Line(Encoding.ASCII.GetBytes("m:" + new string('x', 65)), options).Reason);
        Assert.Equal(RejectReason.InvalidUtf8, Decoded.Line([(byte)'m', (byte)':', 0xC3, 0x28]).Reason);
    }

    [Fact]
    public void An_object_brings_its_device_time()
    {
        var reading = Decoded.Line("m:{\"time\":\"2026-01-15T12:00:00Z\",\"v\":1}");

        Assert.Equal((1_768_478_400_000_000, PayloadFormat.Json), (reading.DeviceTime, reading.Format));
    }

    [Fact]
    public void Numbers_keep_every_digit_they_came_with() =>
        Prop.ForAll(JsonGen.Number().ToArbitrary(), number =>
            Decoded.Line("m:" + number).View() == $$"""{"value":{{number}}}""").QuickCheckThrowOnFailure();

    [Fact]
    public void Any_text_comes_back_as_it_was_sent() =>
        Prop.ForAll<NonEmptyString>(text =>
        {
            // Lone surrogates are not text; NUL at the end falls away by design.
            var value = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes("x" + text.Get + "x"));
            var reading = Decoded.Line("m:" + value);
            return JsonDocument.Parse(reading.View()).RootElement.GetProperty("value").GetString() == value;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Decoding_allocates_nothing()
    {
        var decoder = new Decoder(new DecoderOptions());
        byte[][] lines = ["AABB01:20.5"u8.ToArray(), "m:open"u8.ToArray(), "m:{\"a\":1}"u8.ToArray(), "junk"u8.ToArray()];
        Run();

        var before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run()
        {
            for (var i = 0; i < 1000; i++)
            {
                foreach (var line in lines)
                    decoder.TextLine(line, out _);
            }
        }
    }
}
