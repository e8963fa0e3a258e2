using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text;
using System.Text.Unicode;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Json;

/// <summary>
/// Reads the wanted paths of one event out of its bytes. Hot: runs once per event and allocates nothing.
/// Events of one kind of device differ in their scalars alone, so an event is first compared with the layouts of earlier ones
/// (<see cref="EventLayouts"/>). The long way: a first pass finds quotes, braces, commas and colons 64 bytes at a time; a
/// second walks from mark to mark, checks that the text is one valid JSON object, and notes where the wanted values are.
/// Values stay text until somebody uses them.
/// </summary>
internal sealed class EventReader(PathTree paths)
{
    /// <summary>Objects and arrays deeper than this make a payload bad: the walk recurses.</summary>
    public const int DepthMax = 512;

    /// <summary>The first pass reads whole blocks, so the buffer extends this far beyond the payload.</summary>
    public const int Padding = 64;

    private const int FirstBytes = 1024;

    private byte[] buffer = [];
    private int length;
    private int[] marks = new int[1024];
    private int markCount;
    private bool hasEscapes;
    private int depth;

    // Which spelling of a name an event has shown: 0 none, 1 another case, 2 exact; valid when the stamp is this event's.
    private (int Stamp, byte Spelling)[] seen = new (int, byte)[8];
    private int stamp;
    private Value[] slots = [];

    // Per slot, where the text of its value starts in the current event; −1: nowhere.
    private int[] places = [];
    private readonly EventLayouts layouts = new();

    /// <summary>The bytes of the current event; the slices in the slots refer to it.</summary>
    public byte[] Buffer => buffer;

    public int Length => length;

    /// <summary>Copies the payload in and fills <paramref name="target"/>.</summary>
    /// <returns>False when the payload is not one JSON object; the slots are then without meaning.</returns>
    public bool TryRead(ReadOnlySpan<byte> payload, Value[] target)
    {
        if (buffer.Length < payload.Length + Padding)
            buffer = new byte[Math.Max(payload.Length + Padding, Math.Max(FirstBytes, buffer.Length * 2))];
        payload.CopyTo(buffer);
        length = payload.Length;
        return TryReadBuffer(target);
    }

    /// <summary>Hands over the bytes that the slots refer to; the next event is read into <paramref name="other"/>.</summary>
    public byte[] ExchangeBuffer(byte[] other)
    {
        var read = buffer;
        buffer = other;
        return read;
    }

    private bool TryReadBuffer(Value[] target)
    {
        if (!Vector256.IsHardwareAccelerated)
            return PortableEventReader.TryRead(buffer, length, paths, target);
        if (layouts.TryRead(buffer, length, target))
            return true;
        if (!TryReadLong(target))
            return false;
        layouts.Offer(buffer, length, target, places);
        return true;
    }

    private bool TryReadLong(Value[] target)
    {
        if (seen.Length < paths.NodeCount)
            seen = new (int, byte)[paths.NodeCount];
        stamp++;
        slots = target;
        Array.Clear(target, 0, paths.SlotCount);
        if (places.Length != paths.SlotCount)
            places = new int[paths.SlotCount];
        Array.Fill(places, -1);
        if (!Mark() || markCount < 2)
            return false;

        var first = marks[0];
        if (buffer[first] != '{' || !IsBlank(0, first))
            return false;

        depth = 0;
        var end = ReadObject(0, paths.Root);
        if (end != markCount)
            return false;
        var last = marks[markCount - 1];
        if (!IsBlank(last + 1, length))
            return false;
        if (paths.Root.Slot >= 0)
            Keep(paths.Root, first, Value.Slice(Kind.Record, buffer, first, last + 1 - first));
        return true;
    }

