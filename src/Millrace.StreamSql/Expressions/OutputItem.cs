using System.Text;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Expressions;

/// <summary>One column of a result, or all fields of a record (<c>*</c>).</summary>
internal sealed class OutputItem
{
    // Column of the only source that the item copies; −1: its node computes it.
    private readonly int column;

    public OutputItem(string? name, Node node)
    {
        Name = name;
        Node = node;
        column = node is ColumnNode { Source: 0 } plain ? plain.Column : -1;
        if (name is not null)
        {
            var buffer = new JsonBuffer();
            buffer.AddString(Encoding.UTF8.GetBytes(name));
            buffer.Add((byte)':');
            Prefix = buffer.ToArray();
        }
    }

    /// <summary>Column name; null spreads the fields of a record.</summary>
    public string? Name { get; }

    public Node Node { get; }

    /// <summary>The name as JSON, with its colon.</summary>
    public byte[] Prefix { get; } = [];

    /// <summary>Names that a spread leaves out: columns written elsewhere in the row that win over the record's fields.</summary>
    public byte[][] Except { get; set; } = [];

    /// <summary>Stars behind this item: where their record has a field of the same name, that one wins.</summary>
    public Node[] LaterSpreads { get; set; } = [];

    /// <summary>Writes the row as an object.</summary>
    public static void Write(JsonBuffer target, OutputItem[] items, Frame frame, bool writeNulls)
    {
        target.Add((byte)'{');
        var first = true;
        foreach (var item in items)
        {
            if (item.column >= 0 && item.Name is not null && writeNulls && item.LaterSpreads.Length == 0)
            {
                target.AddMember(item.Prefix, first, frame.Sources[0].Columns[item.column]);
                first = false;
                continue;
            }

            item.Node.Evaluate(frame, out var value);
            if (item.Name is null)
            {
                if (value.Kind == Kind.Record)
                    Spread(target, value, item, frame, ref first);
                continue;
            }

            if ((value.IsNull && !writeNulls) || (item.LaterSpreads.Length > 0 && IsOverruled(Encoding.UTF8.GetBytes(item.Name), item, frame)))
                continue;
            if (!first)
                target.Add((byte)',');
            first = false;
            target.Add(item.Prefix);
            target.Add(value);
        }

        target.Add((byte)'}');
    }

    /// <summary>Copies the fields of a record behind what is written already.</summary>
    private static void Spread(JsonBuffer target, in Value record, OutputItem item, Frame frame, ref bool first)
    {
        if (item.Except.Length == 0 && item.LaterSpreads.Length == 0)
        {
            var inside = record.Span[1..^1].Trim(" \n\r\t"u8);
            if (inside.Length == 0)
                return;
            if (!first)
                target.Add((byte)',');
            first = false;
            target.Add(inside);
            return;
        }

        var fields = new FieldEnumerator(record);
        while (fields.MoveNext())
        {
            if (IsExcepted(fields.Name, item.Except) || IsOverruled(fields.Name, item, frame))
                continue;
            if (!first)
                target.Add((byte)',');
            first = false;
            target.Add((byte)'"');
            target.Add(fields.RawName);
            target.Add("\":"u8);
            target.Add(fields.Value);
        }
    }

    private static bool IsExcepted(ReadOnlySpan<byte> name, byte[][] except)
    {
        foreach (var candidate in except)
        {
            if (JsonText.EqualsIgnoringCase(name, candidate, Ascii.IsValid(candidate)))
                return true;
        }

        return false;
    }

    private static bool IsOverruled(ReadOnlySpan<byte> name, OutputItem item, Frame frame)
    {
        foreach (var spread in item.LaterSpreads)
        {
            spread.Evaluate(frame, out var record);
            if (record.Kind == Kind.Record && JsonText.TryGetField(record, name, out _))
                return true;
        }

        return false;
    }

    /// <summary>The row's columns by name, stars taken apart; for outputs with typed columns.</summary>
    public static void Read(OutputItem[] items, Frame frame, List<(string Name, Value Value)> target)
    {
        target.Clear();
        foreach (var item in items)
        {
            item.Node.Evaluate(frame, out var value);
            if (item.Name is not null)
            {
                if (item.LaterSpreads.Length == 0 || !IsOverruled(Encoding.UTF8.GetBytes(item.Name), item, frame))
                    target.Add((item.Name, value));
                continue;
            }

            if (value.Kind != Kind.Record)
                continue;
            var fields = new FieldEnumerator(value);
            while (fields.MoveNext())
            {
                if (!IsExcepted(fields.Name, item.Except) && !IsOverruled(fields.Name, item, frame))
                    target.Add((Encoding.UTF8.GetString(fields.Name), fields.Value));
            }
        }
    }
}
