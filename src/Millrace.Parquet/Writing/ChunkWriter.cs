using Millrace.Parquet.Compression;
using Millrace.Parquet.Encodings;
using Millrace.Parquet.Metadata;

namespace Millrace.Parquet.Writing;

/// <summary>Writes one column of a row group: a dictionary page if there is one, then data pages.</summary>
internal sealed class ChunkWriter(ParquetWriterOptions options, PositionedOutput output)
{
    private readonly PageCompressor _compressor = new(options.Codec, options.GzipLevel, options.BrotliQuality);
    private readonly ValueEncoder _encoder = new();
    private readonly DictionaryBuilder _dictionary = new();
    private readonly ByteBuffer _body = new();
    private readonly ByteBuffer _levels = new();
    private readonly ByteBuffer _header = new();

    /// <remarks><paramref name="cuts"/>: The row after the last of each page.</remarks>
    public WrittenChunk Write(ParquetColumnWriter column, int rows, ReadOnlySpan<int> cuts, EncodingChoice choice)
    {
        var values = column.CountValues(0, rows);
        choice.Settle(column, values, options.ByteStreamSplit, _encoder, _dictionary, _compressor, _body);

        var hasDictionary = choice.Encoding == ParquetEncoding.RleDictionary;
        var chunk = new ChunkMetadata
        {
            Type = column.Column.Physical,
            Path = [column.Column.Name],
            Codec = options.Codec,
            ValueCount = rows,
            Statistics = new ColumnStatistics { NullCount = 0 },
        };
        var written = new WrittenChunk(chunk);
        var start = output.Position;
        if (hasDictionary)
        {
            chunk.DictionaryPageOffset = start;
            WriteDictionary(column, chunk);
        }

        chunk.DataPageOffset = output.Position;
        var (row, value) = (0, 0);
        foreach (var cut in cuts)
        {
            var pageValues = column.CountValues(row, cut);
            WritePage(column, row, cut, value, value + pageValues, choice, written);
            (row, value) = (cut, value + pageValues);
        }

        chunk.CompressedBytes = output.Position - start;
        chunk.Encodings = hasDictionary
            ? [ParquetEncoding.Plain, ParquetEncoding.RleDictionary, ParquetEncoding.Rle]
            : [choice.Encoding, ParquetEncoding.Rle];
        chunk.EncodingStats.Add(
            (options.PagesV2 ? PageType.DataV2 : PageType.Data, choice.Encoding, cuts.Length));
        return written;
    }

    /// <summary>Hashes of the column's distinct values, or of all where no dictionary knows them.</summary>
    public ulong[] Hashes(ParquetColumnWriter column, int rows, EncodingChoice choice)
    {
        if (choice.Encoding == ParquetEncoding.RleDictionary)
        {
            var distinct = new ulong[_dictionary.Count];
            for (var i = 0; i < distinct.Length; i++)
                distinct[i] = HashOf(column, _dictionary.Firsts[i]);
            return distinct;
        }

        var values = column.CountValues(0, rows);
        var all = new HashSet<ulong>(values);
        for (var i = 0; i < values; i++)
            all.Add(HashOf(column, i));
        return [.. all];
    }

    /// <summary>Gives the buffers back: nothing is written any more.</summary>
    public void Release()
    {
        _compressor.Release();
        _encoder.Release();
        _dictionary.Release();
        _body.Release();
        _levels.Release();
        _header.Release();
    }

    private static ulong HashOf(ParquetColumnWriter column, int value) => column.Column.Physical switch
    {
        PhysicalType.Int32 => BloomFilter.HashOf((int)column.Numbers(value, value + 1)[0]),
        PhysicalType.Int64 or PhysicalType.Double => BloomFilter.HashOf(column.Numbers(value, value + 1)[0]),
        _ => XxHash64.Compute(column.BytesOf(value)),
    };

    private void WriteDictionary(ParquetColumnWriter column, ChunkMetadata chunk)
    {
        _body.Clear();
        foreach (var first in _dictionary.Firsts)
            ValueEncoder.WritePlain(column, first, first + 1, _body);

        Emit(PageType.Dictionary, new DataPage(_dictionary.Count, ParquetEncoding.Plain), default, _body.Written, chunk);
        chunk.EncodingStats.Add((PageType.Dictionary, ParquetEncoding.Plain, 1));
    }

    private void WritePage(
        ParquetColumnWriter column, int row, int rowEnd, int value, int valueEnd, EncodingChoice choice, WrittenChunk written)
    {
        var rows = rowEnd - row;
        var nulls = rows - (valueEnd - value);
        var start = output.Position;
        _levels.Clear();
        if (column.Column.IsNullable)
        {
            var present = column.Present(rowEnd);
            _encoder.WriteLevels(present.IsEmpty ? present : present[row..], rows, _levels);
        }

        _body.Clear();
        if (!options.PagesV2 && column.Column.IsNullable)
        {
            _body.WriteInt32(_levels.Length);
            _body.Write(_levels.Written);
        }

        // Also a page of nulls gets its encoding's few header bytes: DuckDB and hyparquet stumble where they are missing.
        _encoder.Write(column, value, valueEnd, choice.Encoding, choice.Shape, _dictionary, _body);

        var page = new DataPage(rows, choice.Encoding, nulls, _levels.Length);
        if (options.PagesV2)
            Emit(PageType.DataV2, page, _levels.Written, _body.Written, written.Chunk);
        else
            Emit(PageType.Data, page, default, _body.Written, written.Chunk);

        var indexes = choice.Encoding == ParquetEncoding.RleDictionary ? _dictionary.Indexes(value, valueEnd) : default;
        var statistics = PageStatistics.Of(column, value, valueEnd, nulls, indexes);
        PageStatistics.Merge(column.Column, written.Chunk.Statistics!, statistics);
        written.Pages.Add(new PageLocation(start, (int)(output.Position - start), row));
        written.PageStatistics.Add(statistics);
    }

    private void Emit(PageType type, DataPage page, ReadOnlySpan<byte> levels, ReadOnlySpan<byte> values, ChunkMetadata chunk)
    {
        ReadOnlySpan<byte> compressed = default;
        if (type == PageType.DataV2)
        {
            compressed = values.IsEmpty ? values : _compressor.Compress(values);
            // Only this form of page can say that compression did not help.
            if (options.Codec == ParquetCodec.Uncompressed || compressed.Length >= values.Length)
            {
                compressed = values;
                page = page with { IsCompressed = false };
            }
        }
        else
        {
            compressed = _compressor.Compress(values);
        }

        var crc = Crc32.Compute(compressed, Crc32.Compute(levels));
        _header.Clear();
        MetadataWriter.WritePageHeader(
            type, levels.Length + values.Length, levels.Length + compressed.Length, crc, page, _header);
        output.Write(_header.Written);
        output.Write(levels);
        output.Write(compressed);
        chunk.UncompressedBytes += _header.Length + levels.Length + values.Length;
    }
}

/// <summary>A chunk as written, with what its page index will say.</summary>
internal sealed record WrittenChunk(ChunkMetadata Chunk)
{
    public List<PageLocation> Pages { get; } = [];

    public List<ColumnStatistics> PageStatistics { get; } = [];
}
