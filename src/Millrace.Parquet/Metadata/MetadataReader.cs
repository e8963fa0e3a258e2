using Millrace.Parquet.Thrift;

namespace Millrace.Parquet.Metadata;

/// <summary>Reads the format's structures; what a newer format adds is skipped.</summary>
internal static class MetadataReader
{
    public static FileMetadata ReadFile(ReadOnlySpan<byte> bytes, long offset)
    {
        var thrift = new CompactReader(bytes, offset);
        var file = new FileMetadata();
        var seen = 0;
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            seen |= id is >= 1 and <= 4 ? 1 << id : 0;
            switch (id)
            {
                case 1:
                    file.Version = thrift.I32(type);
                    break;
                case 2:
                    var elements = thrift.List(type, CompactType.Struct);
                    for (var i = 0; i < elements; i++)
                        file.Schema.Add(ReadSchemaElement(ref thrift));
                    break;
                case 3:
                    file.RowCount = thrift.I64(type);
                    break;
                case 4:
                    var groups = thrift.List(type, CompactType.Struct);
                    for (var i = 0; i < groups; i++)
                        file.RowGroups.Add(ReadRowGroup(ref thrift));
                    break;
                case 5:
                    var pairs = thrift.List(type, CompactType.Struct);
                    for (var i = 0; i < pairs; i++)
                        file.KeyValues.Add(ReadKeyValue(ref thrift));
                    break;
                case 6:
                    file.CreatedBy = thrift.String(type);
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        return seen == 0b11110 ? file : throw thrift.Fault("the footer lacks version, schema, row count or row groups");
    }

    public static PageHeader ReadPageHeader(ReadOnlySpan<byte> bytes, long offset)
    {
        var thrift = new CompactReader(bytes, offset);
        var header = new PageHeader();
        var seen = 0;
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            seen |= id is >= 1 and <= 3 ? 1 << id : 0;
            switch (id)
            {
                case 1:
                    header.Type = (PageType)thrift.I32(type);
                    break;
                case 2:
                    header.UncompressedBytes = thrift.I32(type);
                    break;
                case 3:
                    header.CompressedBytes = thrift.I32(type);
                    break;
                case 4:
                    header.Crc = (uint)thrift.I32(type);
                    break;
                case 5 or 7:
                    thrift.Expect(type, CompactType.Struct);
                    ReadPage(ref thrift, header, isV2: false);
                    break;
                case 8:
                    thrift.Expect(type, CompactType.Struct);
                    ReadPage(ref thrift, header, isV2: true);
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        if (seen != 0b1110)
            throw thrift.Fault("a page header lacks its type or sizes");
        if (header.UncompressedBytes < 0 || header.CompressedBytes < 0 || header.ValueCount < 0)
            throw thrift.Fault("a page header has a negative size");

        header.HeaderBytes = thrift.Position;
        return header;
    }

    public static ColumnIndex ReadColumnIndex(ReadOnlySpan<byte> bytes, long offset)
    {
        var thrift = new CompactReader(bytes, offset);
        var index = new ColumnIndex();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 1:
                    var flags = thrift.List(type, out _);
                    for (var i = 0; i < flags; i++)
                        index.NullPages.Add(thrift.BoolElement());
                    break;
                case 2:
                    ReadBinaries(ref thrift, type, index.Mins);
                    break;
                case 3:
                    ReadBinaries(ref thrift, type, index.Maxs);
                    break;
                case 4:
                    index.Order = (BoundaryOrder)thrift.I32(type);
                    break;
                case 5:
                    var counts = thrift.List(type, CompactType.I64);
                    for (var i = 0; i < counts; i++)
                        index.NullCounts.Add(thrift.I64(CompactType.I64));
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        if (index.Mins.Count != index.NullPages.Count || index.Maxs.Count != index.NullPages.Count)
            throw thrift.Fault("a column index has lists of different lengths");

        return index;
    }

    public static List<PageLocation> ReadOffsetIndex(ReadOnlySpan<byte> bytes, long offset)
    {
        var thrift = new CompactReader(bytes, offset);
        var pages = new List<PageLocation>();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            if (id != 1)
            {
                thrift.Skip(type);
                continue;
            }

            var count = thrift.List(type, CompactType.Struct);
            for (var i = 0; i < count; i++)
                pages.Add(ReadPageLocation(ref thrift));
        }

        return pages;
    }

    /// <summary>Returns the filter's bytes and where they start behind the header.</summary>
    public static (int Bytes, int HeaderBytes) ReadBloomHeader(ReadOnlySpan<byte> bytes, long offset)
    {
        var thrift = new CompactReader(bytes, offset);
        var size = -1;
        var known = 0;
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            if (id == 1)
                size = thrift.I32(type);
            else if (id is >= 2 and <= 4)
                known += ReadUnion(ref thrift, type) == 1 ? 1 : 0;
            else
                thrift.Skip(type);
        }

        return (known == 3 ? size : -1, thrift.Position);
    }

