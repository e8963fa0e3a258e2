using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;
using Millrace.History.Payloads;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// Takes a payload's JSON view apart into cells and a rest that stays JSON, in one pass that also checks it. Hot: a payload of a known layout
/// costs no look-up and allocates nothing.
/// </summary>
internal sealed class PayloadSplitter(ColumnSet columns, PayloadCells cells)
{
    /// <summary>The column number of a cell that says how the payload told its time.</summary>
    public const int TimeAs = -1;

    private const int SpellingsMax = 4 * ColumnSet.ColumnsMax;

    private readonly FieldNode _root = FieldNode.Root(columns);
    private readonly PayloadLayouts<Member> _layouts = new();
    private byte[] _rest = new byte[256];
    private int _restLength;
    private int _spellings;
    private long _payload;
    private long _time;
    private bool _isOdd;
    private bool _hasTimeAs;
    private (int Cells, int Texts) _mark;

    /// <summary>What has no column, as a JSON object; empty when everything has.</summary>
    public ReadOnlySpan<byte> Rest => _rest.AsSpan(0, _restLength);

    /// <summary>
    /// Adds a payload's cells. False, with nothing added, when the bytes are not one JSON object.
    /// </summary>
    /// <param name="time">The reading's event time: a member that says just that needs no column of its own.</param>
    public bool TrySplit(ReadOnlySpan<byte> json, long time)
    {
        _mark = (cells.CellCount, cells.TextLength);
        (_restLength, _isOdd, _hasTimeAs, _time) = (0, false, false, time);
        if (!Utf8.IsValid(json))
            return false;
        var sink = new Sink(this);
        if (_layouts.TryRead(json, ref sink))
            return true;

        _payload++;
        _layouts.BeginLearning();
        bool isWhole;
        try
        {
            isWhole = ReadRoot(json);
        }
        catch (JsonException)
        {
            isWhole = false;
        }
        catch (InvalidOperationException)
        {
            // An escape that is half a character: no text of ours could hold it.
            (isWhole, _isOdd) = (IsObject(json), true);
        }

        if (isWhole && !_isOdd)
        {
            _layouts.Learn(json);
            return true;
        }

        Undo();
        _restLength = 0;
        if (isWhole)
            Write(json);
        return isWhole;
    }

