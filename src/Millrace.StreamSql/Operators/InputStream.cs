using System.Buffers;
using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Operators;

/// <summary>What the order policies have counted.</summary>
internal sealed class OrderCounters
{
    public long Late;
    public long Early;
    public long OutOfOrder;
}

/// <summary>What came with an event besides its payload.</summary>
internal struct EventOrigin
{
    public long Number;
    public long Arrival;        // ticks
    public int Partition;       // −1: unknown
    public string? Device;
}

/// <summary>Reads a payload that has waited; the row it returns is valid until the next call.</summary>
internal interface IWaitingEventReader
{
    Row Read(InputPlan input, in EventOrigin origin, ReadOnlySpan<byte> payload);
}

/// <summary>
/// The ordering step of one input under one TIMESTAMP BY: late, early and out-of-order policies, then release in order of
/// (timestamp, arrival) up to the low-water mark; with <see cref="ReleasesByKey"/> in that order within each sub-stream, up to
/// the sub-stream's own mark. Hot.
/// </summary>
internal sealed class InputStream(
    StreamRelation stream, CompileOptions options, OrderCounters counters, IFailureSink failures, IWaitingEventReader waitingEvents) : Operator
{
    /// <summary>An event further ahead of its arrival has a broken clock.</summary>
    private const long EarlyMax = 5 * TimeSpan.TicksPerMinute;

    private readonly struct Waiting(EventOrigin origin, byte[] payload, int length, bool isRented)
    {
        public readonly EventOrigin Origin = origin;
        public readonly byte[] Payload = payload;
        public readonly int Length = length;
        public readonly bool IsRented = isRented;
    }

    private readonly long late = options.LateArrival.Ticks;
    private readonly long outOfOrder = options.OutOfOrder.Ticks;
    private readonly bool drops = options.Policy == OrderPolicy.Drop;
    private readonly Frame frame = new() { Sources = new Row[1] };
    private readonly PriorityQueue<Waiting, (long Time, long Number)> waiting = new();
    private readonly Dictionary<int, PriorityQueue<Waiting, (long Time, long Number)>> waitingByKey = [];
    private readonly PriorityQueue<int, (long Time, long Number)> dueByKey = new();      // may name rows that are gone
    private readonly KeyWriter key = new();
    private readonly KeyMap keys = new();
    private readonly Chunked<long> highestByKey = new();
    private long waitingBytes;
    private long highest = long.MinValue;       // M
    private long arrival = long.MinValue;       // latest arrival, or the log's low-water mark of it
    private long lowWater = long.MinValue;

    public long LowWater => lowWater;

    /// <summary>
    /// No reader compares rows of different sub-streams: a row need not wait for the others'. Set before the first event.
    /// </summary>
    public bool ReleasesByKey { get; init; }

    public override long HeldBytes
        => waitingBytes + ((waiting.Count + dueByKey.Count) * 64L) + (waitingByKey.Count * 160L) + keys.HeldBytes + highestByKey.HeldBytes;

    public override void OnRow(int port, Row row) => throw new NotSupportedException("an input has no input");

    public override bool LooksAhead => Targets.Exists(t => t.Operator.LooksAhead);

    public override void Announce(Row row)
    {
        foreach (var (target, _) in Targets)
            target.Announce(row);
    }

    /// <summary>Takes one event; <paramref name="row"/> and <paramref name="payload"/> are valid during the call.</summary>
    public void Push(Row row, in EventOrigin origin, ReadOnlySpan<byte> payload)
    {
        if (stream.TimestampBy is null)
        {
            arrival = Math.Max(arrival, origin.Arrival);
            row.Time = arrival;
            row.Event = origin.Number;
            lowWater = arrival;
            Emit(row);
            Forward(lowWater);
            return;
        }

        arrival = Math.Max(arrival, origin.Arrival);
        if (ReleasesByKey)
        {
            PushByKey(row, origin, payload);
            return;
        }

        if (!TryTime(row, origin, out var time))
        {
            Raise(arrival - late);
            return;
        }

        var hasKeys = stream.Over.Length > 0;
        if (!hasKeys)
            highest = Math.Max(highest, time);
        var mark = hasKeys ? arrival - late : Math.Max(Minus(highest, outOfOrder), arrival - late);
        var isFirst = waiting.Count == 0 || (waiting.TryPeek(out _, out var next) && next.Time > time);
        if (time <= mark && isFirst)
        {
            row.Time = time;
            row.Event = origin.Number;
            Emit(row);
        }
        else
        {
            waiting.Enqueue(Keep(origin, payload), (time, origin.Number));
        }

        Raise(mark);
    }

    private Waiting Keep(in EventOrigin origin, ReadOnlySpan<byte> payload)
    {
        var copy = ArrayPool<byte>.Shared.Rent(payload.Length);
        payload.CopyTo(copy);
        waitingBytes += copy.Length;
        return new Waiting(origin, copy, payload.Length, isRented: true);
    }

    /// <summary>
    /// Comes before the event that arrives then: releases of every sub-stream what a mark with this arrival would have, so that
    /// the order of the rows does not depend on marks.
    /// </summary>
    public void ReleaseDue(long time)
    {
        if (ReleasesByKey)
            Advance(time);
    }

    private void PushByKey(Row row, in EventOrigin origin, ReadOnlySpan<byte> payload)
    {
        if (!TryTime(row, origin, out var time))
            return;
        var entry = keys.Find(key.Key, KeyMap.HashOf(key.Key));
        var mark = Math.Max(Minus(highestByKey.One(entry), outOfOrder), arrival - late);
        var waits = waitingByKey.GetValueOrDefault(entry);
        if (waits is null && time <= mark)
        {
            row.Time = time;
            row.Event = origin.Number;
            Emit(row);
            return;
        }

        Wait(entry, Keep(origin, payload), (time, origin.Number));
        Release(entry, mark);
    }

    private void Wait(int entry, in Waiting next, (long Time, long Number) priority)
    {
        if (!waitingByKey.TryGetValue(entry, out var waits))
            waitingByKey.Add(entry, waits = new PriorityQueue<Waiting, (long, long)>());
        waits.Enqueue(next, priority);
        dueByKey.Enqueue(entry, priority);
    }

    private void Release(int entry, long mark)
    {
        var waits = waitingByKey[entry];
        while (waits.TryPeek(out _, out var priority) && priority.Time <= mark)
            ReleaseFirst(entry, waits);
    }

    private void ReleaseFirst(int entry, PriorityQueue<Waiting, (long Time, long Number)> waits)
    {
        waits.TryDequeue(out var next, out var priority);
        if (waits.Count == 0)
            waitingByKey.Remove(entry);
        Release(next, priority.Time);
    }

    private void Release(in Waiting next, long time)
    {
        var row = waitingEvents.Read(stream.Input, next.Origin, next.Payload.AsSpan(0, next.Length));
        row.Time = time;
        row.Event = next.Origin.Number;
        Emit(row);
        waitingBytes -= next.Payload.Length;
        if (next.IsRented)
            ArrayPool<byte>.Shared.Return(next.Payload);
    }

    /// <summary>Applies the policies; false when the event goes no further.</summary>
    private bool TryTime(Row row, in EventOrigin origin, out long time)
    {
        frame.Sources[0] = row;
        frame.Error = null;
        stream.TimestampBy!.Evaluate(frame, out var value);
        if (frame.Error is not null || !Conversion.TryToTicks(value, out time))
        {
            time = 0;
            Fail(row, origin, frame.Error ?? (value.IsNull ? "TIMESTAMP BY gives NULL" : "TIMESTAMP BY does not give a datetime"));
            return false;
        }

        ref var newest = ref highest;
        if (stream.Over.Length > 0)
        {
            if (!TryKey(row, origin))
                return false;
            newest = ref HighestOfKey();
        }

        if (time > origin.Arrival + EarlyMax)
        {
            counters.Early++;
            return false;
        }

        if (origin.Arrival - time > late)
        {
            counters.Late++;
            if (drops)
                return false;
            time = origin.Arrival - late;
        }

        var floor = Minus(newest, outOfOrder);
        if (time < floor)
        {
            counters.OutOfOrder++;
            if (drops)
                return false;
            time = floor;
        }

        newest = Math.Max(newest, time);
        return true;
    }

    private static long Minus(long time, long span) => time == long.MinValue ? time : time - span;

    private bool TryKey(Row row, in EventOrigin origin)
    {
        key.Clear();
        foreach (var part in stream.Over)
        {
            part.Evaluate(frame, out var value);
            if (value.IsNull || frame.Error is not null)
            {
                Fail(row, origin, frame.Error ?? "the key of TIMESTAMP BY … OVER is NULL");
                return false;
            }

            key.Add(value);
        }

        return true;
    }

    private ref long HighestOfKey()
    {
        var entry = keys.GetOrAdd(key.Key, KeyMap.HashOf(key.Key), out var added);
        if (added)
        {
            highestByKey.Add(entry);
            highestByKey.One(entry) = long.MinValue;
        }

        return ref highestByKey.One(entry);
    }

    private void Fail(Row row, in EventOrigin origin, string reason)
    {
        row.Event = origin.Number;
        foreach (var query in stream.Readers)
            failures.Fail(query, row, reason);
    }

    /// <summary>Every event to come has arrived at <paramref name="time"/> or later (ticks); long.MaxValue ends the input.</summary>
    public void Advance(long time)
    {
        if (time == long.MaxValue)
        {
            Raise(time);
            return;
        }

        arrival = Math.Max(arrival, time);
        if (stream.TimestampBy is null)
            Raise(arrival);
        else
            Raise(stream.Over.Length > 0 ? arrival - late : Math.Max(Minus(highest, outOfOrder), arrival - late));
    }

    private void Raise(long mark)
    {
        if (mark <= lowWater)
            return;
        lowWater = mark;
        while (waiting.TryPeek(out var next, out var priority) && priority.Time <= mark)
        {
            waiting.Dequeue();
            Release(next, priority.Time);
        }

        // One row at a time, so that rows of all sub-streams come in order of (timestamp, arrival).
        while (dueByKey.TryPeek(out var entry, out var due) && due.Time <= mark)
        {
            dueByKey.Dequeue();
            if (waitingByKey.TryGetValue(entry, out var waits) && waits.TryPeek(out _, out var first) && first == due)
                ReleaseFirst(entry, waits);
        }

        Forward(mark);
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(highest);
        writer.Write(arrival);
        writer.Write(lowWater);
        writer.Write(keys.Count);
        for (var entry = 0; entry < keys.Count; entry++)
        {
            writer.WriteBytes(keys.KeyAt(entry));
            writer.Write(highestByKey.One(entry));
        }

        var rows = waiting.UnorderedItems.Concat(waitingByKey.Values.SelectMany(w => w.UnorderedItems)).OrderBy(i => i.Priority).ToList();
        writer.Write(rows.Count);
        foreach (var (next, priority) in rows)
        {
            writer.Write(priority.Time);
            writer.Write(next.Origin.Number);
            writer.Write(next.Origin.Arrival);
            writer.Write(next.Origin.Partition);
            writer.Write(next.Origin.Device ?? "");
            writer.WriteBytes(next.Payload.AsSpan(0, next.Length));
        }
    }

    public override void Load(StateReader reader)
    {
        highest = reader.ReadLong();
        arrival = reader.ReadLong();
        lowWater = reader.ReadLong();
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var bytes = reader.ReadBytes();
            var entry = keys.GetOrAdd(bytes, KeyMap.HashOf(bytes), out _);
            highestByKey.Add(entry);
            highestByKey.One(entry) = reader.ReadLong();
        }

        count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var time = reader.ReadLong();
            var origin = new EventOrigin { Number = reader.ReadLong(), Arrival = reader.ReadLong(), Partition = reader.ReadInt() };
            var device = reader.ReadString();
            origin.Device = device.Length == 0 ? null : device;
            var payload = reader.ReadBytes();
            waitingBytes += payload.Length;
            var next = new Waiting(origin, payload, payload.Length, isRented: false);
            if (!ReleasesByKey)
            {
                waiting.Enqueue(next, (time, origin.Number));
                continue;
            }

            frame.Sources[0] = waitingEvents.Read(stream.Input, origin, payload);
            frame.Error = null;
            if (!TryKey(frame.Sources[0], origin))
                throw new InvalidDataException("the snapshot is damaged: a waiting event has no key");
            Wait(keys.Find(key.Key, KeyMap.HashOf(key.Key)), next, (time, origin.Number));
        }
    }
}
