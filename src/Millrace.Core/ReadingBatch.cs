namespace Millrace.Core;

/// <summary>
/// Readings on their way into the log, already in record form and sorted by partition. Hot: one batch per receive or
/// request, reused; adding allocates only while the buffers grow. One thread at a time.
/// </summary>
public sealed class ReadingBatch
{
    private readonly Lane[] _lanes;
    private readonly long[] _firstSequences;
    private (int Partition, int Index)[] _places = [];

    private struct Lane
    {
        public byte[] Bytes;
        public int Length;
        public int Count;
    }

    public ReadingBatch(int partitions)
    {
        _lanes = new Lane[partitions];
        _firstSequences = new long[partitions];
        for (var i = 0; i < partitions; i++)
            _lanes[i].Bytes = [];
    }

    public int PartitionCount => _lanes.Length;

    /// <summary>Readings in the batch.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of all records.</summary>
    public int Bytes { get; private set; }

    /// <summary>Adds one reading. The caller has validated the id and bounded the payload.</summary>
    public void Add(
        ushort tenant, ReadOnlySpan<byte> id, ListenerId listener, PayloadFormat format, ReadingFlags flags,
        long deviceTime, ReadOnlySpan<byte> properties, ReadOnlySpan<byte> payload)
    {
        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(tenant, id), _lanes.Length);
        var length = ReadingRecord.Measure(id.Length, properties.Length, payload.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, ReadingRecord.LengthMax);

        ref var lane = ref _lanes[partition];
        if (lane.Bytes.Length - lane.Length < length)
            Array.Resize(ref lane.Bytes, Math.Max(lane.Bytes.Length * 2, lane.Length + Math.Max(length, 256)));
        var target = lane.Bytes.AsSpan(lane.Length, length);
        ReadingRecord.Write(target, tenant, id, listener, format, flags, deviceTime, properties, payload);

        if (Count == _places.Length)
            Array.Resize(ref _places, Math.Max(4, Count * 2));
        _places[Count++] = (partition, lane.Count++);
        lane.Length += length;
        Bytes += length;
    }

    /// <summary>The records of one partition, in the order they were added; empty when it has none.</summary>
    public ReadOnlySpan<byte> RecordsOf(int partition) => _lanes[partition].Bytes.AsSpan(0, _lanes[partition].Length);

    public int CountOf(int partition) => _lanes[partition].Count;

    /// <summary>Told by the log when the batch is durable: the sequence of its first record in a partition.</summary>
    public void SetFirstSequence(int partition, long sequence) => _firstSequences[partition] = sequence;

    /// <summary>Where the <paramref name="index"/>th reading added lies in the log; valid after the append completed.</summary>
    public LogPosition PositionOf(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        var (partition, within) = _places[index];
        return new LogPosition(partition, _firstSequences[partition] + within);
    }

    /// <summary>Empties the batch for reuse; keeps buffers up to 1 MB each.</summary>
    public void Clear()
    {
        for (var i = 0; i < _lanes.Length; i++)
        {
            ref var lane = ref _lanes[i];
            lane.Length = lane.Count = 0;
            if (lane.Bytes.Length > 1 << 20)
                lane.Bytes = [];
        }

        Count = Bytes = 0;
        if (_places.Length > 1 << 16)
            _places = [];
    }
}