    private static bool IsObject(ReadOnlySpan<byte> json)
    {
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 256 });
            var isObject = reader.Read() && reader.TokenType == JsonTokenType.StartObject;
            while (reader.Read())
            {
            }

            return isObject;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private bool ReadRoot(ReadOnlySpan<byte> json)
    {
        var at = SkipSpace(json, 0);
        if (at == json.Length || json[at] != '{')
            return false;

        at = SkipSpace(json, at + 1);
        var hasRest = false;
        if (at < json.Length && json[at] == '}')
            at++;
        else if (!ReadMembers(json, ref at, _root, ref hasRest))
            return false;
        if (hasRest)
            Write("}"u8);
        return SkipSpace(json, at) == json.Length;
    }

    /// <summary>Reads from the first member's name to behind the closing brace. What goes to the rest is written there, without its last brace.</summary>
    private bool ReadMembers(ReadOnlySpan<byte> json, ref int at, FieldNode node, ref bool hasRest)
    {
        var next = 0;
        while (true)
        {
            if (at >= json.Length || json[at] != '"')
                return false;

            var member = node.Match(json[at..], ref next, out var length);
            if (member is null)
            {
                length = JsonText.Measure(json[at..], out _);
                if (length == 0)
                    return false;
                var isRemembered = _spellings < SpellingsMax;
                member = node.Learn(json.Slice(at, length), isRemembered);
                _spellings += isRemembered ? 1 : 0;
                _isOdd |= !isRemembered; // Whether it is there twice could not be told, and two cells of one column fit no row.
            }

            var name = json.Slice(at, length);
            at = SkipSpace(json, at + length);
            if (at >= json.Length || json[at] != ':')
                return false;
            at = SkipSpace(json, at + 1);
            if (at >= json.Length || !ReadValue(json, ref at, name, member, ref hasRest))
                return false;

            at = SkipSpace(json, at);
            if (at >= json.Length)
                return false;
            if (json[at] == '}')
            {
                at++;
                return true;
            }

            if (json[at] != ',')
                return false;
            at = SkipSpace(json, at + 1);
        }
    }

    private bool ReadValue(ReadOnlySpan<byte> json, ref int at, ReadOnlySpan<byte> name, FieldNode member, ref bool hasRest)
    {
        var start = at;
        bool isTaken;
        if (!member.HasColumns)
        {
            if (!SkipValue(json, ref at))
                return false;
            isTaken = false;
        }
        else
        {
            _isOdd |= member.Stamp == _payload; // A doubled name: which of them counts is not ours to say.
            member.Stamp = _payload;
            switch (json[at])
            {
                case (byte)'"':
                    if (!ReadText(json, ref at, member, out isTaken))
                        return false;
                    break;
                case (byte)'{':
                    return ReadInner(json, ref at, name, member, ref hasRest);
                case (byte)'t' or (byte)'f':
                    if (!SkipValue(json, ref at))
                        return false;
                    isTaken = member.TryColumn(ParquetKind.Boolean, out var flag, out var type);
                    if (isTaken)
                    {
                        AddFlag(flag, json[start] == 't');
                        Saw(start, at, PayloadKind.Flag, new Member(flag, type, member.TimeMember));
                    }

                    break;
                case (byte)'-' or (>= (byte)'0' and <= (byte)'9'):
                    if (!ReadNumber(json, ref at, member, out isTaken))
                        return false;
                    break;
                default:
                    if (!SkipValue(json, ref at))
                        return false;
                    isTaken = false;
                    break;
            }
        }

        if (!isTaken)
        {
            _layouts.StopLearning();
            WriteName(name, hasRest);
            Write(json[start..at]);
            hasRest = true;
        }

        return true;
    }

    /// <summary>A nested object: apart if it has members, else as it is.</summary>
    private bool ReadInner(ReadOnlySpan<byte> json, ref int at, ReadOnlySpan<byte> name, FieldNode member, ref bool hasRest)
    {
        var mark = _restLength;
        WriteName(name, hasRest);
        at = SkipSpace(json, at + 1);
        if (at < json.Length && json[at] == '}')
        {
            at++;
            _layouts.StopLearning();
            Write("{}"u8);
            hasRest = true;
            return true;
        }

        var hasInnerRest = false;
        if (!ReadMembers(json, ref at, member, ref hasInnerRest))
            return false;
        if (hasInnerRest)
            Write("}"u8);
        else
            _restLength = mark;
        hasRest |= hasInnerRest;
        return true;
    }

    private bool ReadText(ReadOnlySpan<byte> json, ref int at, FieldNode member, out bool isTaken)
    {
        isTaken = false;
        var length = JsonText.Measure(json[at..], out var isEscaped);
        if (length == 0)
            return false;

        var start = at;
        var raw = json.Slice(at, length);
        at += length;
        if (IsTime(member, raw))
        {
            isTaken = true;
            Saw(start, at, PayloadKind.Text, new Member(TimeAs, default, member.TimeMember));
            return true;
        }

        isTaken = member.TryColumn(ParquetKind.String, out var column, out var type);
        if (isEscaped)
            _layouts.StopLearning();
        if (isTaken && !isEscaped)
        {
            AddText(column, raw[1..^1]);
            Saw(start, at, PayloadKind.Text, new Member(column, type, member.TimeMember));
        }
        else if (isTaken)
        {
            AddUnescaped(column, raw);
        }
        else if (isEscaped)
        {
            new Utf8JsonReader(raw).Read(); // Only to find out that the escapes are some.
        }

        return true;
    }

    private void AddText(int column, ReadOnlySpan<byte> text) => cells.Add(column, text);

    private void AddFlag(int column, bool value) => cells.Add(column, value ? 1 : 0);

    private void Undo() => cells.Truncate(_mark.Cells, _mark.Texts);

    private void AddUnescaped(int column, ReadOnlySpan<byte> raw)
    {
        var reader = new Utf8JsonReader(raw);
        reader.Read();
        var text = ArrayPool<byte>.Shared.Rent(raw.Length);
        try
        {
            cells.Add(column, text.AsSpan(0, reader.CopyString(text)));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(text);
        }
    }

    private bool ReadNumber(ReadOnlySpan<byte> json, ref int at, FieldNode member, out bool isTaken)
    {
        isTaken = false;
        var start = at;
        if (!JsonNumber.TryRead(json, ref at, out var number))
            return false;

        var raw = json[start..at];
        if (IsTime(member, raw))
        {
            isTaken = true;
            Saw(start, at, PayloadKind.Number, new Member(TimeAs, default, member.TimeMember));
        }
        else if (member.TryColumn(ParquetKind.Double, out var column, out var type))
        {
            isTaken = TakeNumber(column, type, raw, number);
            Saw(start, at, PayloadKind.Number, new Member(column, type, member.TimeMember));
        }

        return true;
    }

    /// <summary>Notes a value for the layout. A member that might say the time and does not is too rare to be part of one.</summary>
    private void Saw(int start, int end, PayloadKind kind, Member member)
    {
        if (member.TimeMember >= 0 && member.Column != TimeAs)
            _layouts.StopLearning();
        else if (_layouts.IsLearning)
            _layouts.Saw(start, end, kind, member);
    }

    private bool TakeNumber(int column, FieldType type, ReadOnlySpan<byte> raw, in JsonNumber number) =>
        type.Kind == ParquetKind.Double ? TakeDouble(column, raw, number) : TakeExact(column, type, number);

    private bool TakeDouble(int column, ReadOnlySpan<byte> raw, in JsonNumber number)
    {
        if (!number.TryToDouble(out var value) && !ExactNumbers.TryToDouble(raw, out value))
            return false;

        cells.Add(column, BitConverter.DoubleToInt64Bits(value));
        return true;
    }

    /// <summary>Takes a number into a declared integer or decimal; one that does not fit exactly goes to the rest.</summary>
    private bool TakeExact(int column, FieldType type, in JsonNumber number)
    {
        var (value, scale) = (number.Mantissa, number.Scale);
        for (; scale > type.Scale && value % 10 == 0; scale--)
            value /= 10;
        if (number.HasExponent || number.Digits > 18 || scale > type.Scale || (value == 0 && number.IsNegative))
            return false;
        for (; scale < type.Scale; scale++)
        {
            if (value > 99_999_999_999_999_999)
                return false;
            value *= 10;
        }

        cells.Add(column, number.IsNegative ? -value : value);
        return true;
    }

    private bool IsTime(FieldNode member, ReadOnlySpan<byte> raw)
    {
        if (member.TimeMember < 0 || _hasTimeAs || !TakeTime(member.TimeMember, raw))
            return false;

        _hasTimeAs = true;
        return true;
    }

    private bool TakeTime(int timeMember, ReadOnlySpan<byte> raw)
    {
        if (TimeForm.Find(timeMember, raw, _time) is not (>= 0 and var code))
            return false;

        cells.Add(TimeAs, code);
        return true;
    }

    private static bool SkipValue(ReadOnlySpan<byte> json, ref int at)
    {
        switch (json[at])
        {
            case (byte)'t':
                return SkipWord(json, "true"u8, ref at);
            case (byte)'f':
                return SkipWord(json, "false"u8, ref at);
            case (byte)'n':
                return SkipWord(json, "null"u8, ref at);
            case (byte)'-' or (>= (byte)'0' and <= (byte)'9'):
                return JsonNumber.TryRead(json, ref at, out _);
            default:
                var reader = new Utf8JsonReader(json[at..], new JsonReaderOptions { MaxDepth = 256 });
                if (!reader.Read())
                    return false;
                reader.Skip();
                at += (int)reader.BytesConsumed;
                return true;
        }
    }

    private static bool SkipWord(ReadOnlySpan<byte> json, ReadOnlySpan<byte> word, ref int at)
    {
        if (!json[at..].StartsWith(word))
            return false;
        at += word.Length;
        return true;
    }

    private static int SkipSpace(ReadOnlySpan<byte> json, int at)
    {
        while (at < json.Length && json[at] is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r')
            at++;
        return at;
    }

    private void WriteName(ReadOnlySpan<byte> name, bool hasRest)
    {
        Write(hasRest ? ","u8 : "{"u8);
        Write(name);
        Write(":"u8);
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        if (_rest.Length - _restLength < bytes.Length)
            Array.Resize(ref _rest, Math.Max(_rest.Length * 2, _restLength + bytes.Length));
        bytes.CopyTo(_rest.AsSpan(_restLength));
        _restLength += bytes.Length;
    }

    /// <summary>What is known of a member of a layout: its column, or that it says the time.</summary>
    private readonly record struct Member(int Column, FieldType Type, int TimeMember);

    /// <summary>Takes the values of a payload of a known layout.</summary>
    private readonly struct Sink(PayloadSplitter splitter) : IPayloadSink<Member>
    {
        public bool TakeText(in Member member, ReadOnlySpan<byte> quoted)
        {
            if (member.Column == TimeAs)
                return splitter.TakeTime(member.TimeMember, quoted);

            splitter.AddText(member.Column, quoted[1..^1]);
            return true;
        }

        public bool TakeNumber(in Member member, ReadOnlySpan<byte> raw, in JsonNumber number) => member.Column == TimeAs
            ? splitter.TakeTime(member.TimeMember, raw)
            : splitter.TakeNumber(member.Column, member.Type, raw, number);

        public bool TakeFlag(in Member member, bool value)
        {
            splitter.AddFlag(member.Column, value);
            return true;
        }

        public void Undo() => splitter.Undo();
    }
}
