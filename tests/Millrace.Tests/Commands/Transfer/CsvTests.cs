using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using Millrace.Commands.Transfer;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Tests.Commands.Transfer;

public sealed class CsvTests
{
    [Theory]
    [InlineData("""{"v":"12"}""")]
    [InlineData("""{"v":12}""")]
    [InlineData("""{"v":"true"}""")]
    [InlineData("""{"v":true,"w":false}""")]
    [InlineData("""{"v":""}""")]
    [InlineData("""{"w":"only"}""")]
    [InlineData("""{"v":"one\r\ntwo\rthree\nfour\r\n","w":"\n"}""")]
    [InlineData("""{"v":"a \"quoted\", word","w":-1.5e-7}""")]
    [InlineData("""{"v":" spaces ","w":"007"}""")]
    public void Chosen_members_come_back_as_they_were(string payload)
    {
        foreach (var id in new[] { "meter-1", "12", "true", "007" })
            Assert.True(JsonNode.DeepEquals(JsonNode.Parse(payload), ThereAndBack(id, payload, ["v", "w"], out var returned)) && returned == id, payload);
    }

    [Fact]
    public void A_line_that_ends_where_the_buffer_does_is_one_line()
    {
        using var folder = new TempFolder();
        for (var length = (16 << 10) - 12; length < (16 << 10) + 3; length++)
        {
            File.WriteAllText(folder["a.csv"], $"id,v\r\n\"m\",\"{new string('x', length - 8)}\"\r\n\"n\",\"\r\n\"\r\n");
            using var records = new CsvRecords(folder["a.csv"]);
            var all = new List<(long, string)>();
            while (records.MoveNext())
                all.Add((records.Line, records.Fields[1].Text));
            Assert.Equal([(1, "v"), (2, new string('x', length - 8)), (3, "\r\n")], all);
        }
    }

    private static JsonNode ThereAndBack(string device, string payload, string[] fields, out string id)
    {
        var (name, json) = (Encoding.UTF8.GetBytes(device), Encoding.UTF8.GetBytes(payload));
        var bytes = new byte[ReadingRecord.Measure(name.Length, 0, json.Length)];
        ReadingRecord.Write(bytes, 0, name, ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, 1_768_478_400_000_000, [], json);
        var output = new ArrayBufferWriter<byte>();
        var line = new CsvLine(fields);
        output.Write(Encoding.UTF8.GetBytes(line.Header));
        foreach (var record in new LogBlock(0, 0, 1, 1_768_478_400_000_000, bytes))
        {
            line.Write(record, 0, output);
            output.Write("\n"u8);
        }

        using var folder = new TempFolder();
        File.WriteAllBytes(folder["a.csv"], output.WrittenSpan);
        var row = Assert.Single(RowSources.Open(folder["a.csv"], "csv", new RowMapping(null, null)));
        Assert.Null(row.Fault);
        var read = JsonNode.Parse(row.Json)!.AsObject();
        id = (string)read["id"]!;
        read.Remove("id");
        read.Remove("time");
        return read;
    }
}