    private static SchemaElement ReadSchemaElement(ref CompactReader thrift)
    {
        var element = new SchemaElement();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 1:
                    element.Type = (PhysicalType)thrift.I32(type);
                    break;
                case 2:
                    element.TypeLength = thrift.I32(type);
                    break;
                case 3:
                    element.Repetition = thrift.I32(type);
                    break;
                case 4:
                    element.Name = thrift.String(type);
                    break;
                case 5:
                    element.ChildCount = thrift.I32(type);
                    break;
                case 6:
                    element.ConvertedType = thrift.I32(type);
                    break;
                case 7:
                    element.Scale = thrift.I32(type);
                    break;
                case 8:
                    element.Precision = thrift.I32(type);
                    break;
                case 10:
                    thrift.Expect(type, CompactType.Struct);
                    element.Logical = ReadLogicalType(ref thrift);
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        return element;
    }

    private static LogicalType ReadLogicalType(ref CompactReader thrift)
    {
        var logical = new LogicalType();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            thrift.Expect(type, CompactType.Struct);
            logical = new LogicalType((LogicalKind)id);
            var field = 0;
            while (thrift.NextField(ref field, out var fieldType))
            {
                logical = (id, field) switch
                {
                    (5, 1) => logical with { Scale = thrift.I32(fieldType) },
                    (5, 2) => logical with { Precision = thrift.I32(fieldType) },
                    (8, 1) => logical with { IsUtc = thrift.Bool(fieldType) },
                    (8, 2) => logical with { Unit = ReadUnion(ref thrift, fieldType) },
                    (10, 1) => logical with { BitWidth = thrift.I8(fieldType) },
                    (10, 2) => logical with { IsSigned = thrift.Bool(fieldType) },
                    _ => Skipped(ref thrift, fieldType, logical),
                };
            }
        }

