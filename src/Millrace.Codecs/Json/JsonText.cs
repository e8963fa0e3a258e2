using System.Buffers;
using System.Text;

namespace Millrace.Codecs.Json;

/// <summary>JSON's small grammar: strings with escapes, numbers, white space.</summary>
internal static class JsonText
{
    private static readonly SearchValues<byte> MustEscape = SearchValues.Create([.. Enumerable.Range(0, 0x20).Select(i => (byte)i), (byte)'"', (byte)'\\', 0x7F]);

    public static bool IsSpace(byte b) => b is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n';

    public static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text) => text.Trim(" \t\r\n"u8);

    /// <summary>The length of the JSON number at the start, 0 when there is none.</summary>
    public static int MeasureNumber(ReadOnlySpan<byte> text)
    {
        var at = text.Length > 0 && text[0] == '-' ? 1 : 0;
        if (at == text.Length)
            return 0;
        if (text[at] == '0')
            at++;
        else if (!SkipDigits(text, ref at))
            return 0;

        if (at < text.Length && text[at] == '.')
        {
            at++;
            if (!SkipDigits(text, ref at))
                return 0;
        }

        if (at < text.Length && (text[at] | 0x20) == 'e')
        {
            at++;
            if (at < text.Length && text[at] is (byte)'+' or (byte)'-')
                at++;
            if (!SkipDigits(text, ref at))
                return 0;
        }

        return at;
    }

    public static bool IsNumber(ReadOnlySpan<byte> text) => text.Length > 0 && MeasureNumber(text) == text.Length;

    /// <summary>Turns the inside of a checked JSON string into the bytes it means.</summary>
    /// <returns>Their number, or -1 when <paramref name="target"/> is too small.</returns>
    public static int Unescape(ReadOnlySpan<byte> inside, Span<byte> target)
    {
        var written = 0;
        while (!inside.IsEmpty)
        {
            var plain = inside.IndexOf((byte)'\\');
            if (plain < 0)
                plain = inside.Length;
            if (plain > target.Length - written)
                return -1;
            inside[..plain].CopyTo(target[written..]);
            written += plain;
            inside = inside[plain..];
            if (inside.IsEmpty)
                break;

            var rune = TakeEscape(ref inside);
            if (!rune.TryEncodeToUtf8(target[written..], out var length))
                return -1;
            written += length;
        }

        return written;
    }

    /// <summary>Writes text as a JSON string with its quotes. The text must be valid UTF-8.</summary>
    public static void WriteString(IBufferWriter<byte> output, ReadOnlySpan<byte> text)
    {
        output.Write("\""u8);
        while (text.IndexOfAny(MustEscape) is var special and >= 0)
        {
            output.Write(text[..special]);
            WriteEscape(output, text[special]);
            text = text[(special + 1)..];
        }

        output.Write(text);
        output.Write("\""u8);
    }

    private static void WriteEscape(IBufferWriter<byte> output, byte b)
    {
        Span<byte> escape = [(byte)'\\', (byte)'u', (byte)'0', (byte)'0', Hex(b >> 4), Hex(b & 15)];
        output.Write(b switch
        {
            (byte)'"' => "\\\""u8,
            (byte)'\\' => "\\\\"u8,
            (byte)'\n' => "\\n"u8,
            (byte)'\r' => "\\r"u8,
            (byte)'\t' => "\\t"u8,
            _ => escape,
        });

        static byte Hex(int nibble) => (byte)"0123456789abcdef"[nibble];
    }

    private static Rune TakeEscape(ref ReadOnlySpan<byte> text)
    {
        var kind = text[1];
        if (kind != 'u')
        {
            text = text[2..];
            return new Rune((char)(kind switch { (byte)'b' => 8, (byte)'f' => 12, (byte)'n' => 10, (byte)'r' => 13, (byte)'t' => 9, _ => kind }));
        }

        var first = (char)ReadHex(text[2..]);
        text = text[6..];
        if (!char.IsSurrogate(first))
            return new Rune(first);
        var second = (char)ReadHex(text[2..]);
        text = text[6..];
        return new Rune(first, second);
    }

    /// <summary>Four hexadecimal digits as a number, or -1.</summary>
    public static int ReadHex(ReadOnlySpan<byte> text)
    {
        if (text.Length < 4)
            return -1;
        var value = 0;
        foreach (var b in text[..4])
        {
            var digit = char.IsAsciiHexDigit((char)b) ? (b <= '9' ? b - '0' : (b | 0x20) - 'a' + 10) : -1;
            if (digit < 0)
                return -1;
            value = (value << 4) | digit;
        }

        return value;
    }

    private static bool SkipDigits(ReadOnlySpan<byte> text, ref int at)
    {
        var start = at;
        while (at < text.Length && (uint)(text[at] - '0') <= 9)
            at++;
        return at > start;
    }
}
