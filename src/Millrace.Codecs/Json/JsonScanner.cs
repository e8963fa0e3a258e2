using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using Millrace.Core;

namespace Millrace.Codecs.Json;

/// <summary>
/// Checks one JSON document in one pass, strictly (RFC 8259, no duplicate keys, no lone surrogates, bounded depth), and
/// notes where the values lie that decide about a reading. Hot: allocates nothing, never throws on input. The input
/// must be valid UTF-8.
/// </summary>
internal ref struct JsonScanner
{
    private static readonly SearchValues<byte> StringStops =
        SearchValues.Create([.. Enumerable.Range(0, 0x20).Select(i => (byte)i), (byte)'"', (byte)'\\']);

    private readonly ReadOnlySpan<byte> _json;
    private readonly int _depthMax;
    private readonly int _fieldsMax;
    private readonly JsonKeys _keys;
    private int _at;

    /// <summary>The objects whose members have a meaning; all others are Other.</summary>
    private enum Node : byte
    {
        Other = 0,
        Root,
        App,
        OriginData,
        OriginApp,
        UserData,
        AppUserData,
        Gateways,
        FirstGateway,
    }

    public JsonScanner(ReadOnlySpan<byte> json, int depthMax, int fieldsMax)
    {
        _json = json;
        _depthMax = depthMax;
        _fieldsMax = fieldsMax;
        _keys = JsonKeys.OfThread;
        _keys.CutTo(0);
    }

    public JsonToken Id { get; private set; }
    public JsonToken DeviceId { get; private set; }
    public JsonToken OriginEui { get; private set; }
    public JsonToken AppEui { get; private set; }
    public JsonToken Time { get; private set; }
    public JsonToken Timestamp { get; private set; }
    public JsonToken Ts { get; private set; }
    public JsonToken UserDataTime { get; private set; }

    /// <summary>app.userdata.payload: the document is a meter's.</summary>
    public JsonToken MeterPayload { get; private set; }

    /// <summary>app.gwrx[0].time.</summary>
    public JsonToken GatewayTime { get; private set; }

    public bool HasGw { get; private set; }
    public bool HasMote { get; private set; }

    /// <summary>Members of the root object.</summary>
    public int RootFields { get; private set; }

    /// <summary>After a refusal, where it was decided.</summary>
    public readonly int ErrorAt => Math.Min(_at, _json.Length);

    /// <summary>Reads the whole document.</summary>
    public RejectReason Scan()
    {
        SkipSpace();
        if (_at == _json.Length)
            return RejectReason.EmptyPayload;
        var reason = Value(Node.Root, depth: 0, out var root);
        if (reason != RejectReason.None)
            return reason;
        SkipSpace();
        if (_at < _json.Length)
            return RejectReason.InvalidJson;
        if (root.Kind == JsonKind.Object)
            return RejectReason.None;
        _at = root.Start;
        return RejectReason.NotAnObject;
    }

    private RejectReason Value(Node node, int depth, out JsonToken token)
    {
        token = default;
        if (_at >= _json.Length)
            return RejectReason.InvalidJson;
        var start = _at;
        switch (_json[_at])
        {
            case (byte)'"':
                return String(out token);
            case (byte)'{':
                var inObject = Object(node, depth + 1);
                token = new JsonToken(JsonKind.Object, start, _at - start, Escaped: false);
                return inObject;
            case (byte)'[':
                var inArray = Array(node, depth + 1);
                token = new JsonToken(JsonKind.Array, start, _at - start, Escaped: false);
                return inArray;
            case (byte)'t':
                return Literal("true"u8, JsonKind.True, out token);
            case (byte)'f':
                return Literal("false"u8, JsonKind.False, out token);
            case (byte)'n':
                return Literal("null"u8, JsonKind.Null, out token);
            default:
                var length = JsonText.MeasureNumber(_json[_at..]);
                if (length == 0)
                    return RejectReason.InvalidJson;
                token = new JsonToken(JsonKind.Number, start, length, Escaped: false);
                _at += length;
                return RejectReason.None;
        }
    }

    private RejectReason Object(Node node, int depth)
    {
        if (depth > _depthMax)
            return RejectReason.TooDeep;
        _at++;
        SkipSpace();
        if (Next((byte)'}'))
            return RejectReason.None;

        var frame = _keys.Count;
        var fields = 0;
        ulong seen = 0;
        while (true)
        {
            if (_at >= _json.Length || _json[_at] != '"')
                return RejectReason.InvalidJson;
            var keyAt = _at;
            var reason = String(out var key);
            if (reason != RejectReason.None)
                return reason;
            if (++fields > _fieldsMax)
                return At(keyAt, RejectReason.TooManyFields);
            if (!_keys.TryAdd(_json, frame, key, ref seen))
                return At(keyAt, RejectReason.DuplicateKey);

            SkipSpace();
            if (!Next((byte)':'))
                return RejectReason.InvalidJson;
            SkipSpace();
            reason = Member(node, key, depth);
            if (reason != RejectReason.None)
                return reason;

            SkipSpace();
            if (Next((byte)','))
            {
                SkipSpace();
                continue;
            }

            if (!Next((byte)'}'))
                return RejectReason.InvalidJson;
            _keys.CutTo(frame);
            if (node == Node.Root)
                RootFields = fields;
            return RejectReason.None;
        }
    }

    private RejectReason Array(Node node, int depth)
    {
        if (depth > _depthMax)
            return RejectReason.TooDeep;
        _at++;
        SkipSpace();
        if (Next((byte)']'))
            return RejectReason.None;

        var element = node == Node.Gateways ? Node.FirstGateway : Node.Other;
        while (true)
        {
            var reason = Value(element, depth, out _);
            if (reason != RejectReason.None)
                return reason;
            element = Node.Other;

            SkipSpace();
            if (Next((byte)','))
            {
                SkipSpace();
                continue;
            }

            return Next((byte)']') ? RejectReason.None : RejectReason.InvalidJson;
        }
    }

    private RejectReason Member(Node node, JsonToken key, int depth)
    {
        if (node is Node.Other or Node.Gateways)
            return Value(Node.Other, depth, out _);

        if (key.Escaped)
            return EscapedMember(node, key, depth);
        var name = key.In(_json);
        var reason = Value(ChildOf(node, name), depth, out var token);
        if (reason == RejectReason.None)
            Note(node, name, token);
        return reason;
    }

    /// <summary>Rare, and apart because its buffer would cost every member.</summary>
    private RejectReason EscapedMember(Node node, JsonToken key, int depth)
    {
        Span<byte> plain = stackalloc byte[32];
        // No name that means something is longer; -1 when it does not fit.
        var length = JsonText.Unescape(key.In(_json), plain);
        scoped ReadOnlySpan<byte> name = length < 0 ? [] : plain[..length];
        var reason = Value(ChildOf(node, name), depth, out var token);
        if (reason == RejectReason.None)
            Note(node, name, token);
        return reason;
    }

    private static Node ChildOf(Node node, scoped ReadOnlySpan<byte> name) => node switch
    {
        Node.Root => name.Length switch
        {
            3 when name.SequenceEqual("app"u8) => Node.App,
            8 when name.SequenceEqual("userData"u8) => Node.UserData,
            10 when name.SequenceEqual("originData"u8) => Node.OriginData,
            _ => Node.Other,
        },
        Node.OriginData when name.SequenceEqual("app"u8) => Node.OriginApp,
        Node.App when name.SequenceEqual("userdata"u8) => Node.AppUserData,
        Node.App when name.SequenceEqual("gwrx"u8) => Node.Gateways,
        _ => Node.Other,
    };

    private void Note(Node node, scoped ReadOnlySpan<byte> name, JsonToken token)
    {
        switch (node)
        {
            case Node.Root:
                NoteRoot(name, token);
                break;
            case Node.App when name.SequenceEqual("moteeui"u8):
                AppEui = token;
                break;
            case Node.OriginApp when name.SequenceEqual("moteeui"u8):
                OriginEui = token;
                break;
            case Node.UserData when name.SequenceEqual("time"u8):
                UserDataTime = token;
                break;
            case Node.AppUserData when name.SequenceEqual("payload"u8):
                MeterPayload = token;
                break;
            case Node.FirstGateway when name.SequenceEqual("time"u8):
                GatewayTime = token;
                break;
        }
    }

    private void NoteRoot(scoped ReadOnlySpan<byte> name, JsonToken token)
    {
        switch (name.Length)
        {
            case 2 when name.SequenceEqual("id"u8):
                Id = token;
                break;
            case 2 when name.SequenceEqual("ts"u8):
                Ts = token;
                break;
            case 2 when name.SequenceEqual("gw"u8):
                HasGw = true;
                break;
            case 4 when name.SequenceEqual("time"u8):
                Time = token;
                break;
            case 4 when name.SequenceEqual("mote"u8):
                HasMote = true;
                break;
            case 8 when name.SequenceEqual("deviceId"u8):
                DeviceId = token;
                break;
            case 9 when name.SequenceEqual("timestamp"u8):
                Timestamp = token;
                break;
        }
    }

    private RejectReason String(out JsonToken token)
    {
        token = default;
        var start = ++_at;
        var escaped = false;
        while (true)
        {
            var stop = FindStop(_json[_at..]);
            if (stop < 0)
                return At(_json.Length, RejectReason.InvalidJson);
            _at += stop;
            var found = _json[_at];
            if (found == '"')
            {
                token = new JsonToken(JsonKind.String, start, _at - start, escaped);
                _at++;
                return RejectReason.None;
            }

            if (found != '\\' || !SkipEscape())
                return RejectReason.InvalidJson;
            escaped = true;
        }
    }

    /// <summary>The first quote, backslash or control byte. Most strings end within two words; calls cost more than those.</summary>
    private static int FindStop(ReadOnlySpan<byte> text)
    {
        const ulong Ones = 0x0101010101010101UL;
        const ulong Highs = 0x8080808080808080UL;
        var at = 0;
        for (; at < 16 && text.Length - at >= sizeof(ulong); at += sizeof(ulong))
        {
            var word = BinaryPrimitives.ReadUInt64LittleEndian(text[at..]);
            var quote = word ^ (Ones * '"');
            var backslash = word ^ (Ones * '\\');
            // A byte below n borrows from its high bit in (word - n) & ~word; the lowest hit is always a true one.
            var hits = (((quote - Ones) & ~quote) | ((backslash - Ones) & ~backslash) | ((word - (Ones * 0x20)) & ~word)) & Highs;
            if (hits != 0)
                return at + (BitOperations.TrailingZeroCount(hits) >> 3);
        }

        var found = text[at..].IndexOfAny(StringStops);
        return found < 0 ? -1 : at + found;
    }

    private bool SkipEscape()
    {
        var rest = _json[_at..];
        if (rest.Length < 2)
            return false;
        if (rest[1] != 'u')
        {
            _at += 2;
            return rest[1] is (byte)'"' or (byte)'\\' or (byte)'/' or (byte)'b' or (byte)'f' or (byte)'n' or (byte)'r' or (byte)'t';
        }

        var unit = JsonText.ReadHex(rest[2..]);
        if (unit < 0 || char.IsLowSurrogate((char)unit))
            return false;
        _at += 6;
        if (!char.IsHighSurrogate((char)unit))
            return true;
        if (rest.Length < 12 || rest[6] != '\\' || rest[7] != 'u' || JsonText.ReadHex(rest[8..]) is var low && (low < 0 || !char.IsLowSurrogate((char)low)))
            return false;
        _at += 6;
        return true;
    }

    private RejectReason Literal(ReadOnlySpan<byte> word, JsonKind kind, out JsonToken token)
    {
        token = new JsonToken(kind, _at, word.Length, Escaped: false);
        if (!_json[_at..].StartsWith(word))
            return RejectReason.InvalidJson;
        _at += word.Length;
        return RejectReason.None;
    }

    private RejectReason At(int at, RejectReason reason)
    {
        _at = at;
        return reason;
    }

    private bool Next(byte expected)
    {
        if (_at >= _json.Length || _json[_at] != expected)
            return false;
        _at++;
        return true;
    }

    private void SkipSpace()
    {
        while (_at < _json.Length && JsonText.IsSpace(_json[_at]))
            _at++;
    }
}
