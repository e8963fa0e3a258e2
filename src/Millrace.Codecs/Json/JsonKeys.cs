using System.Runtime.InteropServices;

namespace Millrace.Codecs.Json;

/// <summary>
/// The keys of the objects that are open while a document is read, to find one that stands twice. A stack: an object
/// remembers its height and cuts back to it when it closes. Hot; one per thread, grown once.
/// </summary>
internal sealed class JsonKeys
{
    [ThreadStatic]
    private static JsonKeys? _ofThread;

    private uint[] _hashes = new uint[64];
    private JsonToken[] _tokens = new JsonToken[64];

    public static JsonKeys OfThread => _ofThread ??= new JsonKeys();

    public int Count { get; private set; }

    public void CutTo(int count) => Count = count;

    /// <summary>Adds a key of the object that began at <paramref name="frame"/>.</summary>
    /// <param name="seen">The object's own filter of hashes, zero when it begins.</param>
    /// <returns>False when the object has that key already.</returns>
    public bool TryAdd(ReadOnlySpan<byte> json, int frame, JsonToken key, ref ulong seen)
    {
        var hash = key.Escaped ? HashEscaped(key.In(json)) : Hash(key.In(json));
        var bit = 1UL << (int)(hash & 63);
        if ((seen & bit) != 0 && Holds(json, frame, key, hash))
            return false;
        seen |= bit;

        if (Count == _hashes.Length)
        {
            Array.Resize(ref _hashes, Count * 2);
            Array.Resize(ref _tokens, Count * 2);
        }

        _hashes[Count] = hash;
        _tokens[Count++] = key;
        return true;
    }

    private bool Holds(ReadOnlySpan<byte> json, int frame, JsonToken key, uint hash)
    {
        var from = frame;
        while (_hashes.AsSpan(from, Count - from).IndexOf(hash) is var found and >= 0)
        {
            if (Same(json, _tokens[from + found], key))
                return true;
            from += found + 1;
        }

        return false;
    }

    private static bool Same(ReadOnlySpan<byte> json, JsonToken a, JsonToken b)
    {
        if (!a.Escaped && !b.Escaped)
            return a.In(json).SequenceEqual(b.In(json));
        // Rare: an escaped key. Unescaped text is never longer than its escaped form.
        var left = new byte[a.Length];
        var right = new byte[b.Length];
        var leftLength = JsonText.Unescape(a.In(json), left);
        var rightLength = JsonText.Unescape(b.In(json), right);
        return left.AsSpan(0, leftLength).SequenceEqual(right.AsSpan(0, rightLength));
    }

    private static uint HashEscaped(ReadOnlySpan<byte> inside)
    {
        var text = new byte[inside.Length];
        return Hash(text.AsSpan(0, JsonText.Unescape(inside, text)));
    }

    private static uint Hash(ReadOnlySpan<byte> key)
    {
        ulong head, tail;
        if (key.Length >= 8)
            (head, tail) = (MemoryMarshal.Read<ulong>(key), MemoryMarshal.Read<ulong>(key[^8..]));
        else if (key.Length >= 4)
            (head, tail) = (MemoryMarshal.Read<uint>(key), MemoryMarshal.Read<uint>(key[^4..]));
        else if (key.Length > 0)
            (head, tail) = (key[0], (ulong)((key[key.Length / 2] << 8) | key[^1]));
        else
            return 0;
        var mixed = (head * 0x9E3779B97F4A7C15UL) ^ (tail * 0xC2B2AE3D27D4EB4FUL) ^ (uint)key.Length;
        mixed ^= mixed >> 29;
        return (uint)((mixed * 0xBF58476D1CE4E5B9UL) >> 32);
    }
}
