namespace Millrace.History.Rollups.Stored;

/// <summary>Reads cells of files of version 1 (docs/formats/rollups.md). Nothing writes them any more.</summary>
internal static class FirstCellCodec
{
    /// <param name="before">Number of the cell before, counted from the file's base; stepped on to this one.</param>
    /// <exception cref="InvalidDataException">The bytes are no cell.</exception>
    public static Cell Read(ref ByteReader input, ref long before, long cellLength, long baseTime, bool withPlaces)
    {
        before += (long)input.Varint();
        var start = baseTime + before * cellLength;
        var count = (long)input.Varint();
        var marks = (CellMarks)input.Byte();
        var isSingle = (marks & CellMarks.Single) != 0;
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
        var min = (marks & CellMarks.MinIsFirst) != 0 ? first.Value : (marks & CellMarks.MinIsLast) != 0 ? last.Value : input.Double();
        var max = (marks & CellMarks.MaxIsFirst) != 0 ? first.Value : (marks & CellMarks.MaxIsLast) != 0 ? last.Value : input.Double();
        var sum = ReadParts(ref input);
        var rise = (marks & CellMarks.RiseIsZero) != 0 ? default
            : (marks & CellMarks.RiseIsDifference) != 0 ? CellDecoder.Difference(first.Value, last.Value)
            : ReadParts(ref input);
        return Cell.Restore(start, count, min, max, first, last, sum, rise, (marks & CellMarks.NeedsRecount) != 0);
    }

    private static ((int Partition, long Sequence) First, (int Partition, long Sequence) Last) ReadPlaces(ref ByteReader input, bool isSingle)
    {
        var first = ((int)input.Varint(), (long)input.Varint());
        return (first, isSingle ? first : ((int)input.Varint(), (long)input.Varint()));
    }

    private static ExactSum ReadParts(ref ByteReader input)
    {
        var parts = new double[input.Byte()];
        for (var i = 0; i < parts.Length; i++)
            parts[i] = input.Double();
        return ExactSum.FromParts(parts);
    }
}
