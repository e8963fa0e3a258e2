using System.Buffers.Binary;
using Millrace.Parquet.Compression;
using Millrace.Parquet.Encodings;
using Millrace.Parquet.Metadata;

namespace Millrace.Parquet.Reading;

/// <summary>Reads one column of a row group, page by page, holding one page.</summary>
internal sealed class ChunkReader
{
    private const int HeaderBytesFirst = 512;
    private const int HeaderBytesMax = 8 << 20;

    private readonly ParquetReaderOptions _options;
    private readonly ParquetColumn _column;
    private readonly ChunkMetadata _chunk;
    private readonly ChunkWindow _window;
    private readonly List<PageLocation>? _pages;
    private readonly PageDecoder _decoder;
    private readonly ParquetVector _skipped;
    private readonly long _rowCount;
    private readonly long _start;
    private readonly long _end;
    private byte[] _page = [];
    private long _offset;
    private long _fetchLimit;
    private long _row;
    private int _pageRowsLeft;
    private long _pageOffset;
    private bool _dictionaryPending;
    private bool _hasDictionary;
    private bool _hasLevels;
    private HybridDecoder _levels;
    private bool[] _skippedLevels = [];

    public ChunkReader(
        ParquetSource source, ParquetReaderOptions options, ParquetColumn column, ChunkMetadata chunk, long rowCount,
        long dataEnd, List<PageLocation>? pages)
    {
        _options = options;
        _column = column;
        _chunk = chunk;
        _rowCount = rowCount;
        _pages = pages;
        _window = new ChunkWindow(source, options.ReadAheadBytes);
        _decoder = new PageDecoder(column, options);
        _skipped = new ParquetVector(column);

        // Some writers leave a dictionary offset of 0, or none, with the dictionary page standing first.
        _start = chunk.DictionaryPageOffset is { } dictionary and > 0 && dictionary < chunk.DataPageOffset
            ? dictionary
            : chunk.DataPageOffset;
        _end = _start + chunk.CompressedBytes;
        if (_start < 4 || chunk.CompressedBytes < 0 || _end > dataEnd || _end < _start)
            throw new ParquetFormatException($"the column's {chunk.CompressedBytes} bytes at {_start} lie outside the data");
        if (chunk.Type != column.Physical)
            throw new ParquetFormatException($"the column holds {chunk.Type} where the schema has {column.Physical}");
        if (chunk.ValueCount != rowCount)
            throw new ParquetFormatException($"the column has {chunk.ValueCount} values in a row group of {rowCount} rows");
        if (!PageDecompressor.IsSupported(chunk.Codec))
            throw new ParquetFormatException($"pages are compressed with {chunk.Codec}, which is not read");

        _offset = _start;
        _fetchLimit = _end;
        if (pages is not null)
            CheckLocations(pages);
        _dictionaryPending = pages is { Count: > 0 } && pages[0].Offset > _start;
    }

    /// <summary>Steps to a row; what is read until <paramref name="rowEnd"/> may be fetched together.</summary>
    public async ValueTask SeekAsync(long row, long rowEnd, CancellationToken cancel)
    {
        if (_pages is not null && row >= _row + _pageRowsLeft)
        {
            var page = PageOf(row);
            if (_dictionaryPending)
                await NextPageAsync(0, cancel).ConfigureAwait(false);
            (_offset, _row, _pageRowsLeft) = (_pages[page].Offset, _pages[page].FirstRow, 0);
            var last = _pages[PageOf(rowEnd - 1)];
            _fetchLimit = Math.Min(_end, last.Offset + last.CompressedBytes);
        }

        while (_row < row)
        {
            if (_pageRowsLeft == 0)
                await NextPageAsync(row - _row, cancel).ConfigureAwait(false);
            else
                SkipRows((int)Math.Min(_pageRowsLeft, row - _row));
        }
    }

