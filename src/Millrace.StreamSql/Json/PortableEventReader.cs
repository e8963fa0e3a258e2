using System.Text.Json;
using System.Text.Unicode;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Json;

/// <summary>
/// <see cref="EventReader"/> on top of <see cref="Utf8JsonReader"/>: for processors without vector instructions, and what
/// the tests compare the fast reader with.
/// </summary>
internal static class PortableEventReader
{
    public static bool TryRead(byte[] buffer, int length, PathTree paths, Value[] slots)
    {
        Array.Clear(slots, 0, paths.SlotCount);
        if (!Utf8.IsValid(buffer.AsSpan(0, length)))
            return false;
        try
        {
            var reader = new Utf8JsonReader(buffer.AsSpan(0, length), new JsonReaderOptions { MaxDepth = EventReader.DepthMax });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                return false;
            var start = (int)reader.TokenStartIndex;
            ReadObject(ref reader, buffer, slots, paths.Root);
            if (paths.Root.Slot >= 0)
                slots[paths.Root.Slot] = Value.Slice(Kind.Record, buffer, start, (int)reader.BytesConsumed - start);
            return !reader.Read();
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static void ReadObject(ref Utf8JsonReader reader, byte[] buffer, Value[] slots, PathNode? wanted)
    {
        var spelling = new byte[wanted?.Children.Length ?? 0];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var raw = reader.ValueSpan;
            var name = reader.ValueIsEscaped ? JsonText.Unescape(raw) : raw;
            var matches = new List<PathNode>();
            for (var index = 0; index < spelling.Length; index++)
            {
                var child = wanted!.Children[index];
                if (name.SequenceEqual(child.Name))
                {
                    if (spelling[index] != 0)
                        Forget(child, slots);
                    spelling[index] = 2;
                    matches.Add(child);
                }
                else if (spelling[index] == 0 && JsonText.EqualsIgnoringCase(name, child.Name, child.IsAscii))
                {
                    spelling[index] = 1;
                    matches.Add(child);
                }
            }

            reader.Read();
            var copy = reader;
            foreach (var child in matches)
            {
                copy = reader;
                ReadValue(ref copy, buffer, slots, child);
            }

            reader.Skip();
        }
    }

    private static void ReadValue(ref Utf8JsonReader reader, byte[] buffer, Value[] slots, PathNode child)
    {
        var start = (int)reader.TokenStartIndex;
        var value = Value.Null;
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                if (child.Children.Length > 0)
                    ReadObject(ref reader, buffer, slots, child);
                else
                    reader.Skip();
                value = Value.Slice(Kind.Record, buffer, start, (int)reader.BytesConsumed - start);
                break;
            case JsonTokenType.StartArray:
                reader.Skip();
                value = Value.Slice(Kind.Array, buffer, start, (int)reader.BytesConsumed - start);
                break;
            case JsonTokenType.String:
                var kind = reader.ValueIsEscaped ? Kind.EscapedText : Kind.Text;
                value = Value.Slice(kind, buffer, start + 1, reader.ValueSpan.Length);
                break;
            case JsonTokenType.Number:
                value = Value.Slice(Kind.NumberText, buffer, start, reader.ValueSpan.Length);
                break;
            case JsonTokenType.True or JsonTokenType.False:
                value = Value.Of(reader.TokenType == JsonTokenType.True);
                break;
        }

        if (child.Slot >= 0)
            slots[child.Slot] = value;
    }

    private static void Forget(PathNode node, Value[] slots)
    {
        if (node.Slot >= 0)
            slots[node.Slot] = default;
        foreach (var child in node.Children)
            Forget(child, slots);
    }
}
