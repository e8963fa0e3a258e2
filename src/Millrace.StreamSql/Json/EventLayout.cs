using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;
using System.Text.Unicode;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Json;

/// <summary>
/// What an event that was read the long way teaches about the next one: its text cut into pieces that stay (names, punctuation,
/// blanks) and the strings, numbers and words between them. An event whose pieces are the same byte for byte is valid when its
/// scalars are, and its wanted values lie at the same pieces: nothing is looked up. Hot: a piece costs a vector comparison, a
/// scalar about as much.
/// </summary>
internal sealed class EventLayout
{
    private const int ScalarsMax = 400;
    private const int BytesMax = 16 * 1024;

    /// <summary>Longest number, in bytes, that one vector shows whole with something behind it.</summary>
    private const int DigitsMax = 24;

    private readonly record struct Piece(int Start, int Length);

    /// <summary>Where a slot's value lies: a scalar, or from one piece to another.</summary>
    /// <param name="Slot">Slot in the row.</param>
    /// <param name="First">The scalar's number, or the piece in which a record or array starts; −1: the field is missing.</param>
    /// <param name="Offset">Offset in that piece.</param>
    /// <param name="Last">The piece in which a record or array ends; −1 for a scalar.</param>
    /// <param name="End">Offset in that piece.</param>
    private readonly record struct Wanted(int Slot, int First, int Offset, int Last, int End, Kind Kind);

    private readonly byte[] fixedText;
    private readonly Piece[] pieces;
    private readonly Wanted[] wanted;
    private readonly bool isAscii;

    // Per event: where piece n starts, and the scalar before it ends.
    private readonly int[] starts;

    private EventLayout(byte[] fixedText, Piece[] pieces, Wanted[] wanted, bool isAscii)
    {
        this.fixedText = fixedText;
        this.pieces = pieces;
        this.wanted = wanted;
        this.isAscii = isAscii;
        starts = new int[pieces.Length];
    }

    /// <summary>How often the layout fitted since it was learnt.</summary>
    public long Hits { get; private set; }

