using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

public sealed class JsonElementsTests
{
    [Theory]
    [InlineData("{\"a\":1}", JsonLayout.Single, "{\"a\":1}")]
    [InlineData("\uFEFF\n {\n \"a\": \"}\\\"{\"\n}\n", JsonLayout.Single, "{\n \"a\": \"}\\\"{\"\n}")]
    [InlineData("[{\"a\":1} , {\"b\":[2,{}]},3]", JsonLayout.Array, "{\"a\":1}|{\"b\":[2,{}]}|3")]
    [InlineData("[]", JsonLayout.Array, "")]
    [InlineData(" [ ] \n", JsonLayout.Array, "")]
    [InlineData("{\"a\":1}\n{\"b\":2}", JsonLayout.Lines, "{\"a\":1}|{\"b\":2}")]
    [InlineData("{\"a\":1}\r\n\r\n {\"b\":2} \r\n", JsonLayout.Lines, "{\"a\":1}|{\"b\":2}")]
    [InlineData("{\"a\":\n{\"b\":2}\n{\"c\":3}", JsonLayout.Lines, "{\"a\":|{\"b\":2}|{\"c\":3}")]
    [InlineData("junk\n{\"b\":2}", JsonLayout.Lines, "junk|{\"b\":2}")]
    [InlineData("{\n \"a\": 1,\n \"b\"", JsonLayout.Single, "{\n \"a\": 1,\n \"b\"")]
    [InlineData("{\"a\":1} trailing", JsonLayout.Single, "{\"a\":1} trailing")]
    [InlineData("", JsonLayout.Single, "")]
    public void A_body_falls_into_its_elements(string body, JsonLayout layout, string elements)
    {
        var (actual, list) = Split(body);

        Assert.Equal((layout, elements), (actual, string.Join('|', list.Select(e => e.Text))));
        Assert.All(list, e => Assert.Equal(RejectReason.None, e.Fault));
        Assert.Equal(Enumerable.Range(0, list.Count), list.Select(e => e.Index));
    }

    [Theory]
    [InlineData("[{\"a\":1},{\"b\":2", 1, "{\"b\":2")]
    [InlineData("[{\"a\":1},", 1, "")]
    [InlineData("[{\"a\":1}", 0, "{\"a\":1}")]
    [InlineData("[{\"a\":1}{\"b\":2}]", 0, "{\"a\":1}{\"b\":2}]")]
    [InlineData("[{\"a\":1}] {\"b\":2}", 1, "{\"b\":2}")]
    [InlineData("[] 1", 0, "1")]
    [InlineData("[1,]", 1, "]")]
    [InlineData("[", 0, "")]
    [InlineData("[,1]", 0, ",1]")]
    public void A_broken_array_gives_what_is_whole_and_tells_from_where_it_is_not(string body, int whole, string rest)
    {
        var (_, list) = Split(body);

        Assert.Equal(whole, list.Count(e => e.Fault == RejectReason.None));
        Assert.Equal((RejectReason.InvalidJson, rest, whole), (list[^1].Fault, list[^1].Text, list[^1].Index));
        Assert.Equal(rest, body[list[^1].Offset..].Trim());
    }

    [Fact]
    public void Objects_survive_being_put_into_an_array_or_lines() =>
        Prop.ForAll(JsonGen.Object(3).NonEmptyListOf().ToArbitrary(), objects =>
        {
            var array = Split("[" + string.Join(" ,\n", objects) + "]").Elements.Select(e => e.Text);
            var lines = Split(string.Join("\n", objects) + "\n").Elements.Select(e => e.Text);
            return array.SequenceEqual(objects) && lines.SequenceEqual(objects);
        }).QuickCheckThrowOnFailure();

    /// <summary>A body of lines gives the same readings in one piece as line by line, bad lines included.</summary>
    [Fact]
    public void A_bad_line_does_not_stop_the_others() =>
        Prop.ForAll(
            Gen.OneOf(JsonGen.Object(2), Gen.Elements("{\"id\":\"m\"", "junk", "", "}", "[1", "\"", "{\"id\":\"m\"}{")).ListOf().ToArbitrary(),
            lines =>
            {
                var body = "{\"id\":\"first\"}\n" + string.Join("\n", lines);
                var expected = lines.Prepend("{\"id\":\"first\"}").Where(l => l.Trim().Length > 0).Select(l => Decoded.Json(l).Reason);
                var elements = Split(body).Elements;
                return elements.Select(e => Decoded.Json(e.Text).Reason).SequenceEqual(expected);
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void Arbitrary_bodies_end() =>
        Prop.ForAll<string>(body => Split(body ?? "").Elements.Count + Split("[" + body).Elements.Count >= 0).QuickCheckThrowOnFailure();

    [Fact]
    public void Splitting_allocates_nothing()
    {
        var body = Encoding.UTF8.GetBytes(string.Join("\n", Enumerable.Range(0, 500).Select(i => $$"""{"id":"m{{i}}","value":{{i}}}""")));
        Count(body);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Count(body);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Count(byte[] body)
        {
            var elements = new JsonElements(body);
            while (elements.MoveNext())
            {
            }
        }
    }

    private static (JsonLayout Layout, List<(string Text, int Index, int Offset, RejectReason Fault)> Elements) Split(string body)
    {
        var elements = new JsonElements(Encoding.UTF8.GetBytes(body));
        List<(string, int, int, RejectReason)> list = [];
        while (elements.MoveNext())
            list.Add((Encoding.UTF8.GetString(elements.Current), elements.Index, elements.Offset, elements.Fault));
        return (elements.Layout, list);
    }
}
