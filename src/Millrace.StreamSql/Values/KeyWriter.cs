using System.Buffers.Binary;

namespace Millrace.StreamSql.Values;

/// <summary>
/// Encodes keys (GROUP BY, PARTITION BY, DISTINCT) so that equal keys have equal bytes, 1 and 1.0 included, and bytes sort
/// as the values do. Part of the snapshot format (docs/formats/query-snapshot.md).
/// </summary>
internal sealed class KeyWriter
{
    private const byte NullTag = 1;
    private const byte BitTag = 2;
    private const byte NumberTag = 3;
    private const byte DatetimeTag = 4;
    private const byte TextTag = 5;
    private const byte RecordTag = 6;
    private const byte ArrayTag = 7;

    private const byte WholeNumber = 0;      // decoded as bigint
    private const byte WholeWithRest = 1;    // bigint beyond 2^53: 8 bytes follow
    private const byte FloatNumber = 2;

    private byte[] bytes = new byte[256];
    private int used;

    public ReadOnlySpan<byte> Key => bytes.AsSpan(0, used);

    public void Clear() => used = 0;

    public void Add(in Value value)
    {
        switch (value.Kind)
        {
            case Kind.Missing or Kind.Null:
                Reserve(1);
                bytes[used++] = NullTag;
                break;
            case Kind.Bit:
                Reserve(2);
                bytes[used++] = BitTag;
                bytes[used++] = (byte)value.Bits;
                break;
            case Kind.Datetime:
                Reserve(9);
                bytes[used++] = DatetimeTag;
                BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(used), value.Bits);
                used += 8;
                break;
            case Kind.Bigint:
                AddWhole(value.Bits);
                break;
            case Kind.Float:
                AddFloat(value.Double);
                break;
            case Kind.NumberText:
                // A number beyond a double's range keeps its digits: equal texts stay one key.
                if (Numbers.TryParse(value.Span, out var number))
                    Add(number);
                else
                    AddBytes(RecordTag, value.Span);
                break;
            case Kind.Text or Kind.EscapedText:
                AddBytes(TextTag, Conversion.TextBytes(value));
                break;
            default:
                AddBytes(value.Kind == Kind.Record ? RecordTag : ArrayTag, Conversion.Compact(value));
                break;
        }
    }

    private void AddWhole(long value)
    {
        Reserve(18);
        var rounded = (double)value;
        bytes[used++] = NumberTag;
        AddOrdered(rounded);
        if (value is >= -9007199254740992 and <= 9007199254740992)
        {
            bytes[used++] = WholeNumber;
            return;
        }

        bytes[used++] = WholeWithRest;
        var rest = (long)((Int128)value - (Int128)rounded);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(used), rest ^ long.MinValue);
        used += 8;
    }

    private void AddFloat(double value)
    {
        if (value == Math.Truncate(value) && value is >= -9223372036854775808.0 and < 9223372036854775808.0)
        {
            AddWhole((long)value);
            return;
        }

        Reserve(10);
        bytes[used++] = NumberTag;
        AddOrdered(value);
        bytes[used++] = FloatNumber;
    }

    private void AddOrdered(double value)
    {
        if (value == 0)
            value = 0;       // −0 and 0 are one key
        var bits = BitConverter.DoubleToInt64Bits(value);
        bits = bits < 0 ? ~bits : bits ^ long.MinValue;
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(used), bits);
        used += 8;
    }

    /// <summary>Bytes, 0 written as 0 255, closed by 0 0: shorter text sorts first and a prefix never hides the next part.</summary>
    private void AddBytes(byte tag, ReadOnlySpan<byte> text)
    {
        Reserve(text.Length * 2 + 3);
        bytes[used++] = tag;
        if (text.Contains((byte)0))
        {
            foreach (var value in text)
            {
                bytes[used++] = value;
                if (value == 0)
                    bytes[used++] = 255;
            }
        }
        else
        {
            text.CopyTo(bytes.AsSpan(used));
            used += text.Length;
        }

        bytes[used++] = 0;
        bytes[used++] = 0;
    }

    private void Reserve(int count)
    {
        if (bytes.Length - used < count)
            Array.Resize(ref bytes, Math.Max(bytes.Length * 2, used + count));
    }

    /// <summary>Decodes the value at <paramref name="offset"/> and moves behind it. Text refers to <paramref name="key"/>.</summary>
    public static Value Read(byte[] key, ref int offset)
    {
        switch (key[offset++])
        {
            case NullTag:
                return Value.Null;
            case BitTag:
                return Value.Of(key[offset++] != 0);
            case DatetimeTag:
                offset += 8;
                return Value.OfTicks(BinaryPrimitives.ReadInt64BigEndian(key.AsSpan(offset - 8)));
            case NumberTag:
                var bits = BinaryPrimitives.ReadInt64BigEndian(key.AsSpan(offset));
                var number = BitConverter.Int64BitsToDouble(bits < 0 ? bits ^ long.MinValue : ~bits);
                offset += 8;
                switch (key[offset++])
                {
                    case WholeNumber:
                        return Value.Of((long)number);
                    case WholeWithRest:
                        var rest = BinaryPrimitives.ReadInt64BigEndian(key.AsSpan(offset)) ^ long.MinValue;
                        offset += 8;
                        return Value.Of((long)((Int128)number + rest));
                    default:
                        return Value.Of(number);
                }

            case TextTag:
                return ReadBytes(Kind.Text, key, ref offset);
            case RecordTag:
                return ReadBytes(Kind.Record, key, ref offset);
            default:
                return ReadBytes(Kind.Array, key, ref offset);
        }
    }

    private static Value ReadBytes(Kind kind, byte[] key, ref int offset)
    {
        var start = offset;
        var escaped = false;
        while (true)
        {
            offset += key.AsSpan(offset).IndexOf((byte)0);
            if (key[offset + 1] == 0)
                break;
            escaped = true;
            offset += 2;
        }

        var length = offset - start;
        offset += 2;
        if (!escaped)
            return Value.Slice(kind, key, start, length);

        var plain = new List<byte>(length);
        for (var index = start; index < start + length; index++)
        {
            plain.Add(key[index]);
            if (key[index] == 0)
                index++;
        }

        return Value.OfBytes(kind, [.. plain]);
    }

    /// <summary>A 64-bit hash that depends on every byte; the same on every machine and in every release.</summary>
    public static ulong Hash(ReadOnlySpan<byte> key)
    {
        var whole = key;
        var hash = 0x9E3779B97F4A7C15UL ^ (ulong)key.Length;
        while (key.Length >= 8)
        {
            hash = Mix(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(key), 0xA0761D6478BD642FUL);
            key = key[8..];
        }

        // The last eight bytes, without those that have had their turn.
        ulong tail = 0;
        if (whole.Length >= 8 && key.Length > 0)
        {
            tail = BinaryPrimitives.ReadUInt64LittleEndian(whole[^8..]) >> (64 - (key.Length * 8));
        }
        else
        {
            for (var index = 0; index < key.Length; index++)
                tail |= (ulong)key[index] << (index * 8);
        }

        hash = Mix(hash ^ tail, 0xE7037ED1A0B428DBUL);
        return Mix(hash, 0x8EBC6AF09C88C6E3UL);
    }

    private static ulong Mix(ulong a, ulong b)
    {
        var high = Math.BigMul(a, b, out var low);
        return high ^ low;
    }
}
