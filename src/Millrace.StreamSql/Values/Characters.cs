using System.Text;

namespace Millrace.StreamSql.Values;

/// <summary>Characters (code points) in UTF-8. A byte that stands where none may begins no character: it goes with the one before.</summary>
internal static class Characters
{
    public static int Count(ReadOnlySpan<byte> text)
    {
        var count = 0;
        foreach (var value in text)
            count += IsFirst(value) ? 1 : 0;
        return count;
    }

    /// <summary>Bytes of the first characters; all when there are fewer.</summary>
    public static int Skip(ReadOnlySpan<byte> text, long characters)
    {
        if (characters >= text.Length)
            return text.Length;
        var index = 0;
        for (; index < text.Length; index++)
        {
            if (IsFirst(text[index]) && --characters < 0)
                break;
        }

        return index;
    }

    /// <summary>Takes the first character off; what is none becomes U+FFFD.</summary>
    public static Rune Next(ref ReadOnlySpan<byte> text)
    {
        Rune.DecodeFromUtf8(text, out var rune, out var width);
        text = text[width..];
        return rune;
    }

    /// <summary>Characters in UTF-16.</summary>
    public static int CountRunes(ReadOnlySpan<char> text)
    {
        var count = 0;
        foreach (var _ in text.EnumerateRunes())
            count++;
        return count;
    }

    private static bool IsFirst(byte value) => (value & 0xC0) != 0x80;
}
