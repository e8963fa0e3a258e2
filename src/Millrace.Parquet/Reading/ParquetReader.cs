using System.Buffers.Binary;
using Millrace.Parquet.Metadata;
using Millrace.Parquet.Reading;

namespace Millrace.Parquet;

/// <summary>
/// An opened file: schema, statistics, metadata, and scans over its rows. Scans of one reader may run on different threads; one
/// scan may not.
/// </summary>
public sealed class ParquetReader : IDisposable
{
    /// <summary>Nearly always holds the footer and the page index, and is one request to an object store.</summary>
    private const int TailBytes = 64 << 10;

    private const int FrameBytes = 8;

    private readonly byte[] _tail;
    private readonly long _tailStart;
    private readonly FileMetadata _file;

    private ParquetReader(
        ParquetSource source, ParquetReaderOptions options, FileMetadata file, long dataEnd, byte[] tail, long tailStart)
    {
        Source = source;
        Options = options;
        _file = file;
        DataEnd = dataEnd;
        _tail = tail;
        _tailStart = tailStart;

        var (columns, leaves, leafCount, skipped) = ColumnSchema.ToColumns(file.Schema);
        Columns = columns;
        UnsupportedColumns = skipped;
        var groups = new List<ParquetRowGroup>(file.RowGroups.Count);
        long rows = 0;
        foreach (var group in file.RowGroups)
        {
            if (group.RowCount < 0 || group.RowCount > file.RowCount - rows || group.Columns.Count != leafCount
                || group.Columns.Exists(chunk => !chunk.IsPresent))
            {
                throw new ParquetFormatException($"row group {groups.Count} does not fit the schema or the row count");
            }

            groups.Add(new ParquetRowGroup(columns, [.. leaves.Select(leaf => group.Columns[leaf])], group, rows));
            rows += group.RowCount;
        }

        if (rows != file.RowCount)
            throw new ParquetFormatException($"the row groups hold {rows} rows and the footer says {file.RowCount}");

        RowGroups = groups;
    }

    private ParquetReader(ParquetSource source, ParquetReader known)
    {
        Source = source;
        Options = known.Options;
        (_file, _tail, _tailStart) = (known._file, known._tail, known._tailStart);
        (DataEnd, Columns, UnsupportedColumns, RowGroups) = (known.DataEnd, known.Columns, known.UnsupportedColumns, known.RowGroups);
    }

    /// <summary>The flat columns, in order.</summary>
    public IReadOnlyList<ParquetColumn> Columns { get; }

    /// <summary>Names of columns that hold groups, lists or 96-bit times; they cannot be read here.</summary>
    public IReadOnlyList<string> UnsupportedColumns { get; }

    public IReadOnlyList<ParquetRowGroup> RowGroups { get; }

    public long RowCount => _file.RowCount;

    /// <summary>Who wrote the file, as it says.</summary>
    public string? CreatedBy => _file.CreatedBy;

    /// <summary>The footer's pairs; of a key that stands twice, the last.</summary>
    public IReadOnlyDictionary<string, string?> Metadata
    {
        get
        {
            var pairs = new Dictionary<string, string?>();
            foreach (var (key, value) in _file.KeyValues)
                pairs[key] = value;
            return pairs;
        }
    }

    internal ParquetSource Source { get; }

    internal ParquetReaderOptions Options { get; }

    /// <summary>Where the footer begins; pages lie before it.</summary>
    internal long DataEnd { get; }

    /// <summary>Opens a local file.</summary>
    /// <exception cref="ParquetFormatException">It is not a Parquet file, or damaged.</exception>
    public static ParquetReader Open(string path, ParquetReaderOptions? options = null) =>
        Open(ParquetSource.File(path), options);

    /// <summary>Opens a source whose reads complete synchronously, as all of this library's do. The reader owns it.</summary>
    /// <exception cref="ParquetFormatException">It is not a Parquet file, or damaged.</exception>
    public static ParquetReader Open(ParquetSource source, ParquetReaderOptions? options = null) =>
        Completed(OpenAsync(source, options, CancellationToken.None));

