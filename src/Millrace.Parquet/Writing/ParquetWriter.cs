using Millrace.Parquet.Compression;
using Millrace.Parquet.Encodings;
using Millrace.Parquet.Metadata;
using Millrace.Parquet.Writing;

namespace Millrace.Parquet;

/// <summary>
/// Writes a flat table front to back, without seeking, holding one row group in memory. Add values to the columns, then call
/// <see cref="CommitRows"/>; finish with <see cref="Complete"/>. Not for several threads at once.
/// </summary>
/// <remarks>Without <see cref="Complete"/> there is no footer and the file is not Parquet: write to a name of its own and rename.</remarks>
public sealed class ParquetWriter
{
    /// <summary>More would make a probe's memory matter; reached at 700,000 distinct values in a row group.</summary>
    private const int BloomBytesMax = 1 << 20;

    private static ReadOnlySpan<byte> Magic => "PAR1"u8;

    private readonly ParquetWriterOptions _options;
    private readonly PositionedOutput _output;
    private readonly ParquetColumnWriter[] _columns;
    private readonly Dictionary<string, int> _byName;
    private readonly EncodingChoice[] _choices;
    private readonly bool[] _hasBloom;
    private readonly ChunkWriter _chunks;
    private readonly ByteBuffer _scratch = new();
    private readonly FileMetadata _file;
    private readonly List<WrittenChunk> _written = [];
    private readonly List<ParquetSort> _sorting;
    private bool _isComplete;

    /// <param name="output">Written to and flushed, never closed.</param>
    /// <param name="columns">The table's columns; names must differ.</param>
    /// <param name="options">Defaults when null.</param>
    public ParquetWriter(Stream output, IReadOnlyList<ParquetColumn> columns, ParquetWriterOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(columns);
        if (columns.Count == 0)
            throw new ArgumentException("A table has at least one column.", nameof(columns));

        _options = options ?? new ParquetWriterOptions();
        _options.Check(columns);
        _output = new PositionedOutput(output);
        _columns = [.. columns.Select(Writable)];
        _byName = Enumerable.Range(0, columns.Count).ToDictionary(i => columns[i].Name);
        _choices = [.. columns.Select(column => new EncodingChoice(
            _options.Encodings.TryGetValue(column.Name, out var encoding) ? encoding : null, _options.EncodingTrials))];
        _hasBloom = [.. columns.Select(c => _options.BloomFilters.Contains(c.Name) && c.Kind != ParquetKind.Boolean)];
        _chunks = new ChunkWriter(_options, _output);
        _file = new FileMetadata { Schema = ColumnSchema.ToElements(columns), CreatedBy = _options.CreatedBy };
        _sorting = [.. _options.SortedBy.Select(name => new ParquetSort(_byName[name]))];
        _output.Write(Magic);
    }

    /// <summary>Pairs for the footer; they may be added until <see cref="Complete"/>.</summary>
    public Dictionary<string, string> Metadata { get; } = [];

    /// <summary>Rows committed so far.</summary>
    public long RowCount { get; private set; }

    /// <summary>Bytes written so far.</summary>
    public long Position => _output.Position;

    public ParquetColumnWriter this[int column] => _columns[column];

    public ParquetColumnWriter this[string column] => _columns[_byName[column]];

    /// <summary>Ends the rows added since the last call and writes the row groups that are full.</summary>
    /// <exception cref="InvalidOperationException">The columns have different numbers of rows.</exception>
    public void CommitRows()
    {
        ObjectDisposedException.ThrowIf(_isComplete, this);
        var rows = _columns[0].RowCount;
        long bytes = 0;
        foreach (var column in _columns)
        {
            bytes += column.RawBytes;
            if (column.RowCount != rows)
            {
                throw new InvalidOperationException(
                    $"Column '{column.Column.Name}' has {column.RowCount} rows where '{_columns[0].Column.Name}' has {rows}.");
            }
        }

        RowCount = _file.RowCount + rows;
        while (rows >= _options.RowGroupRows)
        {
            WriteRowGroup(_options.RowGroupRows);
            rows -= _options.RowGroupRows;
            bytes = _columns.Sum(column => column.RawBytes);
        }

        if (rows > 0 && bytes >= _options.RowGroupBytesMax)
            WriteRowGroup(rows);
    }