    public async ValueTask ReadAsync(ParquetVector vector, int count, CancellationToken cancel)
    {
        vector.Begin(count);
        for (var done = 0; done < count;)
        {
            if (_pageRowsLeft == 0)
            {
                await NextPageAsync(0, cancel).ConfigureAwait(false);
                continue;
            }

            var part = Math.Min(count - done, _pageRowsLeft);
            ReadRows(vector, done, part);
            done += part;
        }
    }

    private void ReadRows(ParquetVector vector, int row, int count)
    {
        var values = count;
        if (_hasLevels)
        {
            values = _levels.ReadLevels(vector.PresentBuffer.AsSpan(row, count));
            if (values < count)
                vector.BeginNulls(row);
        }

        if (_column.IsBytes)
            ReadTexts(vector, row, count, values);
        else if (_column.IsInteger)
            Spread(vector, row, count, values, vector.NumberBuffer, _decoder.ReadIntegers);
        else if (_column.Physical == PhysicalType.Boolean)
            Spread(vector, row, count, values, vector.BooleanBuffer, _decoder.ReadBooleans);
        else
            Spread(vector, row, count, values, vector.DoubleBuffer, _decoder.ReadDoubles);

        if (!_hasLevels && vector.HasNulls)
            vector.PresentBuffer.AsSpan(row, count).Fill(true);
        _pageRowsLeft -= count;
        _row += count;
    }

    private void ReadTexts(ParquetVector vector, int row, int count, int values)
    {
        // A batch is either all dictionary or none; rows before the first change nothing.
        if (_decoder.UsesDictionary && (row == 0 || vector.IsDictionary))
        {
            vector.UseDictionary(_decoder.Texts);
            Spread(vector, row, count, values, vector.IndexBuffer,
                target => _decoder.ReadIndexes(target, _decoder.Texts.Count));
            return;
        }

        vector.LeaveDictionary(row, _options.BatchBytesMax);
        if (_decoder.UsesDictionary)
        {
            var indexes = vector.IndexBuffer.AsSpan(row, values);
            _decoder.ReadIndexes(indexes, _decoder.Texts.Count);
            for (var i = 0; i < values; i++)
            {
                vector.Append(_decoder.Texts[indexes[i]], _options.BatchBytesMax);
                vector.EndBuffer[row + i] = vector.DataLength;
            }
        }
        else
        {
            _decoder.ReadBytes(vector, row, values);
        }

        SpreadEnds(vector, row, count, values);
    }

    private delegate void ReadValues<T>(Span<T> target);

    /// <summary>Reads the values there are, then moves them, last first, to the rows that have one.</summary>
    private static void Spread<T>(ParquetVector vector, int row, int count, int values, T[] buffer, ReadValues<T> read)
    {
        read(buffer.AsSpan(row, values));
        if (values == count)
            return;

        var rows = buffer.AsSpan(row, count);
        var present = vector.PresentBuffer.AsSpan(row, count);
        for (var i = count - 1; i >= 0; i--)
            rows[i] = present[i] ? rows[--values] : default!;
    }

    private static void SpreadEnds(ParquetVector vector, int row, int count, int values)
    {
        if (values == count)
            return;

        var before = row == 0 ? 0 : vector.EndBuffer[row - 1];
        var ends = vector.EndBuffer.AsSpan(row, count);
        var present = vector.PresentBuffer.AsSpan(row, count);
        for (var i = count - 1; i >= 0; i--)
        {
            ends[i] = values == 0 ? before : ends[values - 1];
            if (present[i])
                values--;
        }
    }

    private void SkipRows(int count)
    {
        var values = count;
        if (_hasLevels)
        {
            if (_skippedLevels.Length < count)
                _skippedLevels = new bool[count];
            values = _levels.ReadLevels(_skippedLevels.AsSpan(0, count));
        }

        _decoder.Skip(values, _skipped);
        _pageRowsLeft -= count;
        _row += count;
    }

