using System.Globalization;
using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

public sealed class JsonDecodingTests
{
    [Theory]
    [InlineData("""{"id":"m1","deviceId":"m2","app":{"moteeui":"m4"},"originData":{"app":{"moteeui":"m3"}}}""", "m1")]
    [InlineData("""{"app":{"moteeui":"m4"},"originData":{"app":{"moteeui":"m3"}},"deviceId":"m2"}""", "m2")]
    [InlineData("""{"app":{"moteeui":"m4"},"originData":{"app":{"moteeui":"m3"}}}""", "m3")]
    [InlineData("""{"app":{"moteeui":"m4"},"userData":{"id":"no"}}""", "m4")]
    [InlineData("""{"id":null,"deviceId":"m2"}""", "m2")]
    [InlineData("""{"id":"a\u0062c\/d"}""", "abc/d")]
    [InlineData("""{"\u0069d":"escaped name"}""", "escaped name")]
    [InlineData("""{"id":"zz' OR '1'='1"}""", "zz' OR '1'='1")]
    [InlineData("""{"id":490154203237518}""", "490154203237518")]
    [InlineData("""{"id":-7}""", "-7")]
    [InlineData("""{"id":7.0}""", "7")]
    [InlineData("""{"id":70e-1}""", "7")]
    [InlineData("""{"id":1.25e3}""", "1250")]
    [InlineData("""{"id":0.050}""", "0.05")]
    [InlineData("""{"id":-0}""", "0")]
    public void The_device_is_the_first_name_found(string json, string id) =>
        Assert.Equal((RejectReason.None, id), (Decoded.Json(json).Reason, Decoded.Json(json).Id));

    [Fact]
    public void An_established_device_counts_and_not_what_the_payload_says()
    {
        var reading = Decoded.Json("""{"id":{"any":"thing"},"value":1}""", "known");

        Assert.Equal((RejectReason.None, "known", """{"id":{"any":"thing"},"value":1}"""), (reading.Reason, reading.Id, reading.Payload));
    }

    [Theory]
    [InlineData("", RejectReason.EmptyPayload)]
    [InlineData(" \r\n", RejectReason.EmptyPayload)]
    [InlineData("{}", RejectReason.MissingDevice)]
    [InlineData("""{"id":null}""", RejectReason.MissingDevice)]
    [InlineData("""{"id":""}""", RejectReason.BadDeviceId)]
    [InlineData("""{"id":true}""", RejectReason.BadDeviceId)]
    [InlineData("""{"id":["m1"]}""", RejectReason.BadDeviceId)]
    [InlineData("""{"id":"a\nb"}""", RejectReason.BadDeviceId)]
    [InlineData("""{"id":1e200}""", RejectReason.BadDeviceId)]
    [InlineData("""{"id":1e99999999999}""", RejectReason.BadDeviceId)]
    [InlineData("[1]", RejectReason.NotAnObject)]
    [InlineData("\"m1\"", RejectReason.NotAnObject)]
    [InlineData("17", RejectReason.NotAnObject)]
    [InlineData("null", RejectReason.NotAnObject)]
    [InlineData("""{"id":"m","v":NaN}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":Infinity}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":01}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":1.}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":+1}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":1,}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":[1,]}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m" "v":1}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m"} x""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m"}{"id":"n"}""", RejectReason.InvalidJson)]
    [InlineData("""{'id':'m'}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":"\x"}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":"\ud800"}""", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":"\udc00\ud800"}""", RejectReason.InvalidJson)]
    [InlineData("{\"id\":\"m\",\"v\":\"a\nb\"}", RejectReason.InvalidJson)]
    [InlineData("""{"id":"m","v":1,"v":2}""", RejectReason.DuplicateKey)]
    [InlineData("""{"id":"m","a":{"v":1,"\u0076":2}}""", RejectReason.DuplicateKey)]
    [InlineData("""{"id":"m","id":"m"}""", RejectReason.DuplicateKey)]
    [InlineData("""{"id":"m","time":"noon"}""", RejectReason.InvalidTime)]
    [InlineData("""{"id":"m","ts":[1]}""", RejectReason.InvalidTime)]
    [InlineData("""{"id":"m","timestamp":1e300}""", RejectReason.InvalidTime)]
    public void What_is_no_reading_is_refused_with_its_reason(string json, RejectReason reason) =>
        Assert.Equal(reason, Decoded.Json(json).Reason);

    [Fact]
    public void A_document_cut_anywhere_is_refused()
    {
        const string Whole = """{"id":"m1","a":[1,{"b":"\u00e9\n"},true,null,-1.5e-3],"time":"2026-01-15T12:00:00Z"}""";
        Assert.Equal(RejectReason.None, Decoded.Json(Whole).Reason);

        for (var length = 1; length < Whole.Length; length++)
            Assert.Equal((length, RejectReason.InvalidJson), (length, Decoded.Json(Whole[..length]).Reason));
    }

    [Fact]
    public void Invalid_UTF8_is_refused() =>
        Assert.Equal(RejectReason.InvalidUtf8, Decoded.Json([.. "{\"id\":\"m\",\"v\":\""u8, 0xFF, .. "\"}"u8]).Reason);

