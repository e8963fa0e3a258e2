using Millrace.Parquet.Metadata;
using Millrace.Parquet.Reading;

namespace Millrace.Parquet;

/// <summary>Walks over the rows of a file in batches of columns, past the row groups and pages that its filters rule out.</summary>
public sealed class ParquetScan
{
    /// <summary>Batches of wide rows are made shorter, so that their texts stay near this size.</summary>
    private const long BatchBytesWanted = 32 << 20;

    private readonly ParquetReader _reader;
    private readonly ParquetScanOptions _options;
    private readonly int[] _columns;
    private readonly (ParquetFilter Filter, int Column)[] _filters;
    private readonly ParquetVector[] _vectors;
    private readonly Dictionary<string, int> _byName = [];
    private readonly Queue<RowRange> _ranges = new();
    private ChunkReader[] _chunks = [];
    private int _nextGroup;
    private ParquetRowGroup? _group;
    private RowRange _range;
    private int _batchRows;

    internal ParquetScan(ParquetReader reader, ParquetScanOptions options)
    {
        _reader = reader;
        _options = options;
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchRows, 1, nameof(options.BatchRows));
        foreach (var group in options.RowGroups ?? [])
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)group, (uint)reader.RowGroups.Count, "RowGroups");

        _columns = options.Columns is null
            ? [.. Enumerable.Range(0, reader.Columns.Count)]
            : [.. options.Columns.Select(Find)];
        _filters = [.. options.Filters.Select(filter => (filter, Find(filter.Column)))];
        foreach (var (filter, column) in _filters)
            filter.Check(reader.Columns[column]);

        _vectors = [.. _columns.Select(column => new ParquetVector(reader.Columns[column]))];
        for (var i = 0; i < _vectors.Length; i++)
            _byName.TryAdd(_vectors[i].Column.Name, i);
    }

    /// <summary>Rows of the batch.</summary>
    public int RowCount { get; private set; }

    /// <summary>The number of the batch's first row in the file, from 0.</summary>
    public long FirstRow { get; private set; }

    /// <summary>Row groups that the filters ruled out so far.</summary>
    public int RowGroupsSkipped { get; private set; }

    /// <summary>Rows that the filters ruled out so far, by row group or page.</summary>
    public long RowsSkipped { get; private set; }

    /// <summary>The columns read, in their order.</summary>
    public IReadOnlyList<ParquetVector> Vectors => _vectors;

    public ParquetVector this[int column] => _vectors[column];

    public ParquetVector this[string column] => _vectors[_byName[column]];

    /// <summary>Steps to the next batch; false at the end. Only for sources that read synchronously.</summary>
    /// <exception cref="ParquetFormatException">The file is damaged; the scan cannot go on.</exception>
    public bool Read() => ParquetReader.Completed(ReadAsync());

    /// <summary>Steps to the next batch; false at the end.</summary>
    /// <exception cref="ParquetFormatException">The file is damaged; the scan cannot go on.</exception>
    public async ValueTask<bool> ReadAsync(CancellationToken cancel = default)
    {
        while (_range.IsEmpty)
        {
            if (_ranges.TryDequeue(out _range))
                await SeekAsync(cancel).ConfigureAwait(false);
            else if (!await OpenNextGroupAsync(cancel).ConfigureAwait(false))
                return End();
        }

        var rows = (int)Math.Min(_range.Count, _batchRows);
        for (var i = 0; i < _chunks.Length; i++)
        {
            try
            {
                await _chunks[i].ReadAsync(_vectors[i], rows, cancel).ConfigureAwait(false);
            }
            catch (ParquetFormatException fault)
            {
                throw fault.In(_reader.Source.Name, _vectors[i].Column.Name);
            }
        }

        RowCount = rows;
        FirstRow = _group!.FirstRow + _range.Start;
        _range = new RowRange(_range.Start + rows, _range.End);
        return true;
    }

    private bool End()
    {
        RowCount = 0;
        return false;
    }

    private int Find(string name)
    {
        var column = _reader.IndexOf(name);
        return column >= 0 ? column : throw new ArgumentException($"The file has no flat column '{name}'.");
    }

    private async ValueTask SeekAsync(CancellationToken cancel)
    {
        for (var i = 0; i < _chunks.Length; i++)
        {
            try
            {
                await _chunks[i].SeekAsync(_range.Start, _range.End, cancel).ConfigureAwait(false);
            }
            catch (ParquetFormatException fault)
            {
                throw fault.In(_reader.Source.Name, _vectors[i].Column.Name);
            }
        }
    }

    private async ValueTask<bool> OpenNextGroupAsync(CancellationToken cancel)
    {
        var count = _options.RowGroups?.Count ?? _reader.RowGroups.Count;
        if (_nextGroup >= count)
            return false;

        var group = _reader.RowGroups[_options.RowGroups?[_nextGroup] ?? _nextGroup];
        _nextGroup++;
        try
        {
            await OpenGroupAsync(group, cancel).ConfigureAwait(false);
        }
        catch (ParquetFormatException fault)
        {
            throw fault.In(_reader.Source.Name, null);
        }

        return true;
    }

    private async ValueTask OpenGroupAsync(ParquetRowGroup group, CancellationToken cancel)
    {
        if (group.RowCount == 0)
            return;

        var ranges = await GroupPruning.RangesAsync(_reader, group, _filters, cancel).ConfigureAwait(false);
        RowsSkipped += group.RowCount - ranges.Sum(range => range.Count);
        if (ranges.Count == 0)
        {
            RowGroupsSkipped++;
            return;
        }

        var isPartial = ranges.Sum(range => range.Count) < group.RowCount;
        var chunks = new ChunkReader[_columns.Length];
        long bytes = 0;
        for (var i = 0; i < _columns.Length; i++)
        {
            var chunk = group.Columns[_columns[i]];
            try
            {
                // Reading everything needs no index: pages are then simply met one after the other.
                var pages = isPartial
                    ? await GroupPruning.OffsetIndexAsync(_reader, chunk, cancel).ConfigureAwait(false)
                    : null;
                chunks[i] = new ChunkReader(
                    _reader.Source, _reader.Options, chunk.Column, chunk.Metadata, group.RowCount, _reader.DataEnd, pages);
            }
            catch (ParquetFormatException fault)
            {
                throw fault.In(_reader.Source.Name, chunk.Column.Name);
            }

            bytes = Math.Max(bytes, chunk.Metadata.UncompressedBytes);
        }

        _chunks = chunks;
        _group = group;
        _batchRows = (int)Math.Clamp(BatchBytesWanted / Math.Max(1, bytes / group.RowCount), 1, _options.BatchRows);
        foreach (var range in ranges)
            _ranges.Enqueue(range);
    }
}
