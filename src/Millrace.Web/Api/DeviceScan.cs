using System.Diagnostics;
using Millrace.Core;

namespace Millrace.Web.Api;

/// <summary>
/// Reads one device's records from the log, from one arrival time to another, within bounds: a request reads at most so
/// many bytes and so long, then says where to go on. One user at a time.
/// </summary>
internal sealed class DeviceScan : IDisposable
{
    private const long BytesMax = 256 << 20;

    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(1);

    private readonly ILogReader _reader;
    private readonly ushort _tenant;
    private readonly byte[] _id;
    private readonly long _from;
    private readonly long _to;
    private readonly long _started = Stopwatch.GetTimestamp();
    private LogBlock? _block;
    private int _offset;
    private int _index;
    private long _bytes;
    private bool _ended;
    private long _examined;

    /// <param name="after">Go on after this place instead of at <paramref name="from"/>.</param>
    public DeviceScan(IReadingLog log, ushort tenant, byte[] id, long from, long to, LogPosition? after)
    {
        (_tenant, _id, _from, _to) = (tenant, id, from, to);
        Partition = DeviceIds.PartitionOf(DeviceIds.Hash(tenant, id), log.PartitionCount);

        // Only the device's partition is of interest: in the others there is nothing left to read.
        var start = log.PositionAt(from);
        var vector = log.Durable.Copy();
        vector[Partition] = start[Partition];
        if (after is { } place && place.Partition == Partition)
            vector[Partition] = Math.Max(vector[Partition], place.Sequence + 1);
        _examined = vector[Partition] - 1;
        _reader = log.OpenReader(vector);
    }

    public int Partition { get; }

    /// <summary>Where to go on: the last place looked at, or null when the range is read to its end.</summary>
    public LogPosition? Next => _ended ? null : new LogPosition(Partition, _examined);

    /// <summary>Goes to the next block of the partition.</summary>
    /// <returns>False at the end of the range, or when the bounds are reached.</returns>
    public bool MoveNextBlock()
    {
        while (!_ended)
        {
            if (_bytes > BytesMax || Stopwatch.GetElapsedTime(_started) > TimeMax)
                return false;
            _block = _reader.TryRead();
            if (_block is null || _block.FirstReceivedAt >= _to)
            {
                _ended = true;
                break;
            }

            if (_block.Partition != Partition)
                continue;
            _bytes += _block.Records.Length;
            _offset = _index = 0;
            return true;
        }

        return false;
    }

    /// <summary>The device's next record in the block.</summary>
    public bool MoveNext(out ReadingRecord record)
    {
        record = default;
        if (_block is null || _ended)
            return false;
        var bytes = _block.Records.Span;
        while (_index < _block.Count && ReadingRecord.TryMeasure(bytes[_offset..], out var length))
        {
            record = new ReadingRecord(bytes.Slice(_offset, length), _block.FirstSequence + _index, _block.FirstReceivedAt + _index);
            if (record.ReceivedAt >= _to)
            {
                _ended = true;
                return false;
            }

            _examined = record.Sequence;
            _offset += length;
            _index++;
            if (record.ReceivedAt >= _from && record.Tenant == _tenant && record.Id.SequenceEqual(_id) && !record.IsForOneJob)
                return true;
        }

        return false;
    }

    public void Dispose() => _reader.Dispose();
}
