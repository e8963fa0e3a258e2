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

/// <summary>An event that waits for its turn.</summary>
/// <param name="Hash">Of the values by which the stream's rows are spread; 0 when they are not.</param>
internal readonly record struct WaitingEvent(EventOrigin Origin, byte[] Payload, int Length, bool IsRented, uint Hash);

/// <summary>Takes the order in which a stream's rows go on, instead of the rows themselves. The rows go through the operators later.</summary>
internal interface IOrderedRows
{
    /// <summary>The event that is being pushed goes on.</summary>
    void Add(int stream, long time, uint hash);

    /// <summary>An event that has waited goes on; its payload is the taker's from now on.</summary>
    void AddWaited(int stream, long time, in WaitingEvent waited);

    /// <summary>Every row to come has at least this time.</summary>
    void AddMark(int stream, long time);
}

/// <summary>What TIMESTAMP BY says of an event: ticks, or why there are none.</summary>
internal readonly record struct EventTime(long Ticks, string? Problem);

/// <summary>Evaluates a TIMESTAMP BY.</summary>
internal sealed class EventClock(Node timestampBy)
{
    private readonly Frame frame = new() { Sources = new Row[1] };

    public EventTime Read(Row row)
    {
        frame.Sources[0] = row;
        frame.Error = null;
        timestampBy.Evaluate(frame, out var value);
        if (frame.Error is null && Conversion.TryToTicks(value, out var time))
            return new EventTime(time, null);
        return new EventTime(0, frame.Error ?? (value.IsNull ? "TIMESTAMP BY gives NULL" : "TIMESTAMP BY does not give a datetime"));
    }
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

    private readonly long late = options.LateArrival.Ticks;
    private readonly long outOfOrder = options.OutOfOrder.Ticks;
    private readonly bool drops = options.Policy == OrderPolicy.Drop;
    private readonly Frame frame = new() { Sources = new Row[1] };
    private readonly EventClock? clock = stream.TimestampBy is null ? null : new EventClock(stream.TimestampBy);
    private readonly PriorityQueue<WaitingEvent, (long Time, long Number)> waiting = new();
    private readonly Dictionary<int, PriorityQueue<WaitingEvent, (long Time, long Number)>> waitingByKey = [];
    private readonly PriorityQueue<int, (long Time, long Number)> dueByKey = new();      // may name rows that are gone
    private readonly KeyWriter key = new();
    private readonly KeyMap keys = new();
    private readonly Chunked<long> highestByKey = new();
    private long waitingBytes;
    private long highest = long.MinValue;       // M
    private long arrival = long.MinValue;       // latest arrival, or the log's low-water mark of it
    private long lowWater = long.MinValue;

    public long LowWater => lowWater;

    public InputPlan Input => stream.Input;

    /// <summary>
    /// No reader compares rows of different sub-streams: a row need not wait for the others'. Set before the first event.
    /// </summary>
    public bool ReleasesByKey { get; init; }

    /// <summary>Takes the order of the rows; null: they go to the targets at once.</summary>
    public IOrderedRows? Orders { get; init; }

    /// <summary>Number of the stream for <see cref="Orders"/>.</summary>
    public int Ordinal { get; init; }

    /// <summary>Hash of the values of a row by which the stream's rows are spread.</summary>
    public Func<Row, uint>? HashOf { get; init; }

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
        => Push(row, origin, payload, clock is null ? default : clock.Read(row), 0);

    /// <summary>Takes one event of which TIMESTAMP BY and the hash have been computed.</summary>
    public void Push(Row row, in EventOrigin origin, ReadOnlySpan<byte> payload, in EventTime read, uint hash)
    {
        arrival = Math.Max(arrival, origin.Arrival);
        if (clock is null)
        {
            lowWater = arrival;
            PassOn(row, origin, arrival, hash);
            PassMark(lowWater);
            return;
        }

        if (ReleasesByKey)
        {
            PushByKey(row, origin, payload, read, hash);
            return;
        }

        if (!TryTime(row, origin, read, out var time))
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
            PassOn(row, origin, time, hash);
        else
            waiting.Enqueue(Keep(origin, payload, hash), (time, origin.Number));
        Raise(mark);
    }

    private void PassOn(Row row, in EventOrigin origin, long time, uint hash)
    {
        if (Orders is not null)
        {
            Orders.Add(Ordinal, time, hash);
            return;
        }

        row.Time = time;
        row.Event = origin.Number;
        Emit(row);
    }

