using Millrace.Codecs.Json;
using Millrace.Core;

namespace Millrace.Codecs;

/// <summary>How a body with JSON is laid out.</summary>
public enum JsonLayout
{
    /// <summary>One value.</summary>
    Single,

    /// <summary>One array; its elements count.</summary>
    Array,

    /// <summary>One value per line (NDJSON); blank lines do not count.</summary>
    Lines,
}

/// <summary>
/// Splits a body into the elements that may be readings: one object, an array, or a value per line. It only finds where
/// elements end; whether they are JSON is for the <see cref="Decoder"/> to say, one by one, so that a bad line does not
/// stop the others. Hot: allocates nothing, never throws on input.
/// </summary>
/// <example><code>
/// var elements = new JsonElements(body);
/// while (elements.MoveNext())
///     reason = elements.Fault != RejectReason.None ? elements.Fault : decoder.Json(elements.Current, …);
/// </code></example>
public ref struct JsonElements
{
    private readonly ReadOnlySpan<byte> _body;
    private int _at;
    private bool _closed;
    private bool _ended;

    /// <param name="body">The whole body, UTF-8, with or without a byte-order mark.</param>
    public JsonElements(ReadOnlySpan<byte> body)
    {
        _body = body.StartsWith("\uFEFF"u8) ? body[3..] : body;
        Index = -1;
        _at = SkipSpace(_body, 0);
        Layout = LayoutOf(_body[_at..]);
        if (Layout == JsonLayout.Array)
            _at++;
        _ended = _at == _body.Length && Layout != JsonLayout.Array;
    }

    public JsonLayout Layout { get; }

    /// <summary>The element's bytes without white space around them; after a fault, the rest that could not be split.</summary>
    public ReadOnlySpan<byte> Current { get; private set; }

    /// <summary>Its number, from 0.</summary>
    public int Index { get; private set; }

    /// <summary>Where it begins in the body.</summary>
    public int Offset { get; private set; }

    /// <summary>Set when the array breaks off here: everything before was whole, nothing follows.</summary>
    public RejectReason Fault { get; private set; }

    /// <summary>Goes to the next element; a broken array ends with one element that carries the fault.</summary>
    public bool MoveNext()
    {
        if (_ended)
            return false;
        return Layout switch
        {
            JsonLayout.Single => TakeSingle(),
            JsonLayout.Array => TakeFromArray(),
            _ => TakeLine(),
        };
    }

    private bool TakeSingle()
    {
        _ended = true;
        return Yield(_at, JsonText.Trim(_body[_at..]).Length);
    }

    private bool TakeLine()
    {
        while (_at < _body.Length)
        {
            var rest = _body[_at..];
            var end = rest.IndexOf((byte)'\n');
            var line = end < 0 ? rest : rest[..end];
            var start = _at + SkipSpace(line, 0);
            _at += end < 0 ? rest.Length : end + 1;
            line = JsonText.Trim(line);
            if (!line.IsEmpty)
                return Yield(start, line.Length);
        }

        _ended = true;
        return false;
    }

    private bool TakeFromArray()
    {
        _at = SkipSpace(_body, _at);
        if (Index < 0 && !_closed && _at < _body.Length && _body[_at] == ']')
        {
            _closed = true;
            _at = SkipSpace(_body, _at + 1);
        }

        if (_closed)
        {
            // Something after the array is a fault of the body, told after its elements.
            _ended = true;
            return _at < _body.Length && Break();
        }

        var length = MeasureElement(_body[_at..]);
        var start = _at;
        var after = SkipSpace(_body, start + length);
        if (length == 0 || after == _body.Length || _body[after] is not ((byte)',' or (byte)']'))
            return Break();
        _at = after + 1;
        _closed = _body[after] == ']';
        return Yield(start, length);
    }

    private bool Break()
    {
        _ended = true;
        Yield(_at, JsonText.Trim(_body[_at..]).Length);
        Fault = RejectReason.InvalidJson;
        return true;
    }

    private bool Yield(int start, int length)
    {
        Index++;
        Offset = start;
        Current = _body.Slice(start, length);
        return true;
    }

    private static JsonLayout LayoutOf(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty)
            return JsonLayout.Single;
        if (text[0] == '[')
            return JsonLayout.Array;

        // A value that reaches to the end of the body is the only one, over however many lines it goes.
        var length = MeasureElement(text);
        if (length > 0 && JsonText.Trim(text[length..]).IsEmpty)
            return JsonLayout.Single;
        var line = text.IndexOf((byte)'\n');
        if (line < 0)
            return JsonLayout.Single;
        if (length > 0 && length <= line)
            return JsonLayout.Lines;

        // The first line is broken. Lines that begin with a brace are values of their own; otherwise this is one value,
        // printed over several lines, that breaks off.
        return text[0] != '{' || text[line..].IndexOf("\n{"u8) >= 0 ? JsonLayout.Lines : JsonLayout.Single;
    }

    /// <summary>The length of the value at the start by its brackets and quotes alone; 0 when it does not end.</summary>
    private static int MeasureElement(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty)
            return 0;
        if (text[0] is not ((byte)'{' or (byte)'[' or (byte)'"'))
        {
            var end = text.IndexOfAny(",]}\n"u8);
            return JsonText.Trim(end < 0 ? text : text[..end]).Length;
        }

        var depth = 0;
        for (var at = 0; at < text.Length; at++)
        {
            var skip = text[at..].IndexOfAny("\"{}[]"u8);
            if (skip < 0)
                return 0;
            at += skip;
            switch (text[at])
            {
                case (byte)'"':
                    var closing = MeasureString(text[at..]);
                    if (closing == 0)
                        return 0;
                    at += closing - 1;
                    break;
                case (byte)'{' or (byte)'[':
                    depth++;
                    break;
                default:
                    depth--;
                    break;
            }

            if (depth <= 0)
                return at + 1;
        }

        return 0;
    }

    private static int MeasureString(ReadOnlySpan<byte> text)
    {
        for (var at = 1; at < text.Length; at++)
        {
            var skip = text[at..].IndexOfAny((byte)'"', (byte)'\\');
            if (skip < 0)
                return 0;
            at += skip;
            if (text[at] == '"')
                return at + 1;
            at++;
        }

        return 0;
    }

    private static int SkipSpace(ReadOnlySpan<byte> text, int at)
    {
        while (at < text.Length && JsonText.IsSpace(text[at]))
            at++;
        return at;
    }
}
