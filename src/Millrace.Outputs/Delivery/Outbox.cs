using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Win32.SafeHandles;

namespace Millrace.Outputs.Delivery;

/// <summary>
/// The rows of one output between the job that makes them and the target that takes them, on disk: a slow or dead target only
/// lags. One thread writes (the job), one reads (the pump). A row that is already here is not taken again, which is what makes
/// the job's replay after a crash harmless.
/// <para>
/// Segment files <c>NNNNNNNN.rows</c>: eight bytes <c>MLRROWS1</c>, then records: u32 length of all after the checksum, u32
/// CRC-32C of all after the checksum, i32 version, i64 row, i64 timestamp (µs), the row as JSON; little-endian. A torn tail is cut on
/// opening: the rows in it are made again by the job, whose snapshot is written only after <see cref="Flush"/>.
/// </para>
/// <para>
/// <c>released.json</c> beside them says up to which row all was delivered, so that rows of the open segment that an earlier target took
/// do not go to another one. It is written with <see cref="Flush"/> and when the outbox is closed: until then the target itself knows better.
/// </para>
/// </summary>
public sealed class Outbox : IDisposable
{
    private const int RecordHeaderBytes = 8;
    private const int RecordFixedBytes = 20;
    private static readonly byte[] Magic = "MLRROWS1"u8.ToArray();

    private readonly Lock _gate = new();

    /// <summary>Of the two marks that writer and reader share; never held while the disk is used.</summary>
    private readonly Lock _marks = new();
    private readonly string _folder;
    private readonly long _segmentBytes;
    private readonly long _bytesMax;
    private readonly ArrayBufferWriter<byte> _buffer = new(64 << 10);
    private readonly List<Segment> _segments = [];
    private readonly Channel<bool> _published = Signal();
    private readonly Channel<bool> _drained = Signal();
    private int _buffered;
    private RowId _bufferedHighest;
    private bool _unflushed;
    private long _cursorOffset;
    private long _pendingRows;
    private long _pendingBytes;
    private RowId _highest = RowId.None;
    private RowId _released = RowId.None;
    private RowId _savedMark = RowId.None;

    private sealed record Mark(int Format, int Version, long Row);

    private sealed class Segment
    {
        public required long Number { get; init; }
        public required string Path { get; init; }
        public required SafeFileHandle Handle { get; init; }
        public long Length { get; set; }
        public RowId Last { get; set; } = RowId.None;
    }

    private Outbox(string folder, long bytesMax, long segmentBytes)
    {
        _folder = folder;
        _bytesMax = bytesMax;
        _segmentBytes = segmentBytes;
    }

    /// <summary>The highest row taken, written or still buffered.</summary>
    public RowId Highest
    {
        get
        {
            lock (_marks)
                return _highest;
        }
    }

    /// <summary>Every row up to this one was delivered.</summary>
    public RowId Released
    {
        get
        {
            lock (_marks)
                return _released;
        }
    }

    /// <summary>Rows that wait for delivery.</summary>
    public long PendingRows => Interlocked.Read(ref _pendingRows);

    /// <summary>Bytes that wait for delivery.</summary>
    public long PendingBytes => Interlocked.Read(ref _pendingBytes);

    /// <summary>Whether the job may go on; false while the target is further behind than the bound.</summary>
    public bool HasRoom => PendingBytes < _bytesMax;

    /// <summary>Bytes cut off the tail on opening: rows that were not yet flushed when the process died.</summary>
    public long CutBytes { get; private set; }

    /// <summary>Opens or makes the outbox in a folder.</summary>
    /// <param name="bytesMax">Bytes that may wait before <see cref="HasRoom"/> turns false.</param>
    /// <param name="segmentBytes">A segment file is closed at about this size and removed when all of it was delivered.</param>
    public static Outbox Open(string folder, long bytesMax = 1L << 30, long segmentBytes = 16 << 20)
    {
        Directory.CreateDirectory(folder);
        var box = new Outbox(folder, bytesMax, segmentBytes);
        foreach (var path in Directory.EnumerateFiles(folder, "*.rows").Order(StringComparer.Ordinal))
            box.Recover(path);
        box._cursorOffset = Magic.Length;
        if (box.ReadMark() is { } mark)
        {
            box._savedMark = mark;
            box.Release(mark);
        }

        return box;
    }

