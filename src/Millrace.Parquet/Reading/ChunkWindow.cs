namespace Millrace.Parquet.Reading;

/// <summary>A stretch of the file in memory, moved forward as a chunk is read; nearby bytes are fetched with those asked for.</summary>
internal sealed class ChunkWindow(ParquetSource source, int readAheadBytes)
{
    private byte[] _buffer = [];
    private long _start;
    private int _length;

    /// <summary>Gives <paramref name="count"/> bytes at <paramref name="offset"/>, fetching on to <paramref name="limit"/> at most.</summary>
    public ValueTask<ArraySegment<byte>> GetAsync(long offset, int count, long limit, CancellationToken cancel)
    {
        if (offset >= _start && offset + count <= _start + _length)
            return new(new ArraySegment<byte>(_buffer, (int)(offset - _start), count));

        return FetchAsync(offset, count, limit, cancel);
    }

    private async ValueTask<ArraySegment<byte>> FetchAsync(long offset, int count, long limit, CancellationToken cancel)
    {
        var size = (int)Math.Max(count, Math.Min(readAheadBytes, limit - offset));
        var kept = 0;
        var old = _buffer;
        if (offset >= _start && offset < _start + _length)
            kept = (int)(_start + _length - offset);
        if (_buffer.Length < size)
            _buffer = new byte[Math.Max(size, Math.Min(readAheadBytes, _buffer.Length * 2))];
        if (kept > 0)
            Buffer.BlockCopy(old, (int)(offset - _start), _buffer, 0, kept);

        _start = offset;
        _length = kept;
        var read = await source.ReadAsync(offset + kept, _buffer.AsMemory(kept, size - kept), cancel).ConfigureAwait(false);
        _length = kept + read;
        return _length >= count
            ? new ArraySegment<byte>(_buffer, 0, count)
            : throw new ParquetFormatException($"the file ends where {count} bytes belong", offset);
    }
}
