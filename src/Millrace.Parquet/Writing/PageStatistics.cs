using Millrace.Parquet.Metadata;

namespace Millrace.Parquet.Writing;

/// <summary>Finds the least and greatest value of a page.</summary>
internal static class PageStatistics
{
    /// <remarks><paramref name="indexes"/>: Dictionary numbers of the values, when they are at hand: equal neighbours are then passed over.</remarks>
    public static ColumnStatistics Of(ParquetColumnWriter writer, int start, int end, int nulls, ReadOnlySpan<int> indexes)
    {
        var statistics = new ColumnStatistics { NullCount = nulls };
        if (writer.Column.Physical == PhysicalType.Double)
            statistics.NanCount = 0;
        if (start == end)
            return statistics;

        switch (writer.Column.Physical)
        {
            case PhysicalType.Boolean:
                var values = writer.Booleans(start, end);
                statistics.Min = [values.Contains(false) ? (byte)0 : (byte)1];
                statistics.Max = [values.Contains(true) ? (byte)1 : (byte)0];
                break;
            case PhysicalType.Int32 or PhysicalType.Int64:
                OfIntegers(writer, start, end, statistics);
                break;
            case PhysicalType.Double:
                OfDoubles(writer, start, end, statistics);
                break;
            default:
                OfBytes(writer, start, end, indexes, statistics);
                break;
        }

        return statistics;
    }

    /// <summary>Takes one page's figures into the chunk's.</summary>
    public static void Merge(ParquetColumn column, ColumnStatistics chunk, ColumnStatistics page)
    {
        chunk.NullCount += page.NullCount;
        if (page.NanCount is { } nans)
            chunk.NanCount = (chunk.NanCount ?? 0) + nans;
        if (page.Min is not null && (chunk.Min is null || PlainValue.Compare(column, page.Min, chunk.Min) < 0))
            (chunk.Min, chunk.MinExact) = (page.Min, page.MinExact);
        if (page.Max is not null && (chunk.Max is null || PlainValue.Compare(column, page.Max, chunk.Max) > 0))
            (chunk.Max, chunk.MaxExact) = (page.Max, page.MaxExact);
    }

    private static void OfIntegers(ParquetColumnWriter writer, int start, int end, ColumnStatistics statistics)
    {
        var (min, max) = (long.MaxValue, long.MinValue);
        foreach (var value in writer.Numbers(start, end))
        {
            min = Math.Min(min, value);
            max = Math.Max(max, value);
        }

        var is32 = writer.Column.Physical == PhysicalType.Int32;
        statistics.Min = is32 ? PlainValue.Int32((int)min) : PlainValue.Int64(min);
        statistics.Max = is32 ? PlainValue.Int32((int)max) : PlainValue.Int64(max);
    }

    /// <summary>NaN has no place in the order and stays out; a zero bound gets the sign that includes both zeros.</summary>
    private static void OfDoubles(ParquetColumnWriter writer, int start, int end, ColumnStatistics statistics)
    {
        var (min, max, nans) = (double.PositiveInfinity, double.NegativeInfinity, 0);
        foreach (var bits in writer.Numbers(start, end))
        {
            var value = BitConverter.Int64BitsToDouble(bits);
            if (double.IsNaN(value))
            {
                nans++;
                continue;
            }

            min = value < min ? value : min;
            max = value > max ? value : max;
        }

        statistics.NanCount = nans;
        if (nans == end - start)
            return;

        statistics.Min = PlainValue.Int64(BitConverter.DoubleToInt64Bits(min == 0 ? -0.0 : min));
        statistics.Max = PlainValue.Int64(BitConverter.DoubleToInt64Bits(max == 0 ? 0.0 : max));
    }

    private static void OfBytes(
        ParquetColumnWriter writer, int start, int end, ReadOnlySpan<int> indexes, ColumnStatistics statistics)
    {
        var column = writer.Column;
        var min = writer.BytesOf(start);
        var max = min;
        for (var i = start + 1; i < end; i++)
        {
            if (!indexes.IsEmpty && indexes[i - start] == indexes[i - start - 1])
                continue;

            var value = writer.BytesOf(i);
            if (PlainValue.Compare(column, value, min) < 0)
                min = value;
            else if (PlainValue.Compare(column, value, max) > 0)
                max = value;
        }

        (statistics.Min, statistics.MinExact) = PlainValue.CutMin(column, min);
        (statistics.Max, statistics.MaxExact) = PlainValue.CutMax(column, max);
    }
}