    /// <summary>First pass: positions of quotes and, outside strings, of braces, brackets, commas and colons.</summary>
    private bool Mark()
    {
        var needed = length + Padding;
        if (marks.Length < needed)
            marks = new int[Math.Max(needed, marks.Length * 2)];

        ref var start = ref buffer[0];
        ref var target = ref marks[0];
        var count = 0;
        var inString = 0UL;
        var escapeCarry = 0UL;
        var bad = 0UL;
        var high = Vector256<byte>.Zero;
        var escapes = 0UL;

        for (var position = 0; position < length; position += 64)
        {
            var low0 = Vector256.LoadUnsafe(ref start, (nuint)position);
            var low1 = Vector256.LoadUnsafe(ref start, (nuint)position + 32);
            if (position + 64 > length)
                MaskTail(position, ref low0, ref low1);
            high |= low0 | low1;

            var backslash = Bits(low0, low1, (byte)'\\');
            var quote = Bits(low0, low1, (byte)'"');
            if ((backslash | escapeCarry) != 0)
            {
                escapes |= backslash;
                quote &= ~Escaped(backslash, ref escapeCarry);
            }

            var within = PrefixXor(quote) ^ inString;
            inString = (ulong)((long)within >> 63);

            var folded0 = low0 | Vector256.Create((byte)0x20);
            var folded1 = low1 | Vector256.Create((byte)0x20);
            var structural = Bits(folded0, folded1, (byte)'{') | Bits(folded0, folded1, (byte)'}')
                | Bits(low0, low1, (byte)':') | Bits(low0, low1, (byte)',');

            // Control characters are not allowed inside strings.
            var control0 = Vector256.Equals(Vector256.Min(low0, Vector256.Create((byte)0x1f)), low0);
            var control1 = Vector256.Equals(Vector256.Min(low1, Vector256.Create((byte)0x1f)), low1);
            bad |= (control0.ExtractMostSignificantBits() | ((ulong)control1.ExtractMostSignificantBits() << 32)) & within;

            var found = (structural & ~within) | quote;
            while (found != 0)
            {
                Unsafe.Add(ref target, count++) = position + BitOperations.TrailingZeroCount(found);
                found &= found - 1;
            }
        }

        markCount = count;
        hasEscapes = escapes != 0;
        if (inString != 0 || bad != 0)
            return false;
        return high.ExtractMostSignificantBits() == 0 || Utf8.IsValid(buffer.AsSpan(0, length));
    }

