using Millrace.Parquet.Encodings;
using Millrace.Parquet.Thrift;

namespace Millrace.Parquet.Metadata;

/// <summary>Writes the format's structures with their field ids.</summary>
internal static class MetadataWriter
{
    public static void Write(FileMetadata file, ByteBuffer output)
    {
        var thrift = new CompactWriter(output);
        thrift.BeginStruct();
        thrift.I32(1, file.Version);
        thrift.List(2, CompactType.Struct, file.Schema.Count);
        foreach (var element in file.Schema)
            Write(element, thrift);

        thrift.I64(3, file.RowCount);
        thrift.List(4, CompactType.Struct, file.RowGroups.Count);
        foreach (var group in file.RowGroups)
            Write(group, thrift);

        if (file.KeyValues.Count > 0)
            Write(file.KeyValues, thrift);
        if (file.CreatedBy is not null)
            thrift.String(6, file.CreatedBy);

        // Without an order for each column its minima and maxima would have no defined meaning.
        thrift.List(7, CompactType.Struct, file.Schema.Count - 1);
        for (var i = 1; i < file.Schema.Count; i++)
        {
            thrift.BeginStruct();
            thrift.EmptyStruct(1);
            thrift.EndStruct();
        }

        thrift.EndStruct();
    }

    public static void WritePageHeader(
        PageType type, int uncompressed, int compressed, uint crc, in DataPage page, ByteBuffer output)
    {
        var thrift = new CompactWriter(output);
        thrift.BeginStruct();
        thrift.I32(1, (int)type);
        thrift.I32(2, uncompressed);
        thrift.I32(3, compressed);
        thrift.I32(4, (int)crc);
        if (type == PageType.Data)
        {
            thrift.Struct(5);
            thrift.I32(1, page.ValueCount);
            thrift.I32(2, (int)page.Encoding);
            thrift.I32(3, (int)ParquetEncoding.Rle);
            thrift.I32(4, (int)ParquetEncoding.Rle);
            thrift.EndStruct();
        }
        else if (type == PageType.Dictionary)
        {
            thrift.Struct(7);
            thrift.I32(1, page.ValueCount);
            thrift.I32(2, (int)page.Encoding);
            thrift.EndStruct();
        }
        else
        {
            thrift.Struct(8);
            thrift.I32(1, page.ValueCount);
            thrift.I32(2, page.NullCount);
            thrift.I32(3, page.ValueCount);
            thrift.I32(4, (int)page.Encoding);
            thrift.I32(5, page.LevelBytes);
            thrift.I32(6, 0);
            thrift.Bool(7, page.IsCompressed);
            thrift.EndStruct();
        }

        thrift.EndStruct();
    }

    public static void Write(ColumnIndex index, ByteBuffer output)
    {
        var thrift = new CompactWriter(output);
        thrift.BeginStruct();
        thrift.List(1, CompactType.True, index.NullPages.Count);
        foreach (var isNull in index.NullPages)
            thrift.BoolValue(isNull);
        thrift.List(2, CompactType.Binary, index.Mins.Count);
        foreach (var min in index.Mins)
            thrift.BinaryValue(min);
        thrift.List(3, CompactType.Binary, index.Maxs.Count);
        foreach (var max in index.Maxs)
            thrift.BinaryValue(max);
        thrift.I32(4, (int)index.Order);
        thrift.List(5, CompactType.I64, index.NullCounts.Count);
        foreach (var count in index.NullCounts)
            thrift.I64Value(count);
        thrift.EndStruct();
    }

    public static void Write(List<PageLocation> pages, ByteBuffer output)
    {
        var thrift = new CompactWriter(output);
        thrift.BeginStruct();
        thrift.List(1, CompactType.Struct, pages.Count);
        foreach (var page in pages)
        {
            thrift.BeginStruct();
            thrift.I64(1, page.Offset);
            thrift.I32(2, page.CompressedBytes);
            thrift.I64(3, page.FirstRow);
            thrift.EndStruct();
        }

        thrift.EndStruct();
    }

    public static void WriteBloomHeader(int bytes, ByteBuffer output)
    {
        var thrift = new CompactWriter(output);
        thrift.BeginStruct();
        thrift.I32(1, bytes);
        for (var id = 2; id <= 4; id++)
        {
            thrift.Struct(id);
            thrift.EmptyStruct(1);
            thrift.EndStruct();
        }

        thrift.EndStruct();
    }

    private static void Write(SchemaElement element, CompactWriter thrift)
    {
        thrift.BeginStruct();
        if (element.Type is { } type)
            thrift.I32(1, (int)type);
        if (element.TypeLength > 0)
            thrift.I32(2, element.TypeLength);
        if (element.Repetition is { } repetition)
            thrift.I32(3, repetition);
        thrift.String(4, element.Name);
        if (element.Type is null)
            thrift.I32(5, element.ChildCount);
        if (element.ConvertedType is { } converted)
            thrift.I32(6, converted);
        if (element.Precision > 0)
        {
            thrift.I32(7, element.Scale);
            thrift.I32(8, element.Precision);
        }

        if (element.Logical.Kind != LogicalKind.None)
            Write(element.Logical, thrift);
        thrift.EndStruct();
    }

