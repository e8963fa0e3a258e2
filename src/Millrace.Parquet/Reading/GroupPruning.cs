using Millrace.Parquet.Compression;
using Millrace.Parquet.Metadata;

namespace Millrace.Parquet.Reading;

/// <summary>Rows of a row group, from <paramref name="Start"/> to before <paramref name="End"/>.</summary>
internal readonly record struct RowRange(long Start, long End)
{
    public long Count => End - Start;

    public bool IsEmpty => End <= Start;
}

/// <summary>Finds the rows of a group that filters leave: by statistics, Bloom filter and page index.</summary>
internal static class GroupPruning
{
    private const int BloomHeaderBytes = 64;

    public static async ValueTask<List<RowRange>> RangesAsync(
        ParquetReader reader, ParquetRowGroup group, (ParquetFilter Filter, int Column)[] filters, CancellationToken cancel)
    {
        List<RowRange> ranges = [new(0, group.RowCount)];
        foreach (var (filter, column) in filters)
        {
            var chunk = group.Columns[column];
            var statistics = chunk.Metadata.Statistics;
            var isAllNull = statistics?.NullCount == group.RowCount;
            if (isAllNull || !filter.Overlaps(chunk.Column, statistics?.Min, statistics?.Max))
                return [];
            if (filter.Hash(chunk.Column) is { } hash && !await MightContainAsync(reader, chunk, hash, cancel).ConfigureAwait(false))
                return [];
        }

        foreach (var (filter, column) in filters)
        {
            if (ranges.Count > 0 && group.Columns[column].HasPageIndex)
                ranges = Intersect(ranges, await PagesAsync(reader, group, group.Columns[column], filter, cancel).ConfigureAwait(false));
        }

        return ranges;
    }

    public static async ValueTask<List<PageLocation>?> OffsetIndexAsync(
        ParquetReader reader, ParquetChunk chunk, CancellationToken cancel)
    {
        if (chunk.Metadata.OffsetIndexOffset is not { } offset)
            return null;

        var bytes = await reader.ReadMetadataAsync(offset, chunk.Metadata.OffsetIndexLength, cancel).ConfigureAwait(false);
        return MetadataReader.ReadOffsetIndex(bytes.Span, offset);
    }

    /// <summary>The rows of pages whose bounds overlap the filter.</summary>
    private static async ValueTask<List<RowRange>> PagesAsync(
        ParquetReader reader, ParquetRowGroup group, ParquetChunk chunk, ParquetFilter filter, CancellationToken cancel)
    {
        var pages = await OffsetIndexAsync(reader, chunk, cancel).ConfigureAwait(false);
        var indexOffset = chunk.Metadata.ColumnIndexOffset!.Value;
        var bytes = await reader.ReadMetadataAsync(indexOffset, chunk.Metadata.ColumnIndexLength, cancel).ConfigureAwait(false);
        var index = MetadataReader.ReadColumnIndex(bytes.Span, indexOffset);
        if (index.NullPages.Count != pages!.Count)
            throw new ParquetFormatException("the page indexes have different numbers of pages", indexOffset);

        var ranges = new List<RowRange>();
        for (var i = 0; i < pages.Count; i++)
        {
            if (index.NullPages[i] || !filter.Overlaps(chunk.Column, index.Mins[i], index.Maxs[i]))
                continue;

            var end = i + 1 < pages.Count ? pages[i + 1].FirstRow : group.RowCount;
            if (pages[i].FirstRow < 0 || pages[i].FirstRow >= end || end > group.RowCount)
                throw new ParquetFormatException("the offset index has rows out of order", indexOffset);

            if (ranges.Count > 0 && ranges[^1].End == pages[i].FirstRow)
                ranges[^1] = new RowRange(ranges[^1].Start, end);
            else
                ranges.Add(new RowRange(pages[i].FirstRow, end));
        }

        return ranges;
    }

    private static List<RowRange> Intersect(List<RowRange> a, List<RowRange> b)
    {
        var both = new List<RowRange>();
        for (var (i, k) = (0, 0); i < a.Count && k < b.Count;)
        {
            var common = new RowRange(Math.Max(a[i].Start, b[k].Start), Math.Min(a[i].End, b[k].End));
            if (!common.IsEmpty)
                both.Add(common);
            if (a[i].End < b[k].End)
                i++;
            else
                k++;
        }

        return both;
    }

    /// <summary>One small read for the header and one for the block that the hash names.</summary>
    private static async ValueTask<bool> MightContainAsync(
        ParquetReader reader, ParquetChunk chunk, ulong hash, CancellationToken cancel)
    {
        if (chunk.Metadata.BloomOffset is not { } offset)
            return true;

        var headerSize = (int)Math.Clamp(reader.DataEnd - offset, 0, BloomHeaderBytes);
        var header = await reader.ReadMetadataAsync(offset, headerSize, cancel).ConfigureAwait(false);
        var (bytes, headerBytes) = MetadataReader.ReadBloomHeader(header.Span, offset);
        if (bytes < BloomFilter.BlockBytes || bytes % BloomFilter.BlockBytes != 0)
            return true; // Another kind of filter: it cannot be asked, so it excludes nothing.

        var block = offset + headerBytes + (long)BloomFilter.BlockOf(hash, bytes / BloomFilter.BlockBytes) * BloomFilter.BlockBytes;
        var bits = await reader.ReadMetadataAsync(block, BloomFilter.BlockBytes, cancel).ConfigureAwait(false);
        return BloomFilter.MightContain(bits.Span, hash);
    }
}
