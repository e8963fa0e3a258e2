using Millrace.Parquet.Metadata;

namespace Millrace.Parquet.Writing;

/// <summary>Makes a chunk's column index from its pages' statistics.</summary>
internal static class ColumnIndexBuilder
{
    /// <summary>Null when the chunk must have none: a page of only NaN has neither bounds nor only nulls.</summary>
    public static ColumnIndex? Build(ParquetColumn column, List<ColumnStatistics> pages)
    {
        if (pages.Exists(page => page.Min is null && page.NanCount > 0))
            return null;

        return new ColumnIndex
        {
            NullPages = pages.ConvertAll(page => page.Min is null),
            Mins = pages.ConvertAll(page => page.Min ?? []),
            Maxs = pages.ConvertAll(page => page.Max ?? []),
            NullCounts = pages.ConvertAll(page => page.NullCount ?? 0),
            Order = OrderOf(column, pages.FindAll(page => page.Min is not null)),
        };
    }

    private static BoundaryOrder OrderOf(ParquetColumn column, List<ColumnStatistics> pages)
    {
        var (ascending, descending) = (true, true);
        for (var i = 1; i < pages.Count; i++)
        {
            var min = PlainValue.Compare(column, pages[i].Min, pages[i - 1].Min);
            var max = PlainValue.Compare(column, pages[i].Max, pages[i - 1].Max);
            ascending &= min >= 0 && max >= 0;
            descending &= min <= 0 && max <= 0;
        }

        return ascending ? BoundaryOrder.Ascending : descending ? BoundaryOrder.Descending : BoundaryOrder.Unordered;
    }
}
