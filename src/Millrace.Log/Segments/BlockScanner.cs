using Millrace.Log.Disk;
using Millrace.Log.Format;

namespace Millrace.Log.Segments;

internal enum ScanStep
{
    /// <summary>A good block: see <see cref="BlockScanner.Header"/> and <see cref="BlockScanner.Records"/>.</summary>
    Block,

    /// <summary>A bad stretch was passed: see <see cref="BlockScanner.Bad"/>.</summary>
    Bad,

    End,
}

/// <summary>Bytes of a segment file that are no good block.</summary>
/// <param name="Header">The block's header when that was whole and only its records are bad.</param>
internal readonly record struct BadStretch(long From, long To, BlockHeader? Header)
{
    public long Bytes => To - From;
}

/// <summary>Which blocks a scan verifies as a whole; of the others it looks at the header only.</summary>
internal readonly record struct ScanScope(int Partition)
{
    public static ScanScope Everything => new(-1);
    public static ScanScope HeadersOnly => new(-2);

    public bool Includes(in BlockHeader header) => Partition == -1 || (Partition >= 0 && header.Partition == Partition);
}

/// <summary>
/// Walks the blocks of one segment file forward: reads ahead, verifies, and finds its way again behind bytes that are no
/// block. Recovery, readers, the index and the dump all go through here. Hot; memory it lends is good until the next step.
/// </summary>
internal sealed class BlockScanner(IDiskFile file, long basePosition, LogMeta meta, ScanScope scope, int readAheadBytes, bool readAroundErrors)
{
    private const int PageBytes = 4096;

    private readonly uint _saltState = meta.SaltState;
    private BlockHeader _header;
    private byte[] _buffer = [];
    private long _bufferOffset;
    private int _bufferLength;

    /// <summary>Offset in the file at which the next step begins.</summary>
    public long Offset { get; private set; } = SegmentHeader.Bytes;

    public BlockHeader Header => _header;

    public ref readonly BlockHeader HeaderRef => ref _header;

    /// <summary>The offset of the block of the last step.</summary>
    public long BlockOffset { get; private set; }

    /// <summary>The bytes behind the header; empty when the block is outside the scan's scope.</summary>
    public ReadOnlyMemory<byte> Records { get; private set; }

    public BadStretch Bad { get; private set; }

    /// <summary>The end of the last page that the medium did not give back; 0 when all could be read.</summary>
    public long UnreadableTo { get; private set; }

    public void Seek(long offset) => Offset = offset;

    /// <summary>Takes one step.</summary>
    /// <param name="end">Where the file ends as far as this scan is concerned; nothing behind it is ever looked at.</param>
    public ScanStep Next(long end)
    {
        if (Offset >= end)
            return ScanStep.End;

        var header = Load(Offset, BlockHeader.Bytes, end);
        if (!BlockHeader.TryRead(header, _saltState, basePosition + Offset, meta.Partitions, out var found) || found.TotalLength > end - Offset)
            return Pass(Offset, Resync(Offset + 1, end), null);

        _header = found;
        BlockOffset = Offset;
        Records = default;
        if (scope.Includes(found) || found.Kind == BlockKind.Mark)
        {
            var block = Load(Offset, found.TotalLength, end);
            if (block.Length < found.TotalLength || Crc32C.Of(block[BlockHeader.Bytes..]) != found.RecordsCrc)
                return Pass(Offset, Math.Min(end, Offset + found.TotalLength), found);
            Records = _buffer.AsMemory((int)(Offset - _bufferOffset) + BlockHeader.Bytes, found.Length);
        }

        Offset += found.TotalLength;
        return ScanStep.Block;
    }

    /// <summary>Declares the block of the last step bad: it does not fit what went before.</summary>
    public ScanStep Reject(long end) => Pass(BlockOffset, Resync(BlockOffset + 1, end), null);

    private ScanStep Pass(long from, long to, BlockHeader? header)
    {
        Bad = new BadStretch(from, to, header);
        Offset = to;
        return ScanStep.Bad;
    }

    private long Resync(long from, long end)
    {
        while (true)
        {
            var window = Window(from, end);
            if (window.Length < BlockHeader.Bytes)
                return end;
            var hit = window.IndexOf(BlockHeader.Magic);
            if (hit < 0)
            {
                from += window.Length - (BlockHeader.Magic.Length - 1);
                continue;
            }

            from += hit;
            if (IsGood(from, end))
                return from;
            from++;
        }
    }

    private bool IsGood(long offset, long end)
    {
        var bytes = Load(offset, BlockHeader.Bytes, end);
        if (!BlockHeader.TryRead(bytes, _saltState, basePosition + offset, meta.Partitions, out var header) || header.TotalLength > end - offset)
            return false;
        var block = Load(offset, header.TotalLength, end);
        return block.Length == header.TotalLength && Crc32C.Of(block[BlockHeader.Bytes..]) == header.RecordsCrc;
    }

    /// <summary>What is in memory from the offset on, at least a header's length unless the file or the scan ends.</summary>
    private ReadOnlySpan<byte> Window(long offset, long end)
    {
        if (Load(offset, BlockHeader.Bytes, end).Length < BlockHeader.Bytes)
            return [];
        var start = (int)(offset - _bufferOffset);
        return _buffer.AsSpan(start, (int)Math.Min(_bufferLength - start, end - offset));
    }

    /// <summary>The bytes [offset, offset + count), fewer only where the file or the scan ends.</summary>
    private ReadOnlySpan<byte> Load(long offset, int count, long end)
    {
        count = (int)Math.Min(count, end - offset);
        if (count <= 0)
            return [];
        if (offset < _bufferOffset || offset + count > _bufferOffset + _bufferLength)
            Fill(offset, count, end);
        var start = (int)(offset - _bufferOffset);
        return _buffer.AsSpan(start, Math.Min(count, _bufferLength - start));
    }

    private void Fill(long offset, int count, long end)
    {
        var wanted = (int)Math.Min(Math.Max(count, readAheadBytes), end - offset);
        var old = _buffer;
        var kept = 0;
        if (_buffer.Length < wanted)
            _buffer = GC.AllocateUninitializedArray<byte>(Math.Max(wanted, readAheadBytes));
        if (offset >= _bufferOffset && offset < _bufferOffset + _bufferLength)
        {
            kept = (int)(_bufferOffset + _bufferLength - offset);
            old.AsSpan((int)(offset - _bufferOffset), kept).CopyTo(_buffer);
        }

        _bufferOffset = offset;
        _bufferLength = kept;
        if (kept < wanted)
            _bufferLength += Read(offset + kept, _buffer.AsSpan(kept, wanted - kept));
    }

    private int Read(long offset, Span<byte> target)
    {
        try
        {
            return file.ReadAt(offset, target);
        }
        catch (IOException) when (readAroundErrors)
        {
            return ReadPages(offset, target);
        }
    }

    /// <summary>A sector that the medium does not give back reads as zeros: a bad stretch among good blocks.</summary>
    private int ReadPages(long offset, Span<byte> target)
    {
        for (var done = 0; done < target.Length; done += PageBytes)
        {
            var page = target.Slice(done, Math.Min(PageBytes, target.Length - done));
            try
            {
                var read = file.ReadAt(offset + done, page);
                if (read < page.Length)
                    return done + read;
            }
            catch (IOException)
            {
                page.Clear();
                UnreadableTo = Math.Max(UnreadableTo, offset + done + page.Length);
            }
        }

        return target.Length;
    }
}
