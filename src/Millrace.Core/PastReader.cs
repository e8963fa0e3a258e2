namespace Millrace.Core;

/// <summary>
/// Reads the past out of the history and goes on in the log where the history ends, as if the log still held everything. What comes
/// out of the history is seen as JSON that no listener in particular took: properties and proof of identity are not kept there.
/// </summary>
public sealed class PastReader : ILogReader
{
    private const int BlockReadingsMax = 1024;
    private const int BlockBytesMax = 1 << 20;

    private readonly ILogReader _log;
    private readonly IEnumerator<PastReading> _past;
    private readonly bool _isInPieces;
    private readonly PositionVector _position;
    private byte[] _records = new byte[64 << 10];
    private bool _hasPast;
    private bool _isLent;

    /// <summary>Reads everything that arrived at or after <paramref name="from"/> (µs).</summary>
    /// <param name="to">Arrival in µs at which the reader of it will stop: what arrived later is not looked for in the history.</param>
    /// <param name="fields">What is used of the payloads; null for all.</param>
    public PastReader(
        IRecordedLog log, IReadingHistory history, long from, long to = long.MaxValue, WantedFields? fields = null, CancellationToken cancel = default)
        : this(log, history, log.PositionAt(from), new ReplayRange { From = from, To = to, Fields = fields }, cancel)
    {
    }

    /// <summary>Reads from a vector on; sequences that neither the history nor the log has are lost.</summary>
    public PastReader(IRecordedLog log, IReadingHistory history, PositionVector from, CancellationToken cancel = default)
        : this(log, history, from, new ReplayRange { Since = from }, cancel)
    {
    }

    private PastReader(IRecordedLog log, IReadingHistory history, PositionVector inLog, ReplayRange range, CancellationToken cancel)
    {
        var since = range.Since;
        _isInPieces = range.Fields is { InPieces: true };
        // The history's end, not the log's beginning, is where one hands over: retention moves the latter on meanwhile.
        var handOver = IsHeld(log, inLog, since) ? null : history.Held;
        _past = handOver is null
            ? Enumerable.Empty<PastReading>().GetEnumerator()
            : history.Replay(range with { Until = handOver }, cancel).GetEnumerator();
        _hasPast = _past.MoveNext();
        var next = inLog.Copy();
        for (var p = 0; p < next.Count; p++)
            next[p] = Math.Max(next[p], handOver?[p] ?? 0);
        // Where a partition's past begins is known from a vector; from a time only when its first reading comes.
        _position = since?.Copy() ?? next.Copy();
        _log = log.OpenReader(next);
    }

    public PositionVector Position => _hasPast ? _position : _log.Position;

    public LogBlock? TryRead() => TakePast() ?? _log.TryRead();

    public PastReading? TryReadPast()
    {
        // One reading ahead is known already; the step to the next takes what is lent.
        if (_isLent)
            _hasPast = _past.MoveNext();
        _isLent = _hasPast;
        return _hasPast ? _past.Current : null;
    }

    public ValueTask<LogBlock> ReadAsync(CancellationToken cancel) =>
        TakePast() is { } block ? new(block) : _log.ReadAsync(cancel);

    public LostRange? TakeLost() => _log.TakeLost();

    public void Dispose()
    {
        _past.Dispose();
        _log.Dispose();
    }

    /// <summary>Whether the log alone has all that is asked for.</summary>
    private static bool IsHeld(IRecordedLog log, PositionVector inLog, PositionVector? since)
    {
        for (var p = 0; p < inLog.Count; p++)
        {
            // A time that lies before the log's oldest reading is answered with that reading's place.
            if (since is null ? inLog[p] <= log.Oldest[p] && log.Oldest[p] > 0 : since[p] < log.Oldest[p])
                return false;
        }

        return true;
    }

    /// <summary>The next readings that are neighbours in the log, as the block they were.</summary>
    private LogBlock? TakePast()
    {
        if (!_hasPast)
            return null;
        if (_isInPieces || _isLent)
            throw new InvalidOperationException("What was asked for in pieces, or begun so, is read to its end by TryReadPast.");

        var (partition, sequence, receivedAt) = (_past.Current.Partition, _past.Current.Sequence, _past.Current.ReceivedAt);
        var (count, length) = (0, 0);
        do
        {
            length = Append(_past.Current, length);
            count++;
            _hasPast = _past.MoveNext();
        }
        while (_hasPast && count < BlockReadingsMax && length < BlockBytesMax && Follows(_past.Current));

        _position[partition] = sequence + count;
        return new LogBlock(partition, sequence, count, receivedAt, _records.AsMemory(0, length));

        bool Follows(PastReading next) =>
            next.Partition == partition && next.Sequence == sequence + count && next.ReceivedAt == receivedAt + count;
    }

    private int Append(PastReading reading, int at)
    {
        var id = reading.Device;
        var length = ReadingRecord.Measure(id.Length, 0, reading.Json.Length);
        if (_records.Length - at < length)
            Array.Resize(ref _records, Math.Max(_records.Length * 2, at + length));
        ReadingRecord.Write(
            _records.AsSpan(at, length), reading.Tenant, id, default, PayloadFormat.Json, ReadingFlags.None, reading.Time, [], reading.Json.Span);
        return at + length;
    }
}
