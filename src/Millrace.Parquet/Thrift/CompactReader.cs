using System.Text;

namespace Millrace.Parquet.Thrift;

/// <summary>
/// Reads Thrift's compact protocol from bytes that nobody vouches for: every length is checked against what is left, and
/// fields this library does not know are skipped by type.
/// </summary>
internal ref struct CompactReader(ReadOnlySpan<byte> data, long baseOffset)
{
    /// <summary>Metadata nests six deep; unknown fields may nest a little more.</summary>
    private const int DepthMax = 24;

    private readonly ReadOnlySpan<byte> _data = data;

    public int Position { get; private set; }

    public readonly long Offset => baseOffset + Position;

    /// <summary>Steps to the next field of a struct; false at its end. <paramref name="id"/> starts at 0.</summary>
    public bool NextField(ref int id, out CompactType type)
    {
        var head = Byte();
        type = (CompactType)(head & 15);
        if (head == 0)
            return false;
        if (type is CompactType.Stop or > CompactType.Struct)
            throw Fault($"field type {(int)type} does not exist");

        var step = head >> 4;
        id = step != 0 ? id + step : checked((int)Clamp(ZigZag()));
        return true;
    }

    public bool Bool(CompactType type) => type switch
    {
        CompactType.True => true,
        CompactType.False => false,
        _ => throw Wrong(type, "bool"),
    };

    public sbyte I8(CompactType type)
    {
        Expect(type, CompactType.I8);
        return (sbyte)Byte();
    }

    public int I32(CompactType type)
    {
        if (type is not (CompactType.I32 or CompactType.I16))
            throw Wrong(type, "i32");

        var value = ZigZag();
        return value is >= int.MinValue and <= int.MaxValue ? (int)value : throw Fault($"{value} does not fit in an i32");
    }

    public long I64(CompactType type)
    {
        if (type is not (CompactType.I64 or CompactType.I32))
            throw Wrong(type, "i64");

        return ZigZag();
    }

    public ReadOnlySpan<byte> Binary(CompactType type)
    {
        Expect(type, CompactType.Binary);
        var length = Varint();
        if (length > (ulong)(_data.Length - Position))
            throw Ended();

        var bytes = _data.Slice(Position, (int)length);
        Position += (int)length;
        return bytes;
    }

    public string String(CompactType type) => Encoding.UTF8.GetString(Binary(type));

    /// <summary>Opens a list; the count never exceeds the bytes left, since an element takes at least one.</summary>
    public int List(CompactType type, out CompactType element)
    {
        if (type is not (CompactType.List or CompactType.Set))
            throw Wrong(type, "list");

        var head = Byte();
        element = (CompactType)(head & 15);
        var count = head >> 4 == 15 ? Varint() : (ulong)(head >> 4);
        if (count > (ulong)(_data.Length - Position))
            throw Ended();

        return (int)count;
    }

    public int List(CompactType type, CompactType expected)
    {
        var count = List(type, out var element);
        if (count > 0)
            Expect(element, expected);

        return count;
    }

    /// <summary>A bool inside a list is a byte of its own; inside a field it has no body.</summary>
    public bool BoolElement() => Byte() == 1;

    public readonly void Expect(CompactType type, CompactType expected)
    {
        if (type != expected)
            throw Wrong(type, expected.ToString());
    }

    public void Skip(CompactType type, int depth = 0)
    {
        if (depth > DepthMax)
            throw Fault("the metadata nests too deeply");

        switch (type)
        {
            case CompactType.True or CompactType.False:
                break;
            case CompactType.I8:
                Byte();
                break;
            case CompactType.I16 or CompactType.I32 or CompactType.I64:
                Varint();
                break;
            case CompactType.Double:
                Advance(8);
                break;
            case CompactType.Binary:
                Binary(type);
                break;
            case CompactType.List or CompactType.Set:
                SkipList(type, depth);
                break;
            case CompactType.Map:
                SkipMap(depth);
                break;
            case CompactType.Struct:
                var id = 0;
                while (NextField(ref id, out var field))
                    Skip(field, depth + 1);
                break;
            default:
                throw Fault($"field type {(int)type} does not exist");
        }
    }

    public readonly ParquetFormatException Fault(string what) => new($"metadata: {what}", Offset);

    private void SkipList(CompactType type, int depth)
    {
        var count = List(type, out var element);
        for (var i = 0; i < count; i++)
            SkipElement(element, depth);
    }

    private void SkipMap(int depth)
    {
        var count = Varint();
        if (count == 0)
            return;
        if (count > (ulong)(_data.Length - Position))
            throw Ended();

        var types = Byte();
        for (var i = 0; i < (int)count; i++)
        {
            SkipElement((CompactType)(types >> 4), depth);
            SkipElement((CompactType)(types & 15), depth);
        }
    }

    private void SkipElement(CompactType element, int depth)
    {
        if (element is CompactType.True or CompactType.False)
            Byte();
        else
            Skip(element, depth + 1);
    }

    private long ZigZag()
    {
        var value = Varint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var next = Byte();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }

        throw Fault("a number takes more than ten bytes");
    }

    private byte Byte() => Position < _data.Length ? _data[Position++] : throw Ended();

    private void Advance(int count)
    {
        if (count > _data.Length - Position)
            throw Ended();

        Position += count;
    }

    private readonly long Clamp(long id) =>
        id is >= short.MinValue and <= short.MaxValue ? id : throw Fault($"field id {id} is out of range");

    private readonly ParquetFormatException Wrong(CompactType type, string expected) =>
        Fault($"a field has type {type} where {expected} belongs");

    private readonly ParquetFormatException Ended() =>
        new("metadata: the bytes end in the middle of it", Offset) { Incomplete = true };
}