    private void PassMark(long mark)
    {
        if (Orders is null)
            Forward(mark);
        else
            Orders.AddMark(Ordinal, mark);
    }

    private WaitingEvent Keep(in EventOrigin origin, ReadOnlySpan<byte> payload, uint hash)
    {
        var copy = ArrayPool<byte>.Shared.Rent(payload.Length);
        payload.CopyTo(copy);
        waitingBytes += copy.Length;
        return new WaitingEvent(origin, copy, payload.Length, IsRented: true, hash);
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

    private void PushByKey(Row row, in EventOrigin origin, ReadOnlySpan<byte> payload, in EventTime read, uint hash)
    {
        if (!TryTime(row, origin, read, out var time))
            return;
        var entry = keys.Find(key.Key, KeyMap.HashOf(key.Key));
        var mark = Math.Max(Minus(highestByKey.One(entry), outOfOrder), arrival - late);
        var waits = waitingByKey.GetValueOrDefault(entry);
        if (waits is null && time <= mark)
        {
            PassOn(row, origin, time, hash);
            return;
        }

        Wait(entry, Keep(origin, payload, hash), (time, origin.Number));
        Release(entry, mark);
    }

    private void Wait(int entry, in WaitingEvent next, (long Time, long Number) priority)
    {
        if (!waitingByKey.TryGetValue(entry, out var waits))
            waitingByKey.Add(entry, waits = new PriorityQueue<WaitingEvent, (long, long)>());
        waits.Enqueue(next, priority);
        dueByKey.Enqueue(entry, priority);
    }

    private void Release(int entry, long mark)
    {
        var waits = waitingByKey[entry];
        while (waits.TryPeek(out _, out var priority) && priority.Time <= mark)
            ReleaseFirst(entry, waits);
    }

    private void ReleaseFirst(int entry, PriorityQueue<WaitingEvent, (long Time, long Number)> waits)
    {
        waits.TryDequeue(out var next, out var priority);
        if (waits.Count == 0)
            waitingByKey.Remove(entry);
        Release(next, priority.Time);
    }

    private void Release(in WaitingEvent next, long time)
    {
        waitingBytes -= next.Payload.Length;
        if (Orders is not null)
        {
            Orders.AddWaited(Ordinal, time, next);
            return;
        }

        var row = waitingEvents.Read(stream.Input, next.Origin, next.Payload.AsSpan(0, next.Length));
        row.Time = time;
        row.Event = next.Origin.Number;
        Emit(row);
        if (next.IsRented)
            ArrayPool<byte>.Shared.Return(next.Payload);
    }

    /// <summary>Applies the policies; false when the event goes no further.</summary>
    private bool TryTime(Row row, in EventOrigin origin, in EventTime read, out long time)
    {
        time = read.Ticks;
        if (read.Problem is not null)
        {
            Fail(row, origin, read.Problem);
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
        frame.Sources[0] = row;
        frame.Error = null;
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
        while (waiting.Count > 0 && waiting.TryPeek(out var next, out var priority) && priority.Time <= mark)
        {
            waiting.Dequeue();
            Release(next, priority.Time);
        }

        // One row at a time, so that rows of all sub-streams come in order of (timestamp, arrival).
        while (dueByKey.Count > 0 && dueByKey.TryPeek(out var entry, out var due) && due.Time <= mark)
        {
            dueByKey.Dequeue();
            if (waitingByKey.TryGetValue(entry, out var waits) && waits.TryPeek(out _, out var first) && first == due)
                ReleaseFirst(entry, waits);
        }

        PassMark(mark);
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
            var row = ReleasesByKey || HashOf is not null ? waitingEvents.Read(stream.Input, origin, payload) : null;
            var next = new WaitingEvent(origin, payload, payload.Length, IsRented: false, HashOf is null ? 0 : HashOf(row!));
            if (!ReleasesByKey)
            {
                waiting.Enqueue(next, (time, origin.Number));
                continue;
            }

            if (!TryKey(row!, origin))
                throw new InvalidDataException("the snapshot is damaged: a waiting event has no key");
            Wait(keys.Find(key.Key, KeyMap.HashOf(key.Key)), next, (time, origin.Number));
        }
    }
}
