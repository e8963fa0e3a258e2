using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Millrace.History.Archive;

namespace Millrace.History.Tests.Archive;

public sealed class PayloadTests
{
    [Fact]
    public void Any_payload_comes_back_equal_as_a_json_value()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var columns = new ColumnSet();
            var splitter = new PayloadSplitter(columns);
            for (var i = 0; i < 6; i++)
            {
                var json = RandomObject(random, 0);
                var back = RoundTrip(splitter, json);
                Assert.True(JsonElement.DeepEquals(Parse(json), Parse(back)), $"{json}\nbecame\n{back}");
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1500));
    }

    [Theory]
    [InlineData("""{"used":20.829,"on":true,"note":"ok"}""", "used on note", "")]
    [InlineData("""{"userData":{"used":1,"deep":{"x":2}}}""", "userData.used userData.deep.x", "")]
    [InlineData("""{"time":1,"Time":2,"date":3}""", "time% date%", """{"Time":2}""")]
    [InlineData("""{"a.b":1,"c%":2}""", "a%2Eb c%25", "")]
    [InlineData("""{"n":9007199254740993,"m":9007199254740992}""", "m", """{"n":9007199254740993}""")]
    [InlineData("""{"a":[1,2],"b":null,"c":{},"d":5}""", "d", """{"a":[1,2],"b":null,"c":{}}""")]
    [InlineData("""{"a":1,"a":2}""", "", """{"a":1,"a":2}""")]
    [InlineData("""{"a":1,"s":"\ud800"}""", "", """{"a":1,"s":"\ud800"}""")]
    [InlineData("""{"o":{"x":1,"y":[]},"z":1e400}""", "o.x", """{"o":{"y":[]},"z":1e400}""")]
    [InlineData("""{"":1,"k":{"":2}}""", "", """{"":1,"k":{"":2}}""")]
    public void What_has_no_column_stays_in_the_rest(string json, string expectedColumns, string expectedRest)
    {
        var splitter = new PayloadSplitter(new ColumnSet());
        splitter.Split(Encoding.UTF8.GetBytes(json));

        Assert.Equal(expectedColumns, string.Join(' ', splitter.Values.Select(value => value.Column)));
        Assert.Equal(expectedRest, Encoding.UTF8.GetString(splitter.Rest));
    }

    [Fact]
    public void A_column_never_changes_its_type()
    {
        var splitter = new PayloadSplitter(new ColumnSet());
        splitter.Split("""{"v":1}"""u8);
        splitter.Split("""{"v":"on"}"""u8);

        Assert.Empty(splitter.Values);
        Assert.Equal("""{"v":"on"}""", Encoding.UTF8.GetString(splitter.Rest));
    }

    [Fact]
    public void Ten_thousand_names_make_a_thousand_columns_and_the_others_stay_in_the_rest()
    {
        var columns = new ColumnSet();
        var splitter = new PayloadSplitter(columns);
        for (var i = 0; i < 10_000; i++)
        {
            var json = $$"""{"field{{i}}":{{i}}}""";
            Assert.Equal(json, RoundTrip(splitter, json));
        }

        Assert.Equal(ColumnSet.ColumnsMax, columns.Kinds.Count);
        Assert.Equal(9000, columns.Refused);
    }

    [Theory]
    [InlineData("1", true)]
    [InlineData("-0.10", true)]
    [InlineData("123456789012345", true)]
    [InlineData("9007199254740993", false)]
    [InlineData("1e3", true)]
    [InlineData("1.7976931348623157E308", true)]
    [InlineData("1e309", false)]
    [InlineData("0.1000000000000000055511151231257827", false)]
    [InlineData("4.9E-324", false)]
    [InlineData("5E-324", true)]
    [InlineData("1e99999999999", false)]
    public void Only_numbers_that_a_double_gives_back_digit_for_digit_become_one(string json, bool fits) =>
        Assert.Equal(fits, ExactNumbers.TryToDouble(Encoding.ASCII.GetBytes(json), out _));

    private static string RoundTrip(PayloadSplitter splitter, string json)
    {
        splitter.Split(Encoding.UTF8.GetBytes(json));
        var output = new ArrayBufferWriter<byte>();
        PayloadJoiner.Write(splitter.Values, splitter.Rest, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    private static JsonElement Parse(string json) => JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 300 }).RootElement;

    private static string RandomObject(Random random, int depth)
    {
        string[] names = ["used", "left", "time", "Used", "a.b", "100%", "rest", "x", "žár", "with \\\"quote", "\\u0041", "nested"];
        var members = names.OrderBy(_ => random.Next()).Take(random.Next(0, 7)).Select(name => $"\"{name}\":{RandomValue(random, depth)}");
        return "{" + string.Join(random.Next(2) == 0 ? "," : " , ", members) + "}";
    }

    private static string RandomValue(Random random, int depth) => random.Next(depth > 17 ? 9 : 12) switch
    {
        0 => random.Next(-1000, 1000).ToString(CultureInfo.InvariantCulture),
        1 => (random.Next() * 0.001).ToString("R", CultureInfo.InvariantCulture),
        2 => random.NextInt64().ToString(CultureInfo.InvariantCulture),
        3 => random.Next(2) == 0 ? "1.50" : "12e-1",
        4 => "true",
        5 => "null",
        6 => "\"text\"",
        7 => "\"\\u00e9\\n\\\"\"",
        8 => "[1,{\"a\":null}]",
        _ => RandomObject(random, depth + 1),
    };
}