        return logical;
    }

    private static LogicalType Skipped(ref CompactReader thrift, CompactType type, LogicalType logical)
    {
        thrift.Skip(type);
        return logical;
    }

    /// <summary>The id of the one field of a union whose members are empty structs.</summary>
    private static int ReadUnion(ref CompactReader thrift, CompactType type)
    {
        thrift.Expect(type, CompactType.Struct);
        var member = 0;
        var id = 0;
        while (thrift.NextField(ref id, out var inner))
        {
            member = id;
            thrift.Skip(inner);
        }

        return member;
    }

    private static RowGroupMetadata ReadRowGroup(ref CompactReader thrift)
    {
        var group = new RowGroupMetadata();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 1:
                    var chunks = thrift.List(type, CompactType.Struct);
                    for (var i = 0; i < chunks; i++)
                        group.Columns.Add(ReadChunk(ref thrift));
                    break;
                case 2:
                    group.TotalBytes = thrift.I64(type);
                    break;
                case 3:
                    group.RowCount = thrift.I64(type);
                    break;
                case 4:
                    var sorts = thrift.List(type, CompactType.Struct);
                    for (var i = 0; i < sorts; i++)
                        group.Sorting.Add(ReadSort(ref thrift));
                    break;
                case 5:
                    group.FileOffset = thrift.I64(type);
                    break;
                case 6:
                    group.CompressedBytes = thrift.I64(type);
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        return group;
    }

    private static ParquetSort ReadSort(ref CompactReader thrift)
    {
        var sort = new ParquetSort();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 1:
                    sort = sort with { Column = thrift.I32(type) };
                    break;
                case 2:
                    sort = sort with { Descending = thrift.Bool(type) };
                    break;
                case 3:
                    sort = sort with { NullsFirst = thrift.Bool(type) };
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        return sort;
    }

    private static ChunkMetadata ReadChunk(ref CompactReader thrift)
    {
        var chunk = new ChunkMetadata();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 3:
                    thrift.Expect(type, CompactType.Struct);
                    ReadChunkBody(ref thrift, chunk);
                    chunk.IsPresent = true;
                    break;
                case 4:
                    chunk.OffsetIndexOffset = thrift.I64(type);
                    break;
                case 5:
                    chunk.OffsetIndexLength = thrift.I32(type);
                    break;
                case 6:
                    chunk.ColumnIndexOffset = thrift.I64(type);
                    break;
                case 7:
                    chunk.ColumnIndexLength = thrift.I32(type);
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        return chunk;
    }

    private static void ReadChunkBody(ref CompactReader thrift, ChunkMetadata chunk)
    {
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 1:
                    chunk.Type = (PhysicalType)thrift.I32(type);
                    break;
                case 2:
                    var encodings = thrift.List(type, CompactType.I32);
                    for (var i = 0; i < encodings; i++)
                        chunk.Encodings.Add((ParquetEncoding)thrift.I32(CompactType.I32));
                    break;
                case 3:
                    var names = thrift.List(type, CompactType.Binary);
                    for (var i = 0; i < names; i++)
                        chunk.Path.Add(thrift.String(CompactType.Binary));
                    break;
                case 4:
                    chunk.Codec = (ParquetCodec)thrift.I32(type);
                    break;
                case 5:
                    chunk.ValueCount = thrift.I64(type);
                    break;
                case 6:
                    chunk.UncompressedBytes = thrift.I64(type);
                    break;
                case 7:
                    chunk.CompressedBytes = thrift.I64(type);
                    break;
                case 9:
                    chunk.DataPageOffset = thrift.I64(type);
                    break;
                case 11:
                    chunk.DictionaryPageOffset = thrift.I64(type);
                    break;
                case 12:
                    thrift.Expect(type, CompactType.Struct);
                    chunk.Statistics = ReadStatistics(ref thrift);
                    break;
                case 14:
                    chunk.BloomOffset = thrift.I64(type);
                    break;
                case 15:
                    chunk.BloomLength = thrift.I32(type);
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }
    }

    private static ColumnStatistics ReadStatistics(ref CompactReader thrift)
    {
        // The old min and max (1, 2) are left alone: their order was never defined.
        var statistics = new ColumnStatistics();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 3:
                    statistics.NullCount = thrift.I64(type);
                    break;
                case 5:
                    statistics.Max = thrift.Binary(type).ToArray();
                    break;
                case 6:
                    statistics.Min = thrift.Binary(type).ToArray();
                    break;
                case 7:
                    statistics.MaxExact = thrift.Bool(type);
                    break;
                case 8:
                    statistics.MinExact = thrift.Bool(type);
                    break;
                case 9:
                    statistics.NanCount = thrift.I64(type);
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        return statistics;
    }

    private static KeyValuePair<string, string?> ReadKeyValue(ref CompactReader thrift)
    {
        var key = "";
        string? value = null;
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            if (id == 1)
                key = thrift.String(type);
            else if (id == 2)
                value = thrift.String(type);
            else
                thrift.Skip(type);
        }

        return new(key, value);
    }

    /// <summary>Data pages of both forms and dictionary pages share the fields that matter here.</summary>
    private static void ReadPage(ref CompactReader thrift, PageHeader header, bool isV2)
    {
        var encodingField = isV2 ? 4 : 2;
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            if (id == 1)
                header.ValueCount = thrift.I32(type);
            else if (id == encodingField)
                header.Encoding = (ParquetEncoding)thrift.I32(type);
            else if (id == 2)
                header.NullCount = thrift.I32(type);
            else if (isV2 && id == 3)
                header.RowCount = thrift.I32(type);
            else if (isV2 && id == 5)
                header.DefinitionBytes = thrift.I32(type);
            else if (isV2 && id == 6)
                header.RepetitionBytes = thrift.I32(type);
            else if (isV2 && id == 7)
                header.IsCompressed = thrift.Bool(type);
            else if (!isV2 && id == 3 && type == CompactType.I32)
                header.DefinitionEncoding = (ParquetEncoding)thrift.I32(type);
            else
                thrift.Skip(type);
        }
    }

    private static PageLocation ReadPageLocation(ref CompactReader thrift)
    {
        var page = new PageLocation();
        var id = 0;
        while (thrift.NextField(ref id, out var type))
        {
            switch (id)
            {
                case 1:
                    page = page with { Offset = thrift.I64(type) };
                    break;
                case 2:
                    page = page with { CompressedBytes = thrift.I32(type) };
                    break;
                case 3:
                    page = page with { FirstRow = thrift.I64(type) };
                    break;
                default:
                    thrift.Skip(type);
                    break;
            }
        }

        return page;
    }

    private static void ReadBinaries(ref CompactReader thrift, CompactType type, List<byte[]> values)
    {
        var count = thrift.List(type, CompactType.Binary);
        for (var i = 0; i < count; i++)
            values.Add(thrift.Binary(CompactType.Binary).ToArray());
    }
}

internal sealed class PageHeader
{
    public PageType Type { get; set; }

    public int UncompressedBytes { get; set; }

    public int CompressedBytes { get; set; }

    public uint? Crc { get; set; }

    public int ValueCount { get; set; }

    public int NullCount { get; set; }

    public int? RowCount { get; set; }

    public ParquetEncoding Encoding { get; set; }

    public ParquetEncoding DefinitionEncoding { get; set; } = ParquetEncoding.Rle;

    public int DefinitionBytes { get; set; }

    public int RepetitionBytes { get; set; }

    public bool IsCompressed { get; set; } = true;

    public int HeaderBytes { get; set; }
}