    /// <summary>Blanks out what the reused buffer holds beyond the payload.</summary>
    private void MaskTail(int position, ref Vector256<byte> low0, ref Vector256<byte> low1)
    {
        buffer.AsSpan(length, position + 64 - length).Fill((byte)' ');
        low0 = Vector256.LoadUnsafe(ref buffer[0], (nuint)position);
        low1 = Vector256.LoadUnsafe(ref buffer[0], (nuint)position + 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Bits(Vector256<byte> low0, Vector256<byte> low1, byte value)
    {
        var wanted = Vector256.Create(value);
        return Vector256.Equals(low0, wanted).ExtractMostSignificantBits()
            | ((ulong)Vector256.Equals(low1, wanted).ExtractMostSignificantBits() << 32);
    }

    /// <summary>Positions that follow an odd run of backslashes.</summary>
    private static ulong Escaped(ulong backslash, ref ulong carry)
    {
        const ulong even = 0x5555555555555555;
        backslash &= ~carry;
        var follows = (backslash << 1) | carry;
        var oddStarts = backslash & ~even & ~follows;
        var sum = oddStarts + backslash;
        carry = sum < oddStarts ? 1UL : 0;
        return (even ^ (sum << 1)) & follows;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong PrefixXor(ulong bits)
    {
        if (Pclmulqdq.IsSupported)
            return Pclmulqdq.CarrylessMultiply(Vector128.CreateScalar(bits), Vector128.Create(ulong.MaxValue), 0).ToScalar();
        bits ^= bits << 1;
        bits ^= bits << 2;
        bits ^= bits << 4;
        bits ^= bits << 8;
        bits ^= bits << 16;
        bits ^= bits << 32;
        return bits;
    }

    /// <summary>Walks the object that opens at mark <paramref name="mark"/>.</summary>
    /// <returns>The mark after its closing brace, or -1 when it is not valid.</returns>
    private int ReadObject(int mark, PathNode? wanted)
    {
        var marks = this.marks;         // locals: the fields would be loaded anew after every store
        var buffer = this.buffer;
        var markCount = this.markCount;
        if (++depth > DepthMax)
            return -1;
        var position = marks[mark] + 1;
        mark++;
        if (mark >= markCount)
            return -1;
        if (buffer[marks[mark]] == '}')
        {
            depth--;
            return IsBlank(position, marks[mark]) ? mark + 1 : -1;
        }

        while (true)
        {
            // name
            if (mark + 2 >= markCount)
                return -1;
            var nameStart = marks[mark];
            if (buffer[nameStart] != '"' || !IsBlank(position, nameStart))
                return -1;
            var nameEnd = marks[mark + 1];
            var colon = marks[mark + 2];
            if (buffer[colon] != ':' || !IsBlank(nameEnd + 1, colon))
                return -1;
            if (hasEscapes && !AreEscapesValid(nameStart + 1, nameEnd))
                return -1;
            mark += 3;
            var value = mark;
            if (wanted is { HasTwins: true })
            {
                mark = ReadTwins(wanted, nameStart + 1, nameEnd, value, colon + 1, out position);
            }
            else
            {
                var child = wanted is null ? null : Match(wanted, nameStart + 1, nameEnd);
                mark = ReadValue(value, colon + 1, child, out position);
            }

            if (mark < 0 || mark >= markCount)
                return -1;

            var next = marks[mark];
            if (!IsBlank(position, next))
                return -1;
            mark++;
            position = next + 1;
            if (buffer[next] == ',')
                continue;
            depth--;
            return buffer[next] == '}' ? mark : -1;
        }
    }

    /// <summary>Queries that spell one name in two ways want the value twice.</summary>
    private int ReadTwins(PathNode wanted, int nameStart, int nameEnd, int value, int position, out int end)
    {
        var mark = ReadValue(value, position, null, out end);
        if (mark < 0)
            return mark;
        ReadOnlySpan<byte> name = buffer.AsSpan(nameStart, nameEnd - nameStart);
        if (hasEscapes && name.Contains((byte)'\\'))
            name = JsonText.Unescape(name);
        foreach (var child in wanted.Children)
        {
            if (IsMatch(child, name))
                _ = ReadValue(value, position, child, out _);
        }

        return mark;
    }

    private int ReadArray(int mark)
    {
        var marks = this.marks;
        var buffer = this.buffer;
        var markCount = this.markCount;
        if (++depth > DepthMax)
            return -1;
        var position = marks[mark] + 1;
        mark++;
        if (mark >= markCount)
            return -1;
        if (buffer[marks[mark]] == ']' && IsBlank(position, marks[mark]))
        {
            depth--;
            return mark + 1;
        }

        while (true)
        {
            mark = ReadValue(mark, position, null, out position);
            if (mark < 0 || mark >= markCount)
                return -1;
            var next = marks[mark];
            if (!IsBlank(position, next))
                return -1;
            mark++;
            position = next + 1;
            if (buffer[next] == ',')
                continue;
            depth--;
            return buffer[next] == ']' ? mark : -1;
        }
    }

    /// <summary>Reads the value that starts at or after <paramref name="position"/>; sets where it ends.</summary>
    private int ReadValue(int mark, int position, PathNode? wanted, out int end)
    {
        var marks = this.marks;
        var buffer = this.buffer;
        var markCount = this.markCount;
        end = position;
        if (mark >= markCount)
            return -1;
        while (buffer[position] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
            position++;

        var start = position;
        Kind kind;
        switch (buffer[position])
        {
            case (byte)'"':
                if (marks[mark] != position || mark + 1 >= markCount)
                    return -1;
                var close = marks[mark + 1];
                var escaped = hasEscapes && buffer.AsSpan(start + 1, close - start - 1).Contains((byte)'\\');
                if (escaped && !AreEscapesValid(start + 1, close))
                    return -1;
                end = close + 1;
                if (wanted is not null && wanted.Slot >= 0)
                    Keep(wanted, start, Value.Slice(escaped ? Kind.EscapedText : Kind.Text, buffer, start + 1, close - start - 1));
                return mark + 2;
            case (byte)'{':
                if (marks[mark] != position)
                    return -1;
                mark = ReadObject(mark, wanted is { Children.Length: > 0 } ? wanted : null);
                kind = Kind.Record;
                break;
            case (byte)'[':
                if (marks[mark] != position)
                    return -1;
                mark = ReadArray(mark);
                kind = Kind.Array;
                break;
            default:
                return ReadScalar(mark, start, wanted, out end);
        }

        if (mark < 0)
            return -1;
        end = marks[mark - 1] + 1;
        if (wanted is not null && wanted.Slot >= 0)
            Keep(wanted, start, Value.Slice(kind, buffer, start, end - start));
        return mark;
    }

    private int ReadScalar(int mark, int start, PathNode? wanted, out int end)
    {
        end = marks[mark];
        while (end > start && buffer[end - 1] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
            end--;
        var text = buffer.AsSpan(start, end - start);
        Value value;
        if (text.Length == 0)
            return -1;
        if (text[0] == '-' || (uint)(text[0] - '0') <= 9)
        {
            if (!IsNumber(text))
                return -1;
            if (wanted is null || wanted.Slot < 0)
                return mark;
            Keep(wanted, start, Value.Slice(Kind.NumberText, buffer, start, end - start));
            return mark;
        }

        if (text.SequenceEqual("true"u8))
            value = Value.Of(true);
        else if (text.SequenceEqual("false"u8))
            value = Value.Of(false);
        else if (text.SequenceEqual("null"u8))
            value = Value.Null;
        else
            return -1;
        if (wanted is not null && wanted.Slot >= 0)
            Keep(wanted, start, value);
        return mark;
    }

    private void Keep(PathNode wanted, int start, in Value value)
    {
        slots[wanted.Slot] = value;
        places[wanted.Slot] = start;
    }

    internal static bool IsNumber(ReadOnlySpan<byte> text)
    {
        var index = text[0] == '-' ? 1 : 0;
        if (index >= text.Length)
            return false;
        if (text[index] == '0')
            index++;
        else if (!SkipDigits(text, ref index))
            return false;
        if (index < text.Length && text[index] == '.')
        {
            index++;
            if (!SkipDigits(text, ref index))
                return false;
        }

        if (index < text.Length && (text[index] | 0x20) == 'e')
        {
            index++;
            if (index < text.Length && text[index] is (byte)'+' or (byte)'-')
                index++;
            if (!SkipDigits(text, ref index))
                return false;
        }

        return index == text.Length;
    }

    private static bool SkipDigits(ReadOnlySpan<byte> text, ref int index)
    {
        var start = index;
        while (index < text.Length && (uint)(text[index] - '0') <= 9)
            index++;
        return index > start;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsBlank(int from, int to) => from >= to || IsBlankSlowly(from, to);

    private bool IsBlankSlowly(int from, int to)
        => buffer.AsSpan(from, to - from).IndexOfAnyExcept((byte)' ', (byte)'\n', (byte)'\r') < 0
            || buffer.AsSpan(from, to - from).IndexOfAnyExcept(" \n\r\t"u8) < 0;

    private bool AreEscapesValid(int from, int to)
    {
        var text = buffer.AsSpan(from, to - from);
        while (true)
        {
            var at = text.IndexOf((byte)'\\');
            if (at < 0)
                return true;
            if (at + 1 >= text.Length)
                return false;
            var kind = text[at + 1];
            text = text[(at + 2)..];
            if (kind == 'u')
            {
                if (text.Length < 4 || !IsHex(text[0]) || !IsHex(text[1]) || !IsHex(text[2]) || !IsHex(text[3]))
                    return false;
                text = text[4..];
            }
            else if (!"\"\\/bfnrt"u8.Contains(kind))
            {
                return false;
            }
        }
    }

    private static bool IsHex(byte value) => char.IsAsciiHexDigit((char)value);

    /// <summary>The wanted child that this name selects: its exact spelling, else the first spelling in another case.</summary>
    private PathNode? Match(PathNode wanted, int from, int to)
    {
        ReadOnlySpan<byte> name = buffer.AsSpan(from, to - from);
        if (hasEscapes && name.Contains((byte)'\\'))
            name = JsonText.Unescape(name);
        foreach (var child in wanted.Children)
        {
            if (IsMatch(child, name))
                return child;
        }

        return null;
    }

    private bool IsMatch(PathNode child, ReadOnlySpan<byte> name)
    {
        if (child.Name.Length == name.Length && name.SequenceEqual(child.Name))
        {
            ref var mark = ref seen[child.Id];
            if (mark.Stamp == stamp)
                ForgetBelow(child);
            mark = (stamp, 2);
            return true;
        }

        if (!JsonText.EqualsIgnoringCase(name, child.Name, child.IsAscii) || seen[child.Id].Stamp == stamp)
            return false;
        seen[child.Id] = (stamp, 1);
        return true;
    }

    private void ForgetBelow(PathNode node)
    {
        if (node.Slot >= 0)
        {
            slots[node.Slot] = default;
            places[node.Slot] = -1;
        }

        foreach (var child in node.Children)
        {
            seen[child.Id] = default;
            ForgetBelow(child);
        }
    }
}
