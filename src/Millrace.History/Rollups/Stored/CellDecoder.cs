namespace Millrace.History.Rollups.Stored;

/// <summary>Reads what <see cref="CellEncoder"/> wrote; bytes that are no cells are a clear error.</summary>
internal sealed class CellDecoder(long cellLength, long baseTime, bool withPlaces)
{
    /// <summary>More than a day's minutes and a sum's parts can be; a damaged length must not ask for memory.</summary>
    private const int CountMax = 1 << 20;

    private readonly List<CellFrame> _frames = [];

    /// <summary>Begins a series.</summary>
    public void Begin() => _frames.Clear();

    /// <summary>The cells of the series' next field; null when they are not wanted: then only what the fields share is read.</summary>
    /// <exception cref="InvalidDataException">The bytes are no cells.</exception>
    public List<Cell>? Read(ReadOnlySpan<byte> bytes, bool isWanted)
    {
        var input = new ByteReader(bytes);
        var head = input.Byte();
        var scale = head & 15;
        if (scale > StoredNumber.ScaleMax)
            throw new InvalidDataException("The roll-up holds a field that is none.");
        if ((head & CellEncoder.SameFrames) == 0)
            ReadFrames(ref input);
        if (!isWanted)
            return null;

        var cells = new List<Cell>(_frames.Count);
        var near = 0L;
        foreach (var frame in _frames)
            cells.Add(ReadValues(ref input, frame, scale, ref near));
        return cells;
    }

    /// <summary>The rise of a cell that only rose.</summary>
    internal static ExactSum Difference(double from, double to)
    {
        var rise = default(ExactSum);
        Cell.AddRise(from, to, ref rise);
        return rise;
    }

    private void ReadFrames(ref ByteReader input)
    {
        _frames.Clear();
        var before = 0L;
        for (var left = Count(ref input); left > 0; left--)
        {
            before += (long)input.Varint();
            var start = baseTime + before * cellLength;
            var count = (long)input.Varint();
            var first = start + ReadTime(ref input);
            var last = count > 1 ? start + cellLength - ReadTime(ref input) : first;
            var (firstPlace, lastPlace) = ((0, 0L), (0, 0L));
            if (withPlaces)
            {
                firstPlace = ((int)input.Varint(), (long)input.Varint());
                lastPlace = count > 1 ? ((int)input.Varint(), (long)input.Varint()) : firstPlace;
            }

            _frames.Add(new CellFrame(start, count, first, last, firstPlace.Item1, firstPlace.Item2, lastPlace.Item1, lastPlace.Item2));
        }
    }

    private static long ReadTime(ref ByteReader input)
    {
        var value = input.Varint();
        return (value & 1) == 0 ? (long)(value >> 1) * 1000 : (long)(value >> 1);
    }

    private static Cell ReadValues(ref ByteReader input, in CellFrame frame, int scale, ref long near)
    {
        var marks = (CellMarks)input.Byte();
        var first = new Sample(frame.FirstTime, frame.FirstPartition, frame.FirstSequence, StoredNumber.Read(ref input, scale, ref near));
        if ((marks & CellMarks.Single) != 0)
        {
            var single = new Cell(frame.Start);
            single.Add(first);
            return single;
        }

        var firstDigits = near;
        var last = new Sample(frame.LastTime, frame.LastPartition, frame.LastSequence, StoredNumber.Read(ref input, scale, ref near));
        var min = (marks & CellMarks.MinIsFirst) != 0 ? first.Value : (marks & CellMarks.MinIsLast) != 0 ? last.Value : ReadNear(ref input, scale, near);
        var max = (marks & CellMarks.MaxIsFirst) != 0 ? first.Value : (marks & CellMarks.MaxIsLast) != 0 ? last.Value : ReadNear(ref input, scale, near);
        var sum = ReadParts(ref input, scale, unchecked((firstDigits + near) / 2 * frame.Count));
        var rise = (marks & CellMarks.RiseIsZero) != 0 ? default
            : (marks & CellMarks.RiseIsDifference) != 0 ? Difference(first.Value, last.Value)
            : ReadParts(ref input, scale, 0);
        return Cell.Restore(frame.Start, frame.Count, min, max, first, last, sum, rise, (marks & CellMarks.NeedsRecount) != 0);
    }

    private static double ReadNear(ref ByteReader input, int scale, long near) => StoredNumber.Read(ref input, scale, ref near);

    private static ExactSum ReadParts(ref ByteReader input, int scale, long near)
    {
        var parts = new double[Count(ref input)];
        for (var i = parts.Length - 1; i >= 0; i--)
        {
            parts[i] = ReadNear(ref input, scale, near);
            near = 0;
        }

        return ExactSum.FromParts(parts);
    }

    private static int Count(ref ByteReader input)
    {
        var count = input.Varint();
        return count <= CountMax ? (int)count : throw new InvalidDataException("The roll-up holds a number that is none.");
    }
}
