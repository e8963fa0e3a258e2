namespace Millrace.History.Rollups.Stored;

/// <summary>Writes the cells of a series' fields, one field after the other (docs/formats/rollups.md).</summary>
/// <param name="withPlaces">Places of the first and last sample are stored, and no rise: that of groups means nothing.</param>
internal sealed class CellEncoder(long cellLength, long baseTime, bool withPlaces)
{
    /// <summary>In a field's head: its frames are those of the field before.</summary>
    public const byte SameFrames = 16;

    private List<CellFrame> _frames = [];
    private List<CellFrame> _next = [];

    /// <summary>Begins a series.</summary>
    public void Begin() => _frames.Clear();

    /// <param name="cells">In order of time, at least one.</param>
    public void Write(ByteWriter output, IReadOnlyList<Cell> cells)
    {
        _next.Clear();
        foreach (var cell in cells)
            _next.Add(CellFrame.Of(cell, withPlaces));
        var scale = ScaleOf(cells);
        if (_next.SequenceEqual(_frames))
        {
            output.Byte((byte)(scale | SameFrames));
        }
        else
        {
            output.Byte((byte)scale);
            WriteFrames(output);
            (_frames, _next) = (_next, _frames);
        }

        var near = 0L;
        foreach (var cell in cells)
            WriteValues(output, cell, scale, ref near);
    }

    /// <summary>The fewest digits behind the point that all of a field's values need; where there is no such number, those of most meters.</summary>
    private static int ScaleOf(IReadOnlyList<Cell> cells)
    {
        for (var scale = 0; scale <= StoredNumber.ScaleMax; scale++)
        {
            if (cells.All(cell => StoredNumber.TryDigits(cell.First.Value, scale, out _) && StoredNumber.TryDigits(cell.Last.Value, scale, out _)
                && StoredNumber.TryDigits(cell.Min, scale, out _) && StoredNumber.TryDigits(cell.Max, scale, out _)))
            {
                return scale;
            }
        }

        return 3;
    }

    private void WriteFrames(ByteWriter output)
    {
        output.Varint((ulong)_next.Count);
        var before = 0L;
        foreach (var frame in _next)
        {
            var number = (frame.Start - baseTime) / cellLength;
            output.Varint((ulong)(number - before));
            before = number;
            output.Varint((ulong)frame.Count);
            WriteTime(output, frame.FirstTime - frame.Start);
            if (frame.Count > 1)
                WriteTime(output, frame.Start + cellLength - frame.LastTime);
            if (!withPlaces)
                continue;

            output.Varint((ulong)frame.FirstPartition);
            output.Varint((ulong)frame.FirstSequence);
            if (frame.Count == 1)
                continue;
            output.Varint((ulong)frame.LastPartition);
            output.Varint((ulong)frame.LastSequence);
        }
    }

    /// <summary>Most clocks know milliseconds.</summary>
    private static void WriteTime(ByteWriter output, long micros) =>
        output.Varint(micros % 1000 == 0 ? (ulong)micros / 1000 << 1 : (ulong)micros << 1 | 1);

    private void WriteValues(ByteWriter output, Cell cell, int scale, ref long near)
    {
        var marks = MarksOf(cell);
        output.Byte((byte)marks);
        StoredNumber.Write(output, cell.First.Value, scale, ref near);
        if ((marks & CellMarks.Single) != 0)
            return;

        var first = near;
        StoredNumber.Write(output, cell.Last.Value, scale, ref near);
        if ((marks & (CellMarks.MinIsFirst | CellMarks.MinIsLast)) == 0)
            WriteNear(output, cell.Min, scale, near);
        if ((marks & (CellMarks.MaxIsFirst | CellMarks.MaxIsLast)) == 0)
            WriteNear(output, cell.Max, scale, near);
        WriteParts(output, cell.ExactSum, scale, unchecked((first + near) / 2 * cell.Count));
        if ((marks & (CellMarks.RiseIsDifference | CellMarks.RiseIsZero)) == 0)
            WriteParts(output, cell.ExactRise, scale, 0);
    }

    private CellMarks MarksOf(Cell cell)
    {
        if (cell.Count == 1)
            return CellMarks.Single;

        var marks = Same(cell.Min, cell.First.Value) ? CellMarks.MinIsFirst : Same(cell.Min, cell.Last.Value) ? CellMarks.MinIsLast : CellMarks.None;
        marks |= Same(cell.Max, cell.First.Value) ? CellMarks.MaxIsFirst : Same(cell.Max, cell.Last.Value) ? CellMarks.MaxIsLast : CellMarks.None;
        if (withPlaces || cell.ExactRise.Parts.IsEmpty)
            marks |= CellMarks.RiseIsZero;
        else if (cell.ExactRise.Parts.SequenceEqual(CellDecoder.Difference(cell.First.Value, cell.Last.Value).Parts))
            marks |= CellMarks.RiseIsDifference;
        return cell.NeedsRecount && !withPlaces ? marks | CellMarks.NeedsRecount : marks;
    }

    /// <summary>The same bits: zero has two signs.</summary>
    private static bool Same(double a, double b) => BitConverter.DoubleToInt64Bits(a) == BitConverter.DoubleToInt64Bits(b);

    private static void WriteNear(ByteWriter output, double value, int scale, long near) => StoredNumber.Write(output, value, scale, ref near);

    /// <summary>The greatest part, which is nearly the sum, and then what it leaves.</summary>
    private static void WriteParts(ByteWriter output, in ExactSum sum, int scale, long near)
    {
        output.Varint((ulong)sum.Parts.Length);
        for (var i = sum.Parts.Length - 1; i >= 0; i--)
        {
            WriteNear(output, sum.Parts[i], scale, near);
            near = 0;
        }
    }
}
