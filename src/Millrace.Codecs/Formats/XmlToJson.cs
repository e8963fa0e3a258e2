using System.Buffers;
using System.Text;
using System.Xml;
using Millrace.Codecs.Json;
using Millrace.Core;

namespace Millrace.Codecs.Formats;

/// <summary>
/// XML as a JSON object (docs/formats/payloads.md): attributes and child elements are members by local name, repeated
/// names an array, an element of text alone that text or number, text beside them the member "value".
/// No DTD, no entities beyond XML's own five, nothing is ever fetched.
/// </summary>
internal static class XmlToJson
{
    /// <summary>Converts one document; on a refusal the output is to be thrown away.</summary>
    public static RejectReason Write(ReadOnlySpan<byte> xml, int depthMax, int fieldsMax, IBufferWriter<byte> output, out int errorAt)
    {
        errorAt = 0;
        var text = Encoding.UTF8.GetString(xml.StartsWith("\uFEFF"u8) ? xml[3..] : xml);
        var settings = new XmlReaderSettings
        {
            DtdProcessing = DtdProcessing.Prohibit,
            XmlResolver = null,
            MaxCharactersInDocument = text.Length,
            MaxCharactersFromEntities = 1024,
            IgnoreComments = true,
            IgnoreProcessingInstructions = true,
        };
        try
        {
            using var reader = XmlReader.Create(new StringReader(text), settings);
            var reason = Read(reader, depthMax, fieldsMax, out var root);
            if (reason == RejectReason.None)
                WriteObject(output, root!);
            return reason;
        }
        catch (XmlException e)
        {
            errorAt = OffsetOf(text, e.LineNumber, e.LinePosition);
            return RejectReason.InvalidXml;
        }
    }

    private static RejectReason Read(XmlReader reader, int depthMax, int fieldsMax, out Element? root)
    {
        root = null;
        var open = new Stack<Element>();
        var fields = 0;
        while (reader.Read())
        {
            switch (reader.NodeType)
            {
                case XmlNodeType.Element:
                    // The reader knows no depth limit of its own; ours keeps the writer's recursion short.
                    if (reader.Depth >= depthMax)
                        return RejectReason.TooDeep;
                    var element = new Element(reader.LocalName);
                    var empty = reader.IsEmptyElement;
                    fields += 1 + reader.AttributeCount;
                    if (fields > fieldsMax)
                        return RejectReason.TooManyFields;
                    TakeAttributes(reader, element);
                    root ??= element;
                    if (open.TryPeek(out var parent))
                        parent.Add(element);
                    if (!empty)
                        open.Push(element);
                    break;
                case XmlNodeType.EndElement:
                    open.Pop();
                    break;
                case XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.SignificantWhitespace when open.TryPeek(out var inside):
                    inside.Text.Append(reader.Value);
                    break;
            }
        }

        return root is null ? RejectReason.InvalidXml : RejectReason.None;
    }

    private static void TakeAttributes(XmlReader reader, Element element)
    {
        while (reader.MoveToNextAttribute())
        {
            if (reader.Prefix == "xmlns" || reader.Name == "xmlns")
                continue;
            var attribute = new Element(reader.LocalName);
            attribute.Text.Append(reader.Value);
            element.Add(attribute);
        }
    }

    private static void WriteObject(IBufferWriter<byte> output, Element element)
    {
        output.Write("{"u8);
        var text = element.Text.ToString().Trim();
        if (text.Length > 0)
        {
            var value = new Element("value");
            value.Text.Append(text);
            element.Add(value);
        }

        var first = true;
        foreach (var (name, members) in element.Members)
        {
            if (!first)
                output.Write(","u8);
            first = false;
            var utf8 = Encoding.UTF8.GetBytes(name);
            JsonText.WriteString(output, utf8);
            output.Write(":"u8);
            WriteMembers(output, utf8, members);
        }

        output.Write("}"u8);
    }

    private static void WriteMembers(IBufferWriter<byte> output, byte[] name, List<Element> members)
    {
        if (members.Count == 1)
        {
            WriteValue(output, name, members[0]);
            return;
        }

        output.Write("["u8);
        for (var i = 0; i < members.Count; i++)
        {
            if (i > 0)
                output.Write(","u8);
            WriteValue(output, name, members[i]);
        }

        output.Write("]"u8);
    }

    private static void WriteValue(IBufferWriter<byte> output, byte[] name, Element element)
    {
        if (element.Members.Count > 0)
            WriteObject(output, element);
        else
            ScalarText.Write(output, name, Encoding.UTF8.GetBytes(element.Text.ToString().Trim()));
    }

    private static int OffsetOf(string text, int line, int column)
    {
        var at = 0;
        for (var i = 1; i < line && text.IndexOf('\n', at) is var end and >= 0; i++)
            at = end + 1;
        return Encoding.UTF8.GetByteCount(text.AsSpan(0, Math.Clamp(at + column - 1, 0, text.Length)));
    }

    private sealed class Element(string name)
    {
        public string Name { get; } = name;

        public StringBuilder Text { get; } = new();

        /// <summary>Attributes and children by name, in the order in which each name first stood.</summary>
        public OrderedDictionary<string, List<Element>> Members { get; } = [];

        public void Add(Element member)
        {
            if (!Members.TryGetValue(member.Name, out var same))
                Members.Add(member.Name, same = []);
            same.Add(member);
        }
    }
}
