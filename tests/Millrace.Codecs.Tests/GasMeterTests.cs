using System.Text.Json;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

/// <summary>The published vectors of the meter payload, both ways of reading it.</summary>
public sealed class GasMeterTests
{
    private static readonly JsonElement Vectors =
        JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Vectors", "gas-meter.json"))).RootElement;

    public static TheoryData<string, string> Payloads()
    {
        var data = new TheoryData<string, string>();
        foreach (var variant in new[] { "standard", "article" })
        {
            foreach (var vector in Vectors.GetProperty(variant).EnumerateArray())
                data.Add(variant, vector.GetProperty("name").GetString()!);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Payloads))]
    public void A_payload_becomes_the_values_of_its_vector(string variant, string name)
    {
        var vector = Vectors.GetProperty(variant).EnumerateArray().Single(v => v.GetProperty("name").GetString() == name);
        var expected = vector.GetProperty("expect");

        var reading = Decoded.Json(Document(vector.GetProperty("payload").GetString()!), options: OptionsOf(variant));

        if (expected.TryGetProperty("error", out var error))
        {
            Assert.Equal(error.GetString(), reading.Reason.Name());
            return;
        }

        var user = JsonDocument.Parse(reading.View()).RootElement.GetProperty("userData");
        foreach (var member in expected.EnumerateObject())
        {
            var actual = user.GetProperty(member.Name);
            if (member.Value.ValueKind == JsonValueKind.Number)
                Assert.Equal(member.Value.GetDouble(), actual.GetDouble());
            else
                Assert.Equal(member.Value.GetString(), actual.GetString());
        }
    }

    [Fact]
    public void Whole_documents_become_the_objects_of_the_vectors()
    {
        foreach (var vector in Vectors.GetProperty("objects").EnumerateArray())
        {
            var reading = Decoded.Json(vector.GetProperty("input").GetRawText(), options: OptionsOf(vector.GetProperty("variant").GetString()!));

            Assert.Equal("ffffffffffffff01", reading.Id);
            Assert.Equal(1482290674_000_000, reading.DeviceTime);
            Assert.True(JsonElement.DeepEquals(vector.GetProperty("output"), JsonDocument.Parse(reading.View()).RootElement), reading.View());
        }
    }

    [Theory]
    [InlineData("AgEAD0JAAA7w4wAAUV0ABHYxLjA=", RejectReason.None)]
    [InlineData("_____________________3Y5Ljk", RejectReason.None)]
    [InlineData("/////////////////////3Y5Ljk", RejectReason.None)]
    [InlineData("\\/////////////////////3Y5Ljk", RejectReason.None)]
    [InlineData("AgEAD", RejectReason.Base64)]
    [InlineData("AgEAD0JAAA7w4wAAUV0ABHYxL!A", RejectReason.Base64)]
    [InlineData("AgEAD0JAAA7w4wAAUV0ABHYxLjA===", RejectReason.Base64)]
    [InlineData("AgEAD0JAAA7w4wAAUV0ABHYx LjA", RejectReason.Base64)]
    [InlineData("", RejectReason.Length)]
    [InlineData("AgEAD0JAAA7w4wAAUV0ABHYxLjAAAA", RejectReason.Length)]
    public void Base64_comes_padded_or_not_in_either_alphabet(string payload, RejectReason reason) =>
        Assert.Equal(reason, Decoded.Json(Document(payload)).Reason);

    [Fact]
    public void A_meter_document_without_gateways_has_the_time_of_arrival()
    {
        var reading = Decoded.Json("""{"gw":{"x":1},"app":{"moteeui":"m","userdata":{"payload":"AgEAD0JAAA7w4wAAUV0ABHYxLjA"},"gwrx":[]}}""");

        Assert.Equal(Micros.None, reading.DeviceTime);
        Assert.Equal(
            """{"originData":{"mote":null,"gw":{"x":1},"app":{"moteeui":"m","userdata":{"payload":"AgEAD0JAAA7w4wAAUV0ABHYxLjA"},"gwrx":[]}},"userData":{"type":2,"code":1,"bought":1000.0,"left":979.171,"used":20.829,"status":4,"version":"v1.0","time":"2026-01-15T12:00:00.000000Z"}}""",
            Decoded.View(reading.Format, reading.Payload, 1_768_478_400_000_000));
    }

    [Fact]
    public void A_gateway_clock_that_makes_no_sense_does_not_cost_the_reading()
    {
        var reading = Decoded.Json("""{"app":{"moteeui":"m","userdata":{"payload":"AgEAD0JAAA7w4wAAUV0ABHYxLjA"},"gwrx":[{"time":"yesterday"}]}}""");

        Assert.Equal((RejectReason.None, Micros.None), (reading.Reason, reading.DeviceTime));
        Assert.Contains("\"time\":\"yesterday\"}}", reading.View());
    }

    [Fact]
    public void A_decoded_document_is_a_plain_one_with_its_device_and_time()
    {
        var reading = Decoded.Json("""{"originData":{"app":{"moteeui":"ffffffffffffff01"}},"userData":{"left":4.5,"time":"2016-12-21T03:24:34Z"}}""");

        Assert.Equal(("ffffffffffffff01", 1482290674_000_000, PayloadFormat.Json), (reading.Id, reading.DeviceTime, reading.Format));
    }

    private static string Document(string payload) =>
        """{"app":{"moteeui":"ffffffffffffff01","userdata":{"payload":"?"}}}""".Replace("?", payload);

    private static DecoderOptions OptionsOf(string variant) =>
        new() { GasMeter = variant == "article" ? GasMeterVariant.Article : GasMeterVariant.Standard };
}