    /// <summary>Reads one page; a data page of no more than <paramref name="skippable"/> rows is passed over unopened.</summary>
    private async ValueTask NextPageAsync(long skippable, CancellationToken cancel)
    {
        if (_dictionaryPending)
            (_offset, _dictionaryPending) = (_start, false);
        if (_offset >= _end)
            throw new ParquetFormatException($"the column ends after {_row} of {_rowCount} rows", _offset);

        var header = await ReadHeaderAsync(cancel).ConfigureAwait(false);
        var bodyOffset = _offset + header.HeaderBytes;
        CheckSizes(header, bodyOffset);
        _pageOffset = _offset;
        var next = bodyOffset + header.CompressedBytes;
        switch (header.Type)
        {
            case PageType.Dictionary:
                if (_hasDictionary || _row > 0)
                    throw new ParquetFormatException("a dictionary page stands behind other pages", _offset);

                var page = await LoadAsync(header, bodyOffset, [], cancel).ConfigureAwait(false);
                _decoder.SetDictionary(page, header.UncompressedBytes, header.ValueCount, header.Encoding, _pageOffset);
                _hasDictionary = true;
                break;
            case PageType.Data or PageType.DataV2:
                CheckRows(header);
                if (header.ValueCount <= skippable)
                {
                    _row += header.ValueCount;
                    break;
                }

                _page = await LoadAsync(header, bodyOffset, _page, cancel).ConfigureAwait(false);
                BeginPage(header);
                break;
            case PageType.Index:
                break;
            default:
                throw new ParquetFormatException($"page type {(int)header.Type} does not exist", _pageOffset);
        }

        _offset = next;
    }

    private async ValueTask<PageHeader> ReadHeaderAsync(CancellationToken cancel)
    {
        for (var wanted = HeaderBytesFirst; ; wanted *= 4)
        {
            var size = (int)Math.Min(wanted, _end - _offset);
            var bytes = await _window.GetAsync(_offset, size, Math.Max(_fetchLimit, _offset + size), cancel)
                .ConfigureAwait(false);
            try
            {
                return MetadataReader.ReadPageHeader(bytes, _offset);
            }
            catch (ParquetFormatException fault) when (fault.Incomplete && size < _end - _offset && size < HeaderBytesMax)
            {
                // Statistics of long texts make long headers: once more with more of it.
            }
        }
    }

    private void CheckSizes(PageHeader header, long bodyOffset)
    {
        if (header.CompressedBytes > _end - bodyOffset)
            throw new ParquetFormatException($"a page of {header.CompressedBytes} bytes runs over the column's end", _offset);
        if (header.CompressedBytes > _options.PageBytesMax || header.UncompressedBytes > _options.PageBytesMax)
        {
            throw new ParquetFormatException(
                $"a page of {Math.Max(header.CompressedBytes, header.UncompressedBytes)} bytes is above the limit of {_options.PageBytesMax}",
                _offset);
        }

        if (header.ValueCount > _options.PageValuesMax)
            throw new ParquetFormatException($"a page claims {header.ValueCount} values, above the limit", _offset);
    }

    private void CheckRows(PageHeader header)
    {
        if (header.RowCount is { } rows && rows != header.ValueCount)
            throw new ParquetFormatException($"a page of {rows} rows has {header.ValueCount} values in a flat column", _offset);
        if (header.ValueCount > _rowCount - _row)
            throw new ParquetFormatException($"the column has more than {_rowCount} rows", _offset);
        if (_pages is not null)
        {
            var page = PageOf(_row);
            var end = page + 1 < _pages.Count ? _pages[page + 1].FirstRow : _rowCount;
            if (_pages[page].Offset != _offset || _row != _pages[page].FirstRow || _row + header.ValueCount != end)
                throw new ParquetFormatException("a page is not where the offset index has it", _offset);
        }
    }