    private static void Write(LogicalType logical, CompactWriter thrift)
    {
        thrift.Struct(10);
        thrift.Struct((int)logical.Kind);
        if (logical.Kind == LogicalKind.Decimal)
        {
            thrift.I32(1, logical.Scale);
            thrift.I32(2, logical.Precision);
        }
        else if (logical.Kind == LogicalKind.Timestamp)
        {
            thrift.Bool(1, logical.IsUtc);
            thrift.Struct(2);
            thrift.EmptyStruct(logical.Unit);
            thrift.EndStruct();
        }

        thrift.EndStruct();
        thrift.EndStruct();
    }

    private static void Write(RowGroupMetadata group, CompactWriter thrift)
    {
        thrift.BeginStruct();
        thrift.List(1, CompactType.Struct, group.Columns.Count);
        foreach (var chunk in group.Columns)
            Write(chunk, thrift);
        thrift.I64(2, group.TotalBytes);
        thrift.I64(3, group.RowCount);
        if (group.Sorting.Count > 0)
        {
            thrift.List(4, CompactType.Struct, group.Sorting.Count);
            foreach (var sort in group.Sorting)
            {
                thrift.BeginStruct();
                thrift.I32(1, sort.Column);
                thrift.Bool(2, sort.Descending);
                thrift.Bool(3, sort.NullsFirst);
                thrift.EndStruct();
            }
        }

        thrift.I64(5, group.FileOffset);
        thrift.I64(6, group.CompressedBytes);
        if (group.Ordinal <= short.MaxValue)
            thrift.I16(7, (short)group.Ordinal);
        thrift.EndStruct();
    }

    private static void Write(ChunkMetadata chunk, CompactWriter thrift)
    {
        thrift.BeginStruct();
        thrift.I64(2, 0);
        thrift.Struct(3);
        thrift.I32(1, (int)chunk.Type);
        thrift.List(2, CompactType.I32, chunk.Encodings.Count);
        foreach (var encoding in chunk.Encodings)
            thrift.I32Value((int)encoding);
        thrift.List(3, CompactType.Binary, chunk.Path.Count);
        foreach (var name in chunk.Path)
            thrift.StringValue(name);
        thrift.I32(4, (int)chunk.Codec);
        thrift.I64(5, chunk.ValueCount);
        thrift.I64(6, chunk.UncompressedBytes);
        thrift.I64(7, chunk.CompressedBytes);
        thrift.I64(9, chunk.DataPageOffset);
        if (chunk.DictionaryPageOffset is { } dictionary)
            thrift.I64(11, dictionary);
        if (chunk.Statistics is { } statistics)
            Write(statistics, thrift);
        thrift.List(13, CompactType.Struct, chunk.EncodingStats.Count);
        foreach (var (page, encoding, count) in chunk.EncodingStats)
        {
            thrift.BeginStruct();
            thrift.I32(1, (int)page);
            thrift.I32(2, (int)encoding);
            thrift.I32(3, count);
            thrift.EndStruct();
        }

        if (chunk.BloomOffset is { } bloom)
        {
            thrift.I64(14, bloom);
            thrift.I32(15, chunk.BloomLength);
        }

        thrift.EndStruct();
        if (chunk.OffsetIndexOffset is { } offsets)
        {
            thrift.I64(4, offsets);
            thrift.I32(5, chunk.OffsetIndexLength);
        }

        if (chunk.ColumnIndexOffset is { } index)
        {
            thrift.I64(6, index);
            thrift.I32(7, chunk.ColumnIndexLength);
        }

        thrift.EndStruct();
    }

    private static void Write(ColumnStatistics statistics, CompactWriter thrift)
    {
        thrift.Struct(12);
        if (statistics.NullCount is { } nulls)
            thrift.I64(3, nulls);
        if (statistics.Max is not null)
            thrift.Binary(5, statistics.Max);
        if (statistics.Min is not null)
            thrift.Binary(6, statistics.Min);
        if (statistics.Max is not null)
            thrift.Bool(7, statistics.MaxExact);
        if (statistics.Min is not null)
            thrift.Bool(8, statistics.MinExact);
        if (statistics.NanCount is { } nans)
            thrift.I64(9, nans);
        thrift.EndStruct();
    }

    private static void Write(List<KeyValuePair<string, string?>> pairs, CompactWriter thrift)
    {
        thrift.List(5, CompactType.Struct, pairs.Count);
        foreach (var (key, value) in pairs)
        {
            thrift.BeginStruct();
            thrift.String(1, key);
            if (value is not null)
                thrift.String(2, value);
            thrift.EndStruct();
        }
    }
}

/// <summary>
/// What a page header says beside the sizes. Values count with nulls, in a flat table also rows; the bytes of levels stand before
/// the values in the second form of page only.
/// </summary>
internal readonly record struct DataPage(
    int ValueCount, ParquetEncoding Encoding, int NullCount = 0, int LevelBytes = 0, bool IsCompressed = true);
