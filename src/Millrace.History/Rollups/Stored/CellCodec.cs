using System.Buffers.Binary;

namespace Millrace.History.Rollups.Stored;

/// <summary>The cells of one field as bytes (docs/formats/rollups.md).</summary>
internal static class CellCodec
{
    [Flags]
    private enum Marks : byte
    {
        None = 0,
        Single = 1,
        MinIsFirst = 2,
        MaxIsFirst = 4,
        MinIsLast = 8,
        MaxIsLast = 16,
        RiseIsDifference = 32,
        NeedsRecount = 64,
        RiseIsZero = 128,
    }

    /// <param name="before">Number of the cell before, counted from the file's base; returned for the next.</param>
    public static void Write(ByteWriter output, Cell cell, ref long before, long cellLength, long baseTime, bool withPlaces)
    {
        var number = (cell.Start - baseTime) / cellLength;
        output.Varint((ulong)(number - before));
        before = number;
        output.Varint((ulong)cell.Count);
        var marks = MarksOf(cell);
        output.Byte((byte)marks);
        output.Varint((ulong)(cell.First.Time - cell.Start));
        var isSingle = (marks & Marks.Single) != 0;
        if (!isSingle)
            output.Varint((ulong)(cell.Last.Time - cell.First.Time));
        if (withPlaces)
            WritePlaces(output, cell, isSingle);

        output.Double(cell.First.Value);
        if (isSingle)
            return;
        output.Double(cell.Last.Value);
        if ((marks & (Marks.MinIsFirst | Marks.MinIsLast)) == 0)
            output.Double(cell.Min);
        if ((marks & (Marks.MaxIsFirst | Marks.MaxIsLast)) == 0)
            output.Double(cell.Max);
        WriteParts(output, cell.ExactSum);
        if ((marks & (Marks.RiseIsDifference | Marks.RiseIsZero)) == 0)
            WriteParts(output, cell.ExactRise);
    }

    /// <exception cref="InvalidDataException">The bytes are no cell.</exception>
    public static Cell Read(ref ByteReader input, ref long before, long cellLength, long baseTime, bool withPlaces)
    {
        before += (long)input.Varint();
        var start = baseTime + before * cellLength;
        var count = (long)input.Varint();
        var marks = (Marks)input.Byte();
        var isSingle = (marks & Marks.Single) != 0;
        var firstTime = start + (long)input.Varint();
        var lastTime = isSingle ? firstTime : firstTime + (long)input.Varint();
        var (firstPlace, lastPlace) = withPlaces ? ReadPlaces(ref input, isSingle) : default;
        var first = new Sample(firstTime, firstPlace.Partition, firstPlace.Sequence, input.Double());
        if (isSingle)
        {
            var single = new Cell(start);
            single.Add(first);
            return single;
        }

        var last = new Sample(lastTime, lastPlace.Partition, lastPlace.Sequence, input.Double());
        var min = (marks & Marks.MinIsFirst) != 0 ? first.Value : (marks & Marks.MinIsLast) != 0 ? last.Value : input.Double();
        var max = (marks & Marks.MaxIsFirst) != 0 ? first.Value : (marks & Marks.MaxIsLast) != 0 ? last.Value : input.Double();
        var sum = ReadParts(ref input);
        var rise = (marks & Marks.RiseIsZero) != 0 ? default
            : (marks & Marks.RiseIsDifference) != 0 ? Difference(first.Value, last.Value)
            : ReadParts(ref input);
        return Cell.Restore(start, count, min, max, first, last, sum, rise, (marks & Marks.NeedsRecount) != 0);
    }

    private static Marks MarksOf(Cell cell)
    {
        if (cell.Count == 1)
            return Marks.Single;

        var marks = cell.NeedsRecount ? Marks.NeedsRecount : Marks.None;
        marks |= Same(cell.Min, cell.First.Value) ? Marks.MinIsFirst : Same(cell.Min, cell.Last.Value) ? Marks.MinIsLast : Marks.None;
        marks |= Same(cell.Max, cell.First.Value) ? Marks.MaxIsFirst : Same(cell.Max, cell.Last.Value) ? Marks.MaxIsLast : Marks.None;
        if (cell.ExactRise.Parts.IsEmpty)
            return marks | Marks.RiseIsZero;
        return cell.ExactRise.Parts.SequenceEqual(Difference(cell.First.Value, cell.Last.Value).Parts) ? marks | Marks.RiseIsDifference : marks;
    }

    /// <summary>The same bits: zero has two signs.</summary>
    private static bool Same(double a, double b) => BitConverter.DoubleToInt64Bits(a) == BitConverter.DoubleToInt64Bits(b);

    private static ExactSum Difference(double from, double to)
    {
        var rise = default(ExactSum);
        Cell.AddRise(from, to, ref rise);
        return rise;
    }

    private static void WritePlaces(ByteWriter output, Cell cell, bool isSingle)
    {
        output.Varint((ulong)cell.First.Partition);
        output.Varint((ulong)cell.First.Sequence);
        if (isSingle)
            return;
        output.Varint((ulong)cell.Last.Partition);
        output.Varint((ulong)cell.Last.Sequence);
    }

    private static ((int Partition, long Sequence) First, (int Partition, long Sequence) Last) ReadPlaces(ref ByteReader input, bool isSingle)
    {
        var first = ((int)input.Varint(), (long)input.Varint());
        return (first, isSingle ? first : ((int)input.Varint(), (long)input.Varint()));
    }

    private static void WriteParts(ByteWriter output, in ExactSum sum)
    {
        output.Byte((byte)sum.Parts.Length);
        foreach (var part in sum.Parts)
            output.Double(part);
    }

    private static ExactSum ReadParts(ref ByteReader input)
    {
        var parts = new double[input.Byte()];
        for (var i = 0; i < parts.Length; i++)
            parts[i] = input.Double();
        return ExactSum.FromParts(parts);
    }
}

/// <summary>Bytes that grow.</summary>
internal sealed class ByteWriter
{
    private byte[] _bytes = new byte[4096];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Length);

    public void Clear() => Length = 0;

    public void Byte(byte value) => Reserve(1)[0] = value;

    public void Double(double value) => BinaryPrimitives.WriteDoubleLittleEndian(Reserve(8), value);

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Reserve(4), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Reserve(8), value);

    public void Bytes(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Reserve(bytes.Length));

    public void Varint(ulong value)
    {
        while (value >= 0x80)
        {
            Byte((byte)(value | 0x80));
            value >>= 7;
        }

        Byte((byte)value);
    }

    private Span<byte> Reserve(int count)
    {
        if (_bytes.Length - Length < count)
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, Length + count));
        var span = _bytes.AsSpan(Length, count);
        Length += count;
        return span;
    }
}

/// <summary>Reads what <see cref="ByteWriter"/> wrote; bytes that end too soon are a clear error.</summary>
internal ref struct ByteReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool IsAtEnd => _rest.IsEmpty;

    public byte Byte() => Bytes(1)[0];

    public double Double() => BinaryPrimitives.ReadDoubleLittleEndian(Bytes(8));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8));

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if ((uint)count > (uint)_rest.Length)
            throw new InvalidDataException("The roll-up ends too soon.");
        var span = _rest[..count];
        _rest = _rest[count..];
        return span;
    }

    public ulong Varint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var part = Byte();
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
                return value;
        }

        throw new InvalidDataException("The roll-up holds a number that is none.");
    }
}
