using System.Buffers;
using System.Text.Json;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>One value of a payload that has a column.</summary>
internal readonly record struct FieldValue(string Column, ParquetKind Kind, double Number, bool Flag, string? Text);

/// <summary>Takes a payload's JSON view apart into column values and a rest that stays JSON.</summary>
internal sealed class PayloadSplitter(ColumnSet columns)
{
    private const int DepthMax = 16;

    private readonly ArrayBufferWriter<byte> _rest = new(256);
    private readonly Dictionary<(string? Path, string Member), string> _names = [];
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);
    private bool _isOdd;

    /// <summary>The values of the last payload that have columns.</summary>
    public List<FieldValue> Values { get; } = [];

    /// <summary>What is left, as a JSON object; empty when everything has a column.</summary>
    public ReadOnlySpan<byte> Rest => _rest.WrittenSpan;

    /// <param name="json">One JSON object, checked when it was taken in.</param>
    public void Split(ReadOnlySpan<byte> json)
    {
        Begin();
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 256 });
            reader.Read();
            if (reader.TokenType == JsonTokenType.StartObject)
                SplitObject(ref reader, json, null, 1);
            else
                _isOdd = true;
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)
        {
            _isOdd = true; // An escape that is half a character: no text of ours could hold it.
        }

        if (!_isOdd)
            return;

        Begin();
        _rest.Write(json);
    }

    private void Begin()
    {
        _isOdd = false;
        _seen.Clear();
        _rest.ResetWrittenCount();
        Values.Clear();
    }

    /// <summary>Returns whether anything of the object went to the rest; its opening brace is then there and closed.</summary>
    private bool SplitObject(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, string? path, int depth)
    {
        var hasRest = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var rawName = json.Slice((int)reader.TokenStartIndex, RawLength(reader));
            var column = NameOf(path, reader.GetString()!);
            var mark = _rest.WrittenCount;
            reader.Read();
            // An empty or overlong name, or one that lies too deep, has no column; nor has anything below it.
            if (column.Length == 0 || column.EndsWith('.') || column.Length > FieldNames.LengthMax || depth >= DepthMax)
            {
                WriteName(rawName, hasRest);
                WriteRaw(ref reader, json);
                hasRest = true;
                continue;
            }

            if (!_seen.Add(column))
                _isOdd = true; // A doubled name: which of them counts is not ours to say.

            if (reader.TokenType == JsonTokenType.StartObject)
            {
                WriteName(rawName, hasRest);
                var inside = _rest.WrittenCount;
                if (SplitMembers(ref reader, json, column, depth, inside))
                    hasRest = true;
                else
                    Truncate(mark);
                continue;
            }

            if (TryTake(ref reader, column))
                continue;

            WriteName(rawName, hasRest);
            WriteRaw(ref reader, json);
            hasRest = true;
        }

        if (hasRest)
            _rest.Write("}"u8);
        return hasRest;
    }

    /// <summary>A nested object: apart if it has members, else as it is.</summary>
    private bool SplitMembers(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, string column, int depth, int mark)
    {
        var probe = reader;
        probe.Read();
        if (probe.TokenType == JsonTokenType.EndObject)
        {
            reader.Read();
            _rest.Write("{}"u8);
            return true;
        }

        if (SplitObject(ref reader, json, column, depth + 1))
            return true;

        Truncate(mark);
        return false;
    }

    private bool TryTake(ref Utf8JsonReader reader, string column)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.Number:
                if (!ExactNumbers.TryToDouble(reader.ValueSpan, out var number) || !columns.Takes(column, ParquetKind.Double))
                    return false;
                Values.Add(new FieldValue(column, ParquetKind.Double, number, false, null));
                return true;
            case JsonTokenType.True or JsonTokenType.False:
                if (!columns.Takes(column, ParquetKind.Boolean))
                    return false;
                Values.Add(new FieldValue(column, ParquetKind.Boolean, 0, reader.TokenType == JsonTokenType.True, null));
                return true;
            case JsonTokenType.String:
                if (!columns.Takes(column, ParquetKind.String))
                    return false;
                Values.Add(new FieldValue(column, ParquetKind.String, 0, false, reader.GetString()));
                return true;
            default:
                return false;
        }
    }

    private void WriteName(ReadOnlySpan<byte> rawName, bool hasRest)
    {
        _rest.Write(hasRest ? ","u8 : "{"u8);
        _rest.Write(rawName);
        _rest.Write(":"u8);
    }

    private void WriteRaw(ref Utf8JsonReader reader, ReadOnlySpan<byte> json)
    {
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        _rest.Write(json[start..(int)reader.BytesConsumed]);
    }

    private void Truncate(int length)
    {
        // ArrayBufferWriter cannot step back, so what is kept is written again; rests are short and this is rare.
        if (_rest.WrittenCount == length)
            return;

        var kept = _rest.WrittenSpan[..length].ToArray();
        _rest.ResetWrittenCount();
        _rest.Write(kept);
    }

    private string NameOf(string? path, string member)
    {
        if (_names.TryGetValue((path, member), out var known))
            return known;

        var name = member.Length == 0 ? "" : FieldNames.Append(path, member);
        if (_names.Count < 4 * ColumnSet.ColumnsMax)
            _names.Add((path, member), name);
        return name;
    }

    /// <summary>The name with its quotes, as it stands.</summary>
    private static int RawLength(in Utf8JsonReader reader) => reader.ValueSpan.Length + 2;
}