    /// <summary>Opens a source; the reader owns it, also when opening fails.</summary>
    /// <exception cref="ParquetFormatException">It is not a Parquet file, or damaged.</exception>
    public static async ValueTask<ParquetReader> OpenAsync(
        ParquetSource source, ParquetReaderOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        try
        {
            return await OpenFooterAsync(source, options ?? new ParquetReaderOptions(), cancel).ConfigureAwait(false);
        }
        catch (ParquetFormatException fault)
        {
            var named = fault.In(source.Name, null);
            source.Dispose();
            throw named;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Opens a file that was opened before by the footer that is known: nothing is read. The other reader may be disposed. The new one
    /// owns its source.
    /// </summary>
    /// <exception cref="ParquetFormatException">The source has another length than the file had.</exception>
    public ParquetReader Reopen(ParquetSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (source.Length == _tailStart + _tail.Length)
            return new ParquetReader(source, this);

        var fault = new ParquetFormatException($"the file has {source.Length} bytes and had {_tailStart + _tail.Length}").In(source.Name, null);
        source.Dispose();
        throw fault;
    }

    /// <summary>Bytes of the footer and what lies before it, which a reader holds.</summary>
    public int MetadataBytes => _tail.Length;

    /// <summary>Starts a scan over the rows.</summary>
    public ParquetScan Scan(ParquetScanOptions? options = null) => new(this, options ?? new ParquetScanOptions());

    /// <summary>The place of a column, or -1.</summary>
    public int IndexOf(string column)
    {
        for (var i = 0; i < Columns.Count; i++)
        {
            if (Columns[i].Name == column)
                return i;
        }

        return -1;
    }

    public void Dispose() => Source.Dispose();

    internal static T Completed<T>(ValueTask<T> task) => task.IsCompleted
        ? task.GetAwaiter().GetResult()
        : throw new NotSupportedException("This source reads asynchronously: use the asynchronous methods.");

    /// <summary>Bytes of the metadata: from the tail where it has them, else from the source.</summary>
    internal async ValueTask<ReadOnlyMemory<byte>> ReadMetadataAsync(long offset, int count, CancellationToken cancel)
    {
        if (count < 0 || count > Options.FooterBytesMax || offset < 0 || offset > DataEnd - count)
            throw new ParquetFormatException($"{count} bytes of metadata at {offset} lie outside the file");
        if (offset >= _tailStart)
            return _tail.AsMemory((int)(offset - _tailStart), count);

        return await ReadAsync(Source, offset, count, cancel).ConfigureAwait(false);
    }

    private static async ValueTask<ParquetReader> OpenFooterAsync(
        ParquetSource source, ParquetReaderOptions options, CancellationToken cancel)
    {
        var length = source.Length;
        if (length < FrameBytes + 4)
            throw new ParquetFormatException($"a file of {length} bytes is not Parquet");

        var tailStart = Math.Max(0, length - TailBytes);
        var tail = await ReadAsync(source, tailStart, (int)(length - tailStart), cancel).ConfigureAwait(false);
        var magic = tail.AsSpan(tail.Length - 4);
        if (magic.SequenceEqual("PARE"u8))
            throw new ParquetFormatException("the footer is encrypted, which is not read");
        if (!magic.SequenceEqual("PAR1"u8))
            throw new ParquetFormatException("the file does not end as Parquet: it is another format, or was cut", length - 4);

        var footerBytes = BinaryPrimitives.ReadUInt32LittleEndian(tail.AsSpan(tail.Length - FrameBytes));
        if (footerBytes > options.FooterBytesMax || footerBytes > length - FrameBytes - 4)
            throw new ParquetFormatException($"a footer of {footerBytes} bytes does not fit", length - FrameBytes);

        var footerStart = length - FrameBytes - footerBytes;
        if (footerStart < tailStart)
        {
            tailStart = footerStart;
            tail = await ReadAsync(source, tailStart, (int)(length - tailStart), cancel).ConfigureAwait(false);
        }

        var footer = tail.AsSpan((int)(footerStart - tailStart), (int)footerBytes);
        var file = MetadataReader.ReadFile(footer, footerStart);
        if (file.Version is not (1 or 2))
            throw new ParquetFormatException($"format version {file.Version} is not read", footerStart);

        return new ParquetReader(source, options, file, footerStart, tail, tailStart);
    }

    private static async ValueTask<byte[]> ReadAsync(ParquetSource source, long offset, int count, CancellationToken cancel)
    {
        var bytes = new byte[count];
        var read = await source.ReadAsync(offset, bytes, cancel).ConfigureAwait(false);
        return read == count ? bytes : throw new ParquetFormatException($"the file ends where {count} bytes belong", offset);
    }
}
