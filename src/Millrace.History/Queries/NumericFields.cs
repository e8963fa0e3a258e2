using System.Buffers.Text;
using System.Text.Json;
using Millrace.History.Archive;
using Millrace.History.Payloads;
using Millrace.History.Rollups;

namespace Millrace.History.Queries;

/// <summary>
/// Finds the numbers of payloads by the names that their columns have in the archive. Hot: payloads of a known layout are not looked into but for
/// their values; in others names are known by their place in a tree of members. Not for several threads.
/// </summary>
/// <param name="namesMax">Beyond it a sender invents names: further ones are passed over and counted.</param>
internal sealed class NumericFields(int namesMax = NumericFields.NamesMax)
{
    /// <summary>As many as the archive has columns.</summary>
    public const int NamesMax = 1000;

    private const int DepthMax = 16;
    private const int Unmet = -3;
    private const int Passed = -2;
    private const int Full = -1;

    /// <summary>Where a reading says its own time: nothing that anybody wants the average of.</summary>
    private static readonly HashSet<string> Times = new(StringComparer.Ordinal) { "time%", "timestamp", "ts", "userData.time" };

    /// <summary>Members looked at one by one before the name is looked up.</summary>
    private const int Looks = 8;

    private readonly Node _root = new("", []);
    private readonly List<string> _names = [];
    private readonly Dictionary<string, int> _numbers = new(StringComparer.Ordinal);

    /// <summary>Of each member the number of its field, or <see cref="Passed"/>.</summary>
    private readonly PayloadLayouts<int> _layouts = new();

    private int _nodes;

    /// <summary>The numbers of the last payload: which field, and its value.</summary>
    public List<(int Field, double Value)> Values { get; } = [];

    /// <summary>The fields' names by their numbers.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>Values whose name found no room.</summary>
    public long Refused { get; private set; }

    /// <summary>Whether a reading says its own time there.</summary>
    public static bool IsTime(string column) => Times.Contains(column);

    /// <summary>The number of a name; −1 when there is no more room.</summary>
    public int NumberOf(string name)
    {
        if (_numbers.TryGetValue(name, out var number))
            return number;
        if (_names.Count >= namesMax)
            return Full;

        _names.Add(name);
        _numbers.Add(name, _names.Count - 1);
        return _names.Count - 1;
    }

    public int? Find(string name) => _numbers.TryGetValue(name, out var number) ? number : null;

    /// <param name="json">One JSON object, checked when it was taken in.</param>
    public void Read(ReadOnlySpan<byte> json)
    {
        Values.Clear();
        var sink = new Sink(this);
        if (_layouts.TryRead(json, ref sink))
            return;

        _layouts.BeginLearning();
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 256 });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                return;

            ReadObject(ref reader, _root, 1);
            _layouts.Learn(json);
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)
        {
            // An escape that is half a character: the archive keeps such a payload whole, and no number of it counts.
            Values.Clear();
        }
    }

    private void ReadObject(ref Utf8JsonReader reader, Node node, int depth)
    {
        var expected = 0;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var member = Member(ref reader, node, ref expected);
            reader.Read();
            switch (reader.TokenType)
            {
                case JsonTokenType.Number:
                    Take(ref reader, member);
                    break;
                case JsonTokenType.StartObject when member is not null && depth < DepthMax:
                    ReadObject(ref reader, member, depth + 1);
                    break;
                case JsonTokenType.StartObject or JsonTokenType.StartArray:
                    _layouts.StopLearning();
                    reader.Skip();
                    break;
                case JsonTokenType.String when reader.ValueIsEscaped:
                    _layouts.StopLearning();
                    break;
                default:
                    Saw(reader, Passed);
                    break;
            }
        }
    }

    private void Take(ref Utf8JsonReader reader, Node? member)
    {
        if (!reader.TryGetDouble(out var value) || !ExactSum.Accepts(value))
        {
            _layouts.StopLearning();
            return;
        }

        if (member is { Field: Unmet })
            member.Field = Times.Contains(member.Column) ? Passed : member.Column.Length > FieldNames.LengthMax ? Full : NumberOf(member.Column);
        if (member is { Field: >= 0 })
            Values.Add((member.Field, value));
        else if (member is not { Field: Passed })
            Refused++;
        if (member is { Field: >= 0 or Passed })
            Saw(reader, member.Field);
        else
            _layouts.StopLearning();
    }

    /// <summary>Tells the layout of the value that the reader stands on.</summary>
    private void Saw(in Utf8JsonReader reader, int field)
    {
        if (!_layouts.IsLearning)
            return;

        var kind = reader.TokenType switch
        {
            JsonTokenType.String => PayloadKind.Text,
            JsonTokenType.Number => PayloadKind.Number,
            JsonTokenType.Null => PayloadKind.Null,
            _ => PayloadKind.Flag,
        };
        _layouts.Saw((int)reader.TokenStartIndex, (int)reader.BytesConsumed, kind, field);
    }

    /// <summary>The node of the member whose name the reader stands on; null when there is no room for new ones or it has no name.</summary>
    private Node? Member(ref Utf8JsonReader reader, Node node, ref int expected)
    {
        var members = node.Members;
        for (var i = 0; i < Math.Min(members.Count, Looks); i++)
        {
            var at = (expected + i) % members.Count;
            if (!reader.ValueTextEquals(members[at].Utf8))
                continue;
            expected = at + 1;
            return members[at];
        }

        if (reader.GetString() is not { Length: > 0 } name)
            return null;
        if (node.ByName.TryGetValue(name, out var known))
        {
            expected = members.IndexOf(known) + 1;
            return known;
        }

        // Members that are no numbers count too; some times as many, and then new ones are passed over.
        if (_nodes >= 4 * namesMax)
            return null;

        _nodes++;
        var added = new Node(FieldNames.Append(node.Column.Length == 0 ? null : node.Column, name), System.Text.Encoding.UTF8.GetBytes(name));
        members.Add(added);
        node.ByName.Add(name, added);
        expected = members.Count;
        return added;
    }

    private sealed class Node(string column, byte[] utf8)
    {
        public string Column { get; } = column;

        /// <summary>The member's own name.</summary>
        public byte[] Utf8 { get; } = utf8;

        /// <summary>The field's number once a number was met here.</summary>
        public int Field { get; set; } = Unmet;

        public List<Node> Members { get; } = [];

        public Dictionary<string, Node> ByName { get; } = new(StringComparer.Ordinal);
    }

    /// <summary>Takes the values of a payload of a known layout.</summary>
    private readonly struct Sink(NumericFields fields) : IPayloadSink<int>
    {
        public bool TakeText(in int field, ReadOnlySpan<byte> quoted) => true;

        public bool TakeNumber(in int field, ReadOnlySpan<byte> raw, in JsonNumber number)
        {
            if (field == Passed)
                return true;
            if (!number.TryToDouble(out var value)
                && (!Utf8Parser.TryParse(raw, out value, out var length) || length != raw.Length || !ExactSum.Accepts(value)))
            {
                return false;
            }

            fields.Values.Add((field, value));
            return true;
        }

        public bool TakeFlag(in int field, bool value) => true;

        public void Undo() => fields.Values.Clear();
    }
}