    /// <summary>Reads an event that has this layout; false says nothing about the event.</summary>
    /// <param name="buffer">The event, with <see cref="EventReader.Padding"/> bytes behind it.</param>
    public bool TryRead(byte[] buffer, int length, Value[] slots)
    {
        ref var text = ref MemoryMarshal.GetArrayDataReference(buffer);
        ref var expected = ref MemoryMarshal.GetArrayDataReference(fixedText);
        var starts = this.starts;
        var pieces = this.pieces;
        var high = Vector256<byte>.Zero;
        var position = 0;
        for (var index = 0; ; index++)
        {
            starts[index] = position;
            var piece = pieces[index];
            if (position + piece.Length > length || !IsSame(ref text, position, ref expected, piece))
                return false;
            position += piece.Length;
            if (index == pieces.Length - 1)
                break;
            position = Unsafe.Add(ref text, position) == '"'
                ? StringEnd(ref text, position + 1, length, ref high)
                : NumberOrWordEnd(ref text, position);
            if (position < 0)
                return false;
        }

        if (position != length)
            return false;
        if ((high.ExtractMostSignificantBits() != 0 || !isAscii) && !Utf8.IsValid(buffer.AsSpan(0, length)))
            return false;
        Hits++;
        Fill(buffer, slots);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSame(ref byte text, int position, ref byte expected, Piece piece)
    {
        // Both sides are padded, so whole vectors can be read; the bits behind the piece do not count.
        var offset = piece.Start;
        var left = piece.Length;
        for (; left > 32; left -= 32, position += 32, offset += 32)
        {
            if (Vector256.LoadUnsafe(ref text, (nuint)position) != Vector256.LoadUnsafe(ref expected, (nuint)offset))
                return false;
        }

        var different = ~Vector256.Equals(
            Vector256.LoadUnsafe(ref text, (nuint)position), Vector256.LoadUnsafe(ref expected, (nuint)offset)).ExtractMostSignificantBits();
        return different << (32 - left) == 0;
    }

    /// <summary>Position behind the closing quote; −1 for what the long way has to look at (escapes, control characters).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int StringEnd(ref byte text, int position, int length, ref Vector256<byte> high)
    {
        while (position < length)
        {
            var bytes = Vector256.LoadUnsafe(ref text, (nuint)position);
            high |= bytes;
            var stops = Vector256.Equals(bytes, Vector256.Create((byte)'"'))
                | Vector256.Equals(bytes, Vector256.Create((byte)'\\'))
                | Vector256.Equals(Vector256.Min(bytes, Vector256.Create((byte)0x1f)), bytes);
            var bits = stops.ExtractMostSignificantBits();
            if (bits == 0)
            {
                position += 32;
                continue;
            }

            position += BitOperations.TrailingZeroCount(bits);
            return Unsafe.Add(ref text, position) == '"' ? position + 1 : -1;
        }

        return -1;
    }

    /// <summary>Position behind a number without exponent, true, false or null; −1 for anything else.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int NumberOrWordEnd(ref byte text, int position)
    {
        var shifted = Vector256.LoadUnsafe(ref text, (nuint)position) - Vector256.Create((byte)'0');
        var digits = Vector256.Equals(Vector256.Min(shifted, Vector256.Create((byte)9)), shifted).ExtractMostSignificantBits();
        var sign = Unsafe.Add(ref text, position) == '-' ? 1 : 0;
        var whole = BitOperations.TrailingZeroCount(~(digits >> sign));
        if (whole == 0)
            return sign == 0 ? WordEnd(ref text, position) : -1;
        var first = position + sign;
        if (whole > DigitsMax || (whole > 1 && Unsafe.Add(ref text, first) == '0'))
            return -1;

        // What follows is checked with the next piece: it begins with the comma, bracket or blank that must stand there.
        position = first + whole;
        if (Unsafe.Add(ref text, position) != '.')
            return position;
        var fraction = BitOperations.TrailingZeroCount(~(digits >> (sign + whole + 1)));
        return fraction > 0 && sign + whole + fraction <= DigitsMax ? position + 1 + fraction : -1;
    }

    private static int WordEnd(ref byte text, int position)
    {
        var word = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref text, position));
        if (word == MemoryMarshal.Read<uint>("true"u8) || word == MemoryMarshal.Read<uint>("null"u8))
            return position + 4;
        return word == MemoryMarshal.Read<uint>("fals"u8) && Unsafe.Add(ref text, position + 4) == 'e' ? position + 5 : -1;
    }

    private void Fill(byte[] buffer, Value[] slots)
    {
        var starts = this.starts;
        foreach (ref readonly var value in wanted.AsSpan())
        {
            ref var slot = ref slots[value.Slot];
            if (value.First < 0)
            {
                slot = default;
                continue;
            }

            if (value.Last >= 0)
            {
                var from = starts[value.First] + value.Offset;
                slot = Value.Slice(value.Kind, buffer, from, starts[value.Last] + value.End - from);
                continue;
            }

            var start = starts[value.First] + value.Offset;
            var end = starts[value.First + 1];
            slot = buffer[start] switch
            {
                (byte)'"' => Value.Slice(Kind.Text, buffer, start + 1, end - start - 2),
                (byte)'t' => Value.Of(true),
                (byte)'f' => Value.Of(false),
                (byte)'n' => Value.Null,
                _ => Value.Slice(Kind.NumberText, buffer, start, end - start),
            };
        }
    }

    /// <summary>Learns the layout of an event that has been read and is valid; null when it is too large to be worth it.</summary>
    /// <param name="places">Per slot, where its value's text starts; −1: the field is missing.</param>
    public static EventLayout? Learn(byte[] buffer, int length, Value[] slots, ReadOnlySpan<int> places)
    {
        if (length > BytesMax)
            return null;
        ReadOnlySpan<byte> text = buffer.AsSpan(0, length);
        var scalars = new List<(int Start, int End)>();
        for (var index = 0; index < length;)
        {
            switch (text[index])
            {
                case (byte)'"':
                    var end = JsonText.StringEnd(text, index + 1, out _) + 1;
                    var next = JsonText.SkipBlank(text, end);
                    if (next == length || text[next] != ':')
                        scalars.Add((index, end));
                    index = end;
                    break;
                case (byte)'-' or (byte)'t' or (byte)'f' or (byte)'n' or (>= (byte)'0' and <= (byte)'9'):
                    var scalarEnd = index + text[index..].IndexOfAny(JsonText.ScalarEnds);
                    scalars.Add((index, scalarEnd));
                    index = scalarEnd;
                    break;
                default:
                    index++;
                    break;
            }
        }

        if (scalars.Count > ScalarsMax)
            return null;
        scalars.Add((length, length));
        var fixedText = new byte[length + 32];
        var pieces = new Piece[scalars.Count];
        var pieceStarts = new int[scalars.Count];
        var used = 0;
        for (var (index, from) = (0, 0); index < pieces.Length; from = scalars[index++].End)
        {
            var piece = text[from..scalars[index].Start];
            piece.CopyTo(fixedText.AsSpan(used));
            pieces[index] = new Piece(used, piece.Length);
            pieceStarts[index] = from;
            used += piece.Length;
        }

        var wanted = new Wanted[places.Length];
        for (var slot = 0; slot < wanted.Length; slot++)
            wanted[slot] = Locate(slot, places[slot], slots[slot], text, pieceStarts);
        return new EventLayout(fixedText, pieces, wanted, Ascii.IsValid(fixedText.AsSpan(0, used)));
    }

    private static Wanted Locate(int slot, int place, in Value value, ReadOnlySpan<byte> text, int[] pieceStarts)
    {
        if (place < 0)
            return new Wanted(slot, -1, 0, -1, 0, Kind.Missing);
        var first = PieceAt(pieceStarts, place);
        if (text[place] is not ((byte)'{' or (byte)'['))
            return new Wanted(slot, first, place - pieceStarts[first], -1, 0, Kind.Missing);
        var end = place + value.Length;
        var last = PieceAt(pieceStarts, end - 1);
        return new Wanted(slot, first, place - pieceStarts[first], last, end - pieceStarts[last], value.Kind);
    }

    /// <summary>The last piece that starts at or before a place; a scalar's place is the end of the piece before it.</summary>
    private static int PieceAt(int[] pieceStarts, int place)
    {
        var found = Array.BinarySearch(pieceStarts, place);
        return found >= 0 ? found : ~found - 1;
    }
}