    /// <summary>The page's bytes, unpacked, with room behind them; levels of the second form come first, as they lie.</summary>
    private async ValueTask<byte[]> LoadAsync(PageHeader header, long bodyOffset, byte[] buffer, CancellationToken cancel)
    {
        var body = await _window.GetAsync(
            bodyOffset, header.CompressedBytes, Math.Max(_fetchLimit, bodyOffset + header.CompressedBytes), cancel)
            .ConfigureAwait(false);
        if (_options.VerifyChecksums && header.Crc is { } crc && Crc32.Compute(body) != crc)
            throw new ParquetFormatException("a page's checksum is wrong", _pageOffset);

        var levels = 0;
        if (header.Type == PageType.DataV2)
        {
            levels = header.DefinitionBytes + header.RepetitionBytes;
            if (header.DefinitionBytes < 0 || header.RepetitionBytes != 0
                || levels > header.CompressedBytes || levels > header.UncompressedBytes)
            {
                throw new ParquetFormatException("a page's levels do not fit in it", _pageOffset);
            }
        }

        var isPacked = header.Type != PageType.DataV2 || header.IsCompressed;
        var codec = isPacked ? _chunk.Codec : ParquetCodec.Uncompressed;
        var (packed, unpacked) = (header.CompressedBytes - levels, header.UncompressedBytes - levels);
        if (unpacked > 0 && !PageDecompressor.IsPlausible(codec, packed, unpacked))
            throw new ParquetFormatException($"{packed} bytes of {codec} cannot hold {unpacked}", _pageOffset);

        var size = header.UncompressedBytes + BitPacking.Slack;
        if (buffer.Length < size)
            buffer = new byte[Math.Max(size, Math.Min(buffer.Length * 2, 1 << 20))];
        body.AsSpan(0, levels).CopyTo(buffer);
        if (unpacked > 0)
            Unpack(codec, body[levels..], buffer.AsSpan(levels, unpacked));
        buffer.AsSpan(header.UncompressedBytes, BitPacking.Slack).Clear();
        return buffer;
    }

    private void Unpack(ParquetCodec codec, ArraySegment<byte> packed, Span<byte> target)
    {
        try
        {
            PageDecompressor.Decompress(codec, packed, target);
        }
        catch (InvalidDataException fault)
        {
            throw new ParquetFormatException($"a page does not unpack: {fault.Message}", _pageOffset, fault);
        }
    }

    private void BeginPage(PageHeader header)
    {
        var at = 0;
        _hasLevels = false;
        if (_column.IsNullable)
        {
            int levelBytes;
            if (header.Type == PageType.DataV2)
            {
                levelBytes = header.DefinitionBytes;
            }
            else
            {
                if (header.DefinitionEncoding != ParquetEncoding.Rle)
                    throw new ParquetFormatException($"levels encoded as {header.DefinitionEncoding} are not read", _pageOffset);
                if (header.UncompressedBytes < 4)
                    throw new ParquetFormatException("a page ends before its levels", _pageOffset);

                levelBytes = BinaryPrimitives.ReadInt32LittleEndian(_page);
                at = 4;
            }

            if (levelBytes < 0 || levelBytes > header.UncompressedBytes - at)
                throw new ParquetFormatException($"levels of {levelBytes} bytes do not fit in their page", _pageOffset);

            _levels = new HybridDecoder(_page, at, at + levelBytes, 1, _pageOffset);
            _hasLevels = true;
            at += levelBytes;
        }

        _decoder.Begin(_page, at, header.UncompressedBytes, header.ValueCount, header.Encoding, _pageOffset);
        _pageRowsLeft = header.ValueCount;
    }

    private int PageOf(long row)
    {
        var (low, high) = (0, _pages!.Count - 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_pages[middle].FirstRow <= row)
                low = middle;
            else
                high = middle - 1;
        }

        return low;
    }

    private void CheckLocations(List<PageLocation> pages)
    {
        var (offset, row) = (_start, -1L);
        foreach (var page in pages)
        {
            if (page.Offset < offset || page.CompressedBytes <= 0 || page.Offset + page.CompressedBytes > _end
                || page.Offset > _end || page.FirstRow <= row || page.FirstRow >= _rowCount)
            {
                throw new ParquetFormatException("the offset index names pages outside the column", page.Offset);
            }

            (offset, row) = (page.Offset + page.CompressedBytes, page.FirstRow);
        }

        if (pages.Count == 0 ? _rowCount > 0 : pages[0].FirstRow != 0)
            throw new ParquetFormatException("the offset index does not begin at the first row");
    }
}
