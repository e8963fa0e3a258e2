namespace Millrace.Core;

/// <summary>
/// Durable records of one partition with dense sequences and arrival times: record i has sequence FirstSequence + i and
/// receivedAt FirstReceivedAt + i µs. Lent by a reader until its next read.
/// </summary>
public sealed class LogBlock
{
    public LogBlock(int partition, long firstSequence, int count, long firstReceivedAt, ReadOnlyMemory<byte> records)
    {
        Partition = partition;
        FirstSequence = firstSequence;
        Count = count;
        FirstReceivedAt = firstReceivedAt;
        Records = records;
    }

    public int Partition { get; }
    public long FirstSequence { get; }
    public int Count { get; }
    public long NextSequence => FirstSequence + Count;
    public long FirstReceivedAt { get; }
    public long LastReceivedAt => FirstReceivedAt + Count - 1;
    public ReadOnlyMemory<byte> Records { get; }

    public Enumerator GetEnumerator() => new(this);

    /// <summary>The same block without the records before <paramref name="sequence"/>.</summary>
    public LogBlock From(long sequence)
    {
        if (sequence <= FirstSequence)
            return this;
        var skip = (int)Math.Min(sequence - FirstSequence, Count);
        var rest = Records.Span;
        var offset = 0;
        for (var i = 0; i < skip && ReadingRecord.TryMeasure(rest[offset..], out var length); i++)
            offset += length;
        return new LogBlock(Partition, FirstSequence + skip, Count - skip, FirstReceivedAt + skip, Records[offset..]);
    }

    public ref struct Enumerator
    {
        private ReadOnlySpan<byte> _rest;
        private ReadOnlySpan<byte> _current;
        private long _sequence;
        private long _receivedAt;

        internal Enumerator(LogBlock block)
        {
            _rest = block.Records.Span;
            _sequence = block.FirstSequence - 1;
            _receivedAt = block.FirstReceivedAt - 1;
        }

        public readonly ReadingRecord Current => new(_current, _sequence, _receivedAt);

        public bool MoveNext()
        {
            if (!ReadingRecord.TryMeasure(_rest, out var length))
                return false;
            _current = _rest[..length];
            _rest = _rest[length..];
            _sequence++;
            _receivedAt++;
            return true;
        }
    }
}