    [Fact]
    public void Bounds_are_kept_exactly()
    {
        var options = new DecoderOptions { PayloadBytesMax = 100, DepthMax = 3, FieldsMax = 2 };
        Assert.Equal(RejectReason.None, Decoded.Json("""{"id":"m","v":""" + new string('1', 85) + "}", options: options).Reason);
        Assert.Equal(RejectReason.TooLarge, Decoded.Json("""{"id":"m","v":""" + new string('1', 86) + "}", options: options).Reason);
        Assert.Equal(RejectReason.None, Decoded.Json("""{"id":"m","v":[[1]]}""", options: options).Reason);
        Assert.Equal(RejectReason.TooDeep, Decoded.Json("""{"id":"m","v":[[[1]]]}""", options: options).Reason);
        Assert.Equal(RejectReason.TooManyFields, Decoded.Json("""{"id":"m","v":1,"w":1}""", options: options).Reason);
    }

    [Fact]
    public void A_hundred_thousand_brackets_are_refused_and_do_no_harm() =>
        Assert.Equal(RejectReason.TooDeep, Decoded.Json("""{"id":"m","v":""" + new string('[', 100_000)).Reason);

    [Fact]
    public void Where_it_went_wrong_is_told()
    {
        var broken = Decoded.Json("""{"id":"m","v":nan}""");

        Assert.Equal("not JSON at byte 14", new Decoder(new DecoderOptions()).Describe(broken.Reason, broken.ErrorAt));
    }

    [Fact]
    public void A_payload_stays_as_received_without_the_white_space_around_it()
    {
        var reading = Decoded.Json("\uFEFF \n{ \"id\" : \"m\",\r\n\t\"v\": 1.50 }\n");

        Assert.Equal("{ \"id\" : \"m\",\r\n\t\"v\": 1.50 }", reading.Payload);
        Assert.Equal("{ \"id\" : \"m\",  \t\"v\": 1.50 }", reading.View());
    }

    [Fact]
    public void Decoding_allocates_nothing()
    {
        var decoder = new Decoder(new DecoderOptions());
        var id = new byte[Decoder.IdBufferBytes];
        var readings = new[]
        {
            """{"id":"meter-1","time":"2026-01-15T12:00:00Z","value":20.5,"nested":{"a":[1,2,{"b":"\u00e9"}]}}""",
            """{"deviceId":17,"ts":1768478400123,"value":20.5}""",
            """{"app":{"moteeui":"ffffffffffffff01","userdata":{"payload":"AgEAD0JAAA7w4wAAUV0ABHYxLjA"},"gwrx":[{"time":"2016-12-21T03:24:34Z"}]}}""",
            """{"id":"broken","v":}""",
        }.Select(Encoding.UTF8.GetBytes).ToArray();
        Run();

        var before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run()
        {
            for (var i = 0; i < 1000; i++)
            {
                foreach (var reading in readings)
                    decoder.Json(reading, default, id, out _);
            }
        }
    }

    /// <summary>The library's own reader, told to be as strict, is the judge of what is JSON.</summary>
    [Fact]
    public void Documents_are_accepted_and_refused_as_the_library_does() =>
        Prop.ForAll(Mutated().ToArbitrary(), json =>
        {
            var bytes = Encoding.UTF8.GetBytes(json);
            var ours = Decoded.Json(bytes, "m").Reason;
            var accepted = ours is RejectReason.None or RejectReason.InvalidTime or RejectReason.Base64 or RejectReason.Length;
            return (accepted == AcceptedByLibrary(bytes)).Label($"{json} → {ours}");
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000).WithEndSize(60));

    [Fact]
    public void Arbitrary_bytes_never_throw() =>
        Prop.ForAll<byte[]>(bytes =>
        {
            _ = Decoded.Json(bytes);
            _ = Decoded.Line(bytes);
            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));

    private static bool AcceptedByLibrary(byte[] json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 64, AllowDuplicateProperties = false });
            return document.RootElement.ValueKind == JsonValueKind.Object && EveryStringHasText(document.RootElement);
        }
        catch (JsonException)
        {
            return false;
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate in a property name.
            return false;
        }
    }

    private static bool EveryStringHasText(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().All(p => p.Name is not null && EveryStringHasText(p.Value)),
        JsonValueKind.Array => element.EnumerateArray().All(EveryStringHasText),
        JsonValueKind.String => element.GetString() is not null,
        _ => true,
    };

    /// <summary>Objects, most of them with a byte or two changed, dropped or doubled.</summary>
    private static Gen<string> Mutated() =>
        from json in JsonGen.Object(3)
        from edits in Gen.Choose(0, 2)
        from seed in Gen.Choose(0, int.MaxValue)
        select Mutate(json, edits, new Random(seed));

    private static string Mutate(string json, int edits, Random random)
    {
        const string Spice = "{}[]\",:\\0123456789.eE+-tfnu \n";
        for (var i = 0; i < edits && json.Length > 0; i++)
        {
            var at = random.Next(json.Length);
            json = random.Next(3) switch
            {
                0 => json.Remove(at, 1),
                1 => json.Insert(at, Spice[random.Next(Spice.Length)].ToString(CultureInfo.InvariantCulture)),
                _ => json.Remove(at, 1).Insert(at, Spice[random.Next(Spice.Length)].ToString(CultureInfo.InvariantCulture)),
            };
        }

        return json;
    }
}