    /// <summary>Takes a row unless it is here already; it becomes visible to the pump with <see cref="Publish"/>.</summary>
    /// <returns>False when the row is not new.</returns>
    public bool Append(RowId id, long timestamp, ReadOnlySpan<byte> json)
    {
        lock (_marks)
        {
            if (id <= _highest)
                return false;
            _highest = id;
        }

        var length = RecordFixedBytes + json.Length;
        var span = _buffer.GetSpan(RecordHeaderBytes + length)[..(RecordHeaderBytes + length)];
        BinaryPrimitives.WriteInt32LittleEndian(span, length);
        BinaryPrimitives.WriteInt32LittleEndian(span[8..], id.Version);
        BinaryPrimitives.WriteInt64LittleEndian(span[12..], id.Row);
        BinaryPrimitives.WriteInt64LittleEndian(span[20..], timestamp);
        json.CopyTo(span[28..]);
        BinaryPrimitives.WriteUInt32LittleEndian(span[4..], Checksum(span[RecordHeaderBytes..]));
        _buffer.Advance(span.Length);
        _buffered++;
        _bufferedHighest = id;
        return true;
    }

    /// <summary>Hands the rows taken so far to the operating system and wakes the pump.</summary>
    public void Publish()
    {
        if (_buffered == 0)
            return;
        lock (_gate)
        {
            var fresh = SkipReleased(_buffer.WrittenSpan, ref _buffered);
            if (fresh.Length > 0)
            {
                var segment = _segments.Count > 0 && _segments[^1].Length < _segmentBytes ? _segments[^1] : Roll();
                RandomAccess.Write(segment.Handle, fresh, segment.Length);
                segment.Length += fresh.Length;
                segment.Last = _bufferedHighest;
                Interlocked.Add(ref _pendingRows, _buffered);
                Interlocked.Add(ref _pendingBytes, fresh.Length);
                _unflushed = true;
            }
        }

        _buffer.ResetWrittenCount();
        _buffered = 0;
        _published.Writer.TryWrite(true);
    }

    /// <summary>Publishes and puts every row on stable storage; called before a snapshot that says they were made.</summary>
    public void Flush()
    {
        Publish();
        lock (_gate)
        {
            if (_unflushed)
                RandomAccess.FlushToDisk(_segments[^1].Handle);
            _unflushed = false;
            SaveMark();
        }
    }

    /// <summary>Drops the rows up to and including <paramref name="held"/>: the target has them.</summary>
    public void Release(RowId held)
    {
        lock (_gate)
        {
            lock (_marks)
            {
                if (held > _highest)
                    _highest = held;
                if (held > _released)
                    _released = held;
            }

            while (_segments.Count > 0 && _segments[0].Last <= held)
            {
                var done = _segments[0];
                CountDelivered(done, _cursorOffset, done.Length);
                // The last segment stays open for writing; only what is before it can go.
                if (_segments.Count == 1)
                {
                    _cursorOffset = done.Length;
                    break;
                }

                _segments.RemoveAt(0);
                done.Handle.Dispose();
                File.Delete(done.Path);
                _cursorOffset = Magic.Length;
            }

            if (_segments.Count > 0)
            {
                var (segment, start) = (_segments[0], _cursorOffset);
                while (TryReadHeader(segment, _cursorOffset, out var length, out var id, out _) && id <= held)
                    _cursorOffset += RecordHeaderBytes + length;
                CountDelivered(segment, start, _cursorOffset);
            }
        }

        _drained.Writer.TryWrite(true);
    }

    /// <summary>
    /// Copies the oldest waiting rows, at most <paramref name="rowsMax"/> and about <paramref name="bytesMax"/>, without
    /// removing them. All of one version: a batch never spans an edit of the job.
    /// </summary>
    public List<OutputRow> Peek(int rowsMax, int bytesMax)
    {
        List<OutputRow> rows = [];
        lock (_gate)
        {
            var (index, offset, bytes) = (0, _cursorOffset, 0);
            while (index < _segments.Count && rows.Count < rowsMax && bytes < bytesMax)
            {
                var segment = _segments[index];
                if (offset >= segment.Length)
                {
                    index++;
                    offset = Magic.Length;
                    continue;
                }

                if (!TryReadHeader(segment, offset, out var length, out var id, out var timestamp))
                    break;
                var json = new byte[length - RecordFixedBytes];
                if (rows.Count > 0 && (bytes + json.Length > bytesMax || id.Version != rows[0].Id.Version))
                    return rows;
                RandomAccess.Read(segment.Handle, json, offset + RecordHeaderBytes + RecordFixedBytes);
                rows.Add(new OutputRow(id, timestamp, json));
                bytes += json.Length;
                offset += RecordHeaderBytes + length;
            }
        }

        return rows;
    }

    /// <summary>Waits until rows were published since the last call.</summary>
    public async ValueTask WaitForRowsAsync(CancellationToken cancel) => await _published.Reader.ReadAsync(cancel);