    /// <summary>Writes what is left and the footer, and flushes the stream. Nothing can be added afterwards.</summary>
    public void Complete()
    {
        CommitRows();
        if (_columns[0].RowCount > 0)
            WriteRowGroup(_columns[0].RowCount);

        if (_options.PageIndex)
            WritePageIndex();

        foreach (var (key, value) in Metadata)
            _file.KeyValues.Add(new(key, value));

        _scratch.Clear();
        MetadataWriter.Write(_file, _scratch);
        _scratch.WriteInt32(_scratch.Length);
        _scratch.Write(Magic);
        _output.Write(_scratch.Written);
        _output.Flush();
        _isComplete = true;
        _chunks.Release();
        _scratch.Release();
        foreach (var column in _columns)
            column.Release();
    }

    private static ParquetColumnWriter Writable(ParquetColumn column)
    {
        var isOurs = column.Kind is not (ParquetKind.Float or ParquetKind.FixedBytes or ParquetKind.TimestampNanos
            or ParquetKind.UInt32 or ParquetKind.UInt64);
        if (!isOurs || (column.IsWideDecimal && column.FixedLength != 16))
            throw new NotSupportedException($"Column '{column.Name}' is of a kind that is only read: {column.Kind}.");

        return new ParquetColumnWriter(column);
    }

    private void WriteRowGroup(int rows)
    {
        var cuts = PageCuts(rows);
        var start = _output.Position;
        var group = new RowGroupMetadata
        {
            RowCount = rows,
            Sorting = _sorting,
            FileOffset = start,
            Ordinal = _file.RowGroups.Count,
        };
        var blooms = new List<(ChunkMetadata Chunk, ulong[] Hashes)>();
        for (var i = 0; i < _columns.Length; i++)
        {
            var written = _chunks.Write(_columns[i], rows, cuts, _choices[i]);
            _written.Add(written);
            group.Columns.Add(written.Chunk);
            group.TotalBytes += written.Chunk.UncompressedBytes;
            if (_hasBloom[i])
                blooms.Add((written.Chunk, _chunks.Hashes(_columns[i], rows, _choices[i])));
        }

        group.CompressedBytes = _output.Position - start;
        foreach (var (chunk, hashes) in blooms)
            WriteBloom(chunk, hashes);

        _file.RowGroups.Add(group);
        _file.RowCount += rows;
        foreach (var column in _columns)
            column.RemoveRows(rows);
    }

    /// <summary>All columns are cut at the same rows: where a page is full, or one column's bytes are.</summary>
    private int[] PageCuts(int rows)
    {
        var cuts = new List<int>();
        for (var row = 0; row < rows;)
        {
            var end = Math.Min(rows, row + _options.PageRows);
            foreach (var column in _columns.Where(column => column.Column.IsBytes))
                end = LastRowWithin(column, row, end);
            cuts.Add(row = end);
        }

        return [.. cuts];
    }

    private int LastRowWithin(ParquetColumnWriter column, int row, int end)
    {
        var first = column.CountValues(0, row);
        var count = column.CountValues(row, end);
        var start = column.StartOf(first);
        while (end - row > 1 && column.StartOf(first + count) - start > _options.PageBytesMax)
        {
            end = row + (end - row + 1) / 2;
            count = column.CountValues(row, end);
        }

        return end;
    }

    private void WriteBloom(ChunkMetadata chunk, ulong[] hashes)
    {
        var bits = BloomFilter.Build(hashes, BloomBytesMax);
        _scratch.Clear();
        MetadataWriter.WriteBloomHeader(bits.Length, _scratch);
        chunk.BloomOffset = _output.Position;
        chunk.BloomLength = _scratch.Length + bits.Length;
        _output.Write(_scratch.Written);
        _output.Write(bits);
    }

    private void WritePageIndex()
    {
        for (var i = 0; i < _written.Count; i++)
        {
            var written = _written[i];
            var column = _columns[i % _columns.Length].Column;
            if (ColumnIndexBuilder.Build(column, written.PageStatistics) is not { } index)
                continue;

            _scratch.Clear();
            MetadataWriter.Write(index, _scratch);
            written.Chunk.ColumnIndexOffset = _output.Position;
            written.Chunk.ColumnIndexLength = _scratch.Length;
            _output.Write(_scratch.Written);
        }

        foreach (var written in _written)
        {
            _scratch.Clear();
            MetadataWriter.Write(written.Pages, _scratch);
            written.Chunk.OffsetIndexOffset = _output.Position;
            written.Chunk.OffsetIndexLength = _scratch.Length;
            _output.Write(_scratch.Written);
        }
    }
}
