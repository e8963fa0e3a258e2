using System.Buffers;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;

namespace Millrace.StreamSql.Spreading;

/// <summary>One event of a batch, or a mark that an input has got this far.</summary>
internal struct BatchEvent
{
    public int Input;

    /// <summary>Tells the input's arrival only; there is no payload.</summary>
    public bool IsMark;
    public EventOrigin Origin;
    public int Start;
    public int Length;
    public Row Row;

    /// <summary>The payload as it was read: the row's values refer to it.</summary>
    public byte[]? Buffer;

    /// <summary>Why the event is a bad one for all queries; null when it is not.</summary>
    public string? Problem;
}

internal enum StepKind : byte
{
    Row,
    Waited,
    Mark,
    Failure,
}

/// <summary>What happens next in the one order of a batch.</summary>
/// <param name="Shard">Where the row is worked on; −1: nowhere.</param>
/// <param name="Index">The event; for <see cref="StepKind.Waited"/> the one among those that waited.</param>
internal readonly record struct Step(StepKind Kind, int Stream, int Shard, int Index, long Time);

/// <summary>A row that a query could not evaluate.</summary>
/// <param name="Step">The step at which it failed.</param>
/// <param name="Query">Number of the SELECT.</param>
/// <param name="Event">Number of the event of which the row was made; 0: of several.</param>
internal readonly record struct Failure(int Step, int Query, long Event, string Reason);

/// <summary>
/// Events on their way through an execution with several threads: collected, read by any thread, put in order by one, worked on
/// in shards, and at last merged and handed to the sink. Used again and again.
/// </summary>
internal sealed class Batch
{
    private const int EventsMax = 2048;
    private const int BytesMax = 512 * 1024;

    private readonly Row[][] rows;
    private readonly int streams;
    private int used;

    /// <param name="slots">Per input, columns of a row.</param>
    /// <param name="streams">Ordering steps of all inputs.</param>
    public Batch(int[] slots, int streams, int shards)
    {
        this.streams = streams;
        rows = [.. slots.Select(count => Enumerable.Range(0, EventsMax).Select(_ => (Row)null!).ToArray())];
        Slots = slots;
        Times = new EventTime[EventsMax * streams];
        Hashes = new uint[EventsMax * streams];
        Marks = new long[streams];
        LowWaters = new long[streams];
        Shards = [.. Enumerable.Range(0, shards).Select(_ => new ShardWork())];
        Clear();
    }

    /// <summary>Steps of one shard, and what it made of them.</summary>
    public sealed class ShardWork
    {
        public List<int> Steps { get; } = [];

        public TapRows[] Taps { get; set; } = [];

        public List<Failure> Failures { get; } = [];
    }

    private int[] Slots { get; }

    public byte[] Payloads { get; private set; } = new byte[64 * 1024];

    public BatchEvent[] Events { get; } = new BatchEvent[EventsMax];

    public int Count { get; private set; }

    public bool IsFull => Count == EventsMax || used >= BytesMax;

    /// <summary>What the TIMESTAMP BYs say, per event and stream.</summary>
    public EventTime[] Times { get; }

    /// <summary>What decides the shard, per event and stream.</summary>
    public uint[] Hashes { get; }

    public List<Step> Steps { get; } = [];

    public List<Failure> Failures { get; } = [];

    public List<WaitingEvent> Waited { get; } = [];

    public ShardWork[] Shards { get; }

    /// <summary>Per stream, the last mark of the batch; the least number when there was none.</summary>
    public long[] Marks { get; }

    /// <summary>Per stream, its low-water mark behind the batch.</summary>
    public long[] LowWaters { get; }

    /// <summary>What the order policies had counted behind the batch.</summary>
    public (long Late, long Early, long OutOfOrder) Counted { get; set; }

    public int At(int index, int stream) => (index * streams) + stream;

    public ReadOnlySpan<byte> Payload(in BatchEvent item) => Payloads.AsSpan(item.Start, item.Length);

    public void Add(int input, in EventOrigin origin, ReadOnlySpan<byte> payload)
    {
        if (used + payload.Length > Payloads.Length)
        {
            var larger = Payloads;
            Array.Resize(ref larger, Math.Max(larger.Length * 2, used + payload.Length));
            Payloads = larger;
        }

        payload.CopyTo(Payloads.AsSpan(used));
        ref var item = ref Events[Count];
        item.Input = input;
        item.IsMark = false;
        item.Origin = origin;
        item.Start = used;
        item.Length = payload.Length;
        item.Problem = null;
        item.Row = rows[input][Count] ??= new Row(Slots[input]);
        used += payload.Length;
        Count++;
    }

    public void AddMark(int input, long arrival)
    {
        ref var item = ref Events[Count++];
        item.Input = input;
        item.IsMark = true;
        item.Origin = new EventOrigin { Arrival = arrival };
    }

    public void Clear()
    {
        foreach (ref readonly var waited in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(Waited))
        {
            if (waited.IsRented)
                ArrayPool<byte>.Shared.Return(waited.Payload);
        }

        Waited.Clear();
        Steps.Clear();
        Failures.Clear();
        Array.Fill(Marks, long.MinValue);
        foreach (var shard in Shards)
        {
            shard.Steps.Clear();
            shard.Failures.Clear();
            foreach (var tap in shard.Taps)
                tap.Clear();
        }

        Count = 0;
        used = 0;
        if (Payloads.Length > 4 * BytesMax)
            Payloads = new byte[BytesMax];
    }
}