    /// <summary>Waits until there is room again.</summary>
    public async ValueTask WaitForRoomAsync(CancellationToken cancel)
    {
        while (!HasRoom)
            await _drained.Reader.ReadAsync(cancel);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            try
            {
                SaveMark();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The older mark stays: rows may be offered again to a target that takes each once.
            }

            foreach (var segment in _segments)
                segment.Handle.Dispose();
            _segments.Clear();
        }
    }

    /// <summary>What of the buffered records the target does not hold already: it may have told so after they were taken.</summary>
    private ReadOnlySpan<byte> SkipReleased(ReadOnlySpan<byte> records, ref int count)
    {
        var released = Released;
        while (records.Length > 0)
        {
            var id = new RowId(BinaryPrimitives.ReadInt32LittleEndian(records[8..]), BinaryPrimitives.ReadInt64LittleEndian(records[12..]));
            if (id > released)
                break;
            records = records[(RecordHeaderBytes + BinaryPrimitives.ReadInt32LittleEndian(records))..];
            count--;
        }

        return records;
    }

    private string MarkPath => Path.Combine(_folder, "released.json");

    private RowId? ReadMark()
    {
        try
        {
            return File.Exists(MarkPath) && JsonSerializer.Deserialize<Mark>(File.ReadAllBytes(MarkPath)) is { Format: 1 } mark ? new RowId(mark.Version, mark.Row) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private void SaveMark()
    {
        var released = Released;
        if (released == _savedMark)
            return;
        AtomicFile.Write(MarkPath, JsonSerializer.SerializeToUtf8Bytes(new Mark(1, released.Version, released.Row)));
        _savedMark = released;
    }

    private static Channel<bool> Signal() =>
        Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (var b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    private Segment Roll()
    {
        if (_segments.Count > 0)
            RandomAccess.FlushToDisk(_segments[^1].Handle);
        var number = _segments.Count > 0 ? _segments[^1].Number + 1 : 1;
        var path = Path.Combine(_folder, $"{number:D8}.rows");
        var handle = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.Read);
        RandomAccess.Write(handle, Magic, 0);
        AtomicFile.FlushFolder(_folder);
        var segment = new Segment { Number = number, Path = path, Handle = handle, Length = Magic.Length };
        _segments.Add(segment);
        if (_segments.Count == 1)
            _cursorOffset = Magic.Length;
        return segment;
    }

    private void Recover(string path)
    {
        var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
        var length = RandomAccess.GetLength(handle);
        var bytes = new byte[length];
        RandomAccess.Read(handle, bytes, 0);
        var segment = new Segment
        {
            Number = long.Parse(Path.GetFileNameWithoutExtension(path)),
            Path = path,
            Handle = handle,
            Length = Magic.Length,
        };
        if (!bytes.AsSpan().StartsWith(Magic))
            RandomAccess.Write(handle, Magic, 0);
        var rest = bytes.AsSpan(Math.Min(Magic.Length, bytes.Length));
        while (TryMeasure(rest, out var record, out var id))
        {
            segment.Length += record;
            segment.Last = _highest = id;
            _pendingRows++;
            _pendingBytes += record;
            rest = rest[record..];
        }

        if (segment.Length < length)
        {
            CutBytes += length - segment.Length;
            RandomAccess.SetLength(handle, segment.Length);
        }

        _segments.Add(segment);
    }

    private static bool TryMeasure(ReadOnlySpan<byte> bytes, out int record, out RowId id)
    {
        (record, id) = (0, default);
        if (bytes.Length < RecordHeaderBytes + RecordFixedBytes)
            return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        if (length < RecordFixedBytes || length > bytes.Length - RecordHeaderBytes)
            return false;
        var body = bytes.Slice(RecordHeaderBytes, length);
        if (Checksum(body) != BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]))
            return false;
        record = RecordHeaderBytes + length;
        id = new RowId(BinaryPrimitives.ReadInt32LittleEndian(body), BinaryPrimitives.ReadInt64LittleEndian(body[4..]));
        return true;
    }

    private static bool TryReadHeader(Segment segment, long offset, out int length, out RowId id, out long timestamp)
    {
        (length, id, timestamp) = (0, default, 0);
        if (offset >= segment.Length)
            return false;
        Span<byte> header = stackalloc byte[RecordHeaderBytes + RecordFixedBytes];
        if (RandomAccess.Read(segment.Handle, header, offset) < header.Length)
            return false;
        length = BinaryPrimitives.ReadInt32LittleEndian(header);
        id = new RowId(BinaryPrimitives.ReadInt32LittleEndian(header[8..]), BinaryPrimitives.ReadInt64LittleEndian(header[12..]));
        timestamp = BinaryPrimitives.ReadInt64LittleEndian(header[20..]);
        return true;
    }

    private void CountDelivered(Segment segment, long from, long to)
    {
        if (to <= from)
            return;
        Interlocked.Add(ref _pendingBytes, from - to);
        long rows = 0;
        for (var offset = from; offset < to && TryReadHeader(segment, offset, out var length, out _, out _); rows++)
            offset += RecordHeaderBytes + length;
        Interlocked.Add(ref _pendingRows, -rows);
    }
}
