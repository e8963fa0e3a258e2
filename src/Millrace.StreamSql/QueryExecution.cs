using System.Text;
using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Spreading;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql;

/// <summary>What the host knows of an event besides its payload.</summary>
/// <param name="DeviceId">Device that sent it: <c>IoTHub.ConnectionDeviceId</c>, and <c>id</c> with <see cref="CompileOptions.AddDeviceId"/>.</param>
/// <param name="Partition">Its partition, <c>PartitionId</c>; −1 when unknown.</param>
public readonly record struct EventProperties(string? DeviceId = null, int Partition = -1);

/// <summary>
/// A running script. Feed it the events of its inputs in order of arrival; results come to the sink during the calls.
/// Not thread-safe. The results depend on the events and their arrival times alone, not on how pushes, marks and snapshots
/// are interleaved, nor on <see cref="CompileOptions.Threads"/>.
/// </summary>
public sealed class QueryExecution : IFailureSink, IWaitingEventReader, IBatchTarget, IDisposable
{
    /// <summary>Bytes that open a snapshot, followed by the version.</summary>
    private static ReadOnlySpan<byte> SnapshotMagic => "MRQS"u8;

    internal const int SnapshotVersion = 1;

    private const int MemoryCheckEvents = 4096;

    /// <summary>Events that wait at most: enough for two reads from memory, few enough to stay in the nearest cache.</summary>
    private const int PendingMax = 8;

    /// <summary>As much of events and made texts as can have gone into the state since the last look at its size.</summary>
    private const int MemoryCheckBytes = 32 * 1024 * 1024;

    private readonly CompiledQuery query;
    private readonly ScriptPlan plan;
    private readonly IQuerySink sink;
    private readonly InputReader[] inputs;
    private readonly Dictionary<string, ReferenceTable> references = new(StringComparer.OrdinalIgnoreCase);
    private readonly QueryGraph graph;
    private readonly List<OutputOperator> outputs = [];
    private readonly OrderCounters order = new();
    private readonly HeldEvents held = new();
    private readonly PendingEvent[] pending = [.. Enumerable.Range(0, PendingMax).Select(_ => new PendingEvent())];
    private readonly bool looksAhead;
    private readonly BatchedExecution? batched;
    private int firstPending;
    private int pendingCount;
    private long events;
    private long checkedEvents;
    private long bad;
    private long pushedBytes;
    private long checkedBytes = MadeBytes.Total;
    private EventOrigin current;
    private byte[] currentPayload = [];
    private int currentStart;
    private int currentLength;
    private bool stopped;

    /// <summary>The readers of one input: one for events as they come, one for events that have waited.</summary>
    private sealed class InputReader(InputPlan plan)
    {
        public InputPlan Plan => plan;

        public List<InputStream> Streams { get; } = [];

        public EventReader Direct { get; } = new(plan.Paths);

        public EventReader Waiting { get; } = new(plan.Paths);

        /// <summary>Rows of the events that wait, by their places.</summary>
        public Row[] DirectRows { get; } = [.. Enumerable.Range(0, PendingMax).Select(_ => new Row(plan.Paths.SlotCount))];

        public Row WaitingRow { get; } = new(plan.Paths.SlotCount);

        public List<QueryIdentity> Readers { get; } = [.. plan.Streams.SelectMany(s => s.Readers).Distinct()];

        public EventFields Fields => field ??= new EventFields(new Row(plan.Paths.SlotCount));
    }

    /// <summary>An event that has been read and whose turn is still to come.</summary>
    private sealed class PendingEvent
    {
        public InputReader Reader = null!;
        public EventOrigin Origin;
        public byte[] Payload = [];
        public int Length;
        public string? Failure;
    }

    internal QueryExecution(CompiledQuery query, ScriptPlan plan, IQuerySink sink)
    {
        this.query = query;
        this.plan = plan;
        this.sink = sink;
        foreach (var reference in plan.References)
            references.Add(reference.Name, new ReferenceTable());
        graph = new QueryGraph(plan, query.Options, this, references);
        var relations = plan.Inputs.SelectMany(i => i.Streams).ToList();
        var spread = query.Options.Threads > 1 ? SpreadPlan.Of(plan) : null;
        var recorder = spread is null
            ? null
            : new StepRecorder(query.Options.Threads, [.. relations.Select(spread.Spreads)], [.. relations.Select(s => spread.ColumnsOf(s).Length == 0)]);
        InputStream[] streams = [.. relations.Select((s, ordinal) => NewStream(s, ordinal, spread, recorder))];
        for (var stream = 0; stream < streams.Length; stream++)
            graph.AddStream(relations[stream], streams[stream]);

        // Outputs ask for columns: all are there before the SELECTs are made.
        var outputItems = plan.Outputs.Select(o => o.Queries.Select(q => ResultShape.Items(q.Star(0))).ToArray()).ToArray();
        graph.AddQueries(select => spread is null || !spread.IsSpread(select));
        for (var index = 0; index < plan.Outputs.Count; index++)
        {
            var output = plan.Outputs[index];
            outputs.Add(new OutputOperator(output.Name, index, outputItems[index], !plan.TakesRowsByKey(output), sink));
            graph.AddOutput(outputs[^1], output);
        }

        graph.Complete();
        looksAhead = Array.Exists(streams, s => s.LooksAhead);
        inputs = [.. plan.Inputs.Select(i => new InputReader(i))];
        foreach (var stream in streams)
            inputs[stream.Input.Index].Streams.Add(stream);
        if (spread is not null)
            batched = new BatchedExecution(query, plan, spread, graph, references, streams, recorder!, order, this, this);
    }

    private InputStream NewStream(StreamRelation stream, int ordinal, SpreadPlan? spread, StepRecorder? recorder)
    {
        var columns = spread is null ? [] : spread.ColumnsOf(stream);
        return new InputStream(stream, query.Options, order, recorder is null ? this : recorder, this)
        {
            ReleasesByKey = plan.PermitsKeyOrder(stream),
            Orders = recorder,
            Ordinal = ordinal,
            HashOf = columns.Length == 0 ? null : new SpreadHash(columns).Of,
        };
    }

    /// <summary>The compiled script that runs here.</summary>
    public CompiledQuery Query => query;

    /// <summary>Everything counted so far; with several threads, of what has been handed to the sink (see <see cref="Flush"/>).</summary>
    public QueryCounters Counters
    {
        get
        {
            var (late, early, outOfOrder) = batched?.ShownCounts ?? (order.Late, order.Early, order.OutOfOrder);
            return new(events, outputs.Sum(o => o.NextNumber), bad, late, early, outOfOrder);
        }
    }

    /// <summary>The lowest watermark of all inputs in ticks since 0001-01-01 UTC; null before the first event, MaxValue at the end.</summary>
    public long? WatermarkTicks
    {
        get
        {
            var lowest = (batched?.ShownLowWaters ?? inputs.SelectMany(i => i.Streams).Select(s => s.LowWater)).DefaultIfEmpty(long.MaxValue).Min();
            return lowest == long.MinValue ? null : lowest;
        }
    }

    /// <summary>
    /// The paths that the script reads of an input's events, names from the outermost object inwards; one of no names is the
    /// event as a whole. Other members of events have no effect on the rows.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<string>> PathsOf(int input) => inputs[input].Plan.Paths.ToPaths();

    /// <summary>
    /// Takes an input's events field by field (<see cref="PushFields"/>); null where only payloads will do: events that may wait for
    /// others, whose declared types have to be converted, or that several threads work on.
    /// </summary>
    public EventFields? FieldsOf(int input) =>
        batched is null && inputs[input].Plan is { Declared.Count: 0, WholeSlot: < 0 } plan && plan.Streams.TrueForAll(s => s.TimestampBy is null) ? inputs[input].Fields : null;

    /// <summary>Number of the next row of an output.</summary>
    public long NextRowNumber(int outputOrdinal) => outputs[outputOrdinal].NextNumber;

    /// <summary>Rough bytes of state held now.</summary>
    public long EstimateMemory()
    {
        var spread = batched?.HeldBytes() ?? 0;
        return spread + held.HeldBytes + graph.Operators.Sum(o => o.HeldBytes);
    }

    /// <summary>Takes one event.</summary>
    /// <param name="input">Ordinal in <see cref="CompiledQuery.Inputs"/>.</param>
    /// <param name="arrivalMicroseconds">Arrival, µs since 1970-01-01 UTC; never less than an earlier one of the same input.</param>
    /// <param name="payload">The event as received; copied.</param>
    /// <param name="properties">What the host knows besides.</param>
    /// <exception cref="QueryMemoryException">The state exceeds <see cref="CompileOptions.MemoryLimitBytes"/>.</exception>
    public void Push(int input, long arrivalMicroseconds, ReadOnlySpan<byte> payload, EventProperties properties = default)
        => PushAt(input, ToTicks(arrivalMicroseconds), payload, properties);

    private static long ToTicks(long microseconds) => DateTime.UnixEpoch.Ticks + (microseconds * TimeSpan.TicksPerMicrosecond);

    /// <summary>As <see cref="Push"/>, with the arrival in ticks since 0001-01-01 UTC.</summary>
    public void PushAt(int input, long arrivalTicks, ReadOnlySpan<byte> payload, EventProperties properties = default)
    {
        PostAt(input, arrivalTicks, payload, properties);
        Flush();
    }

    /// <summary>
    /// As <see cref="Push"/>, but the event may have its turn during one of the next calls, at the latest during
    /// <see cref="Flush"/>: until then memory brings the state that it will meet. With many keys that is twice as fast. With
    /// several threads that is the way to give them something to do: events are worked on in batches.
    /// </summary>
    public void Post(int input, long arrivalMicroseconds, ReadOnlySpan<byte> payload, EventProperties properties = default)
        => PostAt(input, ToTicks(arrivalMicroseconds), payload, properties);

    /// <summary>As <see cref="Post"/>, with the arrival in ticks since 0001-01-01 UTC.</summary>
    public void PostAt(int input, long arrivalTicks, ReadOnlySpan<byte> payload, EventProperties properties = default)
    {
        if (stopped)
            throw new QueryMemoryException("the query has been stopped: its state exceeded the memory limit");
        if (batched is not null)
        {
            Collect(input, arrivalTicks, payload, properties);
            return;
        }

        if (pendingCount == PendingMax)
            ProcessFirst();
        var place = (firstPending + pendingCount) & (PendingMax - 1);
        var reader = inputs[input];
        var next = pending[place];
        next.Reader = reader;
        next.Origin = new EventOrigin
        {
            Number = events + ++pendingCount,
            Arrival = arrivalTicks,
            Partition = properties.Partition,
            Device = properties.DeviceId,
        };
        var row = reader.DirectRows[place];
        row.Event = next.Origin.Number;
        next.Failure = !reader.Direct.TryRead(payload, row.Columns)
            ? BadEvents.NotAnObject
            : !EventCompletion.TryComplete(reader.Plan, next.Origin, row, out var column)
            ? BadEvents.NotOfItsType(column)
            : null;
        next.Payload = reader.Direct.ExchangeBuffer(next.Payload);
        next.Length = payload.Length;
        if (!looksAhead)
        {
            ProcessFirst();
            return;
        }

        if (next.Failure is not null)
            return;
        foreach (var stream in reader.Streams)
            stream.Announce(row);
    }

    private void Collect(int input, long arrivalTicks, ReadOnlySpan<byte> payload, in EventProperties properties)
    {
        var origin = new EventOrigin { Number = ++events, Arrival = arrivalTicks, Partition = properties.Partition, Device = properties.DeviceId };
        pushedBytes += payload.Length;
        if (batched!.Add(input, origin, payload))
            batched.Turn();
    }

    void IBatchTarget.OnQuiet()
    {
        if (events - checkedEvents < MemoryCheckEvents && !MayHaveGrown)
            return;
        checkedEvents = events;
        CheckMemory();
    }

    /// <summary>Gives all events that wait their turn.</summary>
    /// <exception cref="QueryMemoryException">The state exceeds <see cref="CompileOptions.MemoryLimitBytes"/>.</exception>
    public void Flush()
    {
        if (!stopped)
            batched?.Flush();
        while (pendingCount > 0)
            ProcessFirst();
    }

    private void ProcessFirst()
    {
        var place = firstPending;
        var next = pending[place];
        var reader = next.Reader;
        var row = reader.DirectRows[place];
        firstPending = --pendingCount == 0 ? 0 : (firstPending + 1) & (PendingMax - 1);
        events++;
        foreach (var stream in reader.Streams)
            stream.ReleaseDue(next.Origin.Arrival);
        BeginEvent(next.Origin, next.Payload, 0, next.Length);
        if (next.Failure is { } reason)
        {
            foreach (var failed in reader.Readers)
                Fail(failed, row.Event, reason);
            foreach (var stream in reader.Streams)
                stream.Advance(next.Origin.Arrival);
        }
        else
        {
            for (var index = 0; index < reader.Streams.Count; index++)
            {
                // The stream before may have released events that waited.
                if (index > 0)
                    BeginEvent(next.Origin, next.Payload, 0, next.Length);
                reader.Streams[index].Push(row, next.Origin, next.Payload.AsSpan(0, next.Length));
            }
        }

        pushedBytes += next.Length;
        if (events % MemoryCheckEvents == 0 || MayHaveGrown)
            CheckMemory();
    }

    private bool MayHaveGrown => pushedBytes + MadeBytes.Total - checkedBytes > MemoryCheckBytes;

    /// <summary>
    /// Takes the event that stands in the input's <see cref="FieldsOf"/>, as <see cref="Push"/> would take a payload with these fields. A dead
    /// letter has no payload then. Hot.
    /// </summary>
    public void PushFields(int input, long arrivalMicroseconds, int partition)
    {
        if (stopped)
            throw new QueryMemoryException("the query has been stopped: its state exceeded the memory limit");
        Flush();
        var reader = inputs[input];
        var row = reader.Fields.Row;
        var origin = new EventOrigin { Number = ++events, Arrival = ToTicks(arrivalMicroseconds), Partition = partition };
        EventCompletion.TryComplete(reader.Plan, origin, row, out _, reader.Fields.Device);
        BeginEvent(origin, [], 0, 0);
        row.Event = origin.Number;
        foreach (var stream in reader.Streams)
            stream.Push(row, origin, []);
        pushedBytes += reader.Fields.TextBytes;
        if (events % MemoryCheckEvents == 0 || MayHaveGrown)
            CheckMemory();
    }

    /// <summary>From here on a failing row of this event is a dead letter with this payload.</summary>
    private void BeginEvent(in EventOrigin origin, byte[] payload, int start, int length)
    {
        current = origin;
        currentPayload = payload;
        currentStart = start;
        currentLength = length;
    }

    void IBatchTarget.BeginEvent(in EventOrigin origin, byte[] payload, int start, int length) => BeginEvent(origin, payload, start, length);

    void IBatchTarget.Fail(int number, long eventNumber, string reason) => Fail(plan.Selects[number].Query, eventNumber, reason);

    private void CheckMemory()
    {
        checkedBytes = pushedBytes + MadeBytes.Total;
        var limit = query.Options.MemoryLimitBytes;
        if (limit <= 0)
            return;
        var bytes = EstimateMemory();
        if (bytes <= limit)
            return;
        stopped = true;
        throw new QueryMemoryException(
            $"the query's state takes about {bytes / 1048576.0:0.0} MiB, more than its limit of {limit / 1048576.0:0.0} MiB: the query is stopped");
    }

    Row IWaitingEventReader.Read(InputPlan input, in EventOrigin origin, ReadOnlySpan<byte> payload)
    {
        // The payload was read once when it came; it cannot fail now.
        var reader = inputs[input.Index];
        reader.Waiting.TryRead(payload, reader.WaitingRow.Columns);
        EventCompletion.TryComplete(input, origin, reader.WaitingRow, out _);
        BeginEvent(origin, reader.Waiting.Buffer, 0, reader.Waiting.Length);
        return reader.WaitingRow;
    }

    /// <summary>Tells that every event of one input still to come arrives at this time or later: silent inputs go on.</summary>
    public void AdvanceArrival(int input, long arrivalMicroseconds) => AdvanceArrivalAt(input, ToTicks(arrivalMicroseconds));

    /// <summary>As <see cref="AdvanceArrival(int, long)"/>, for all inputs.</summary>
    public void AdvanceArrival(long arrivalMicroseconds) => AdvanceAll(ToTicks(arrivalMicroseconds));

    private void AdvanceAll(long arrivalTicks)
    {
        Flush();
        for (var input = 0; input < inputs.Length; input++)
            Advance(input, arrivalTicks);
        Flush();
    }

    private void Advance(int input, long arrivalTicks)
    {
        if (batched is not null)
        {
            batched.AddMark(input, arrivalTicks);
            return;
        }

        foreach (var stream in inputs[input].Streams)
            stream.Advance(arrivalTicks);
    }

    /// <summary>As <see cref="AdvanceArrival(int, long)"/>, in ticks since 0001-01-01 UTC.</summary>
    public void AdvanceArrivalAt(int input, long arrivalTicks)
    {
        Flush();
        Advance(input, arrivalTicks);
        Flush();
    }

    /// <summary>Ends all inputs: whatever is open and holds events is emitted. Push nothing afterwards.</summary>
    public void Complete() => AdvanceAll(long.MaxValue);

    /// <summary>Replaces the rows of a reference input; they count for every row processed from now on.</summary>
    /// <param name="name">Name of the reference input; one that the script does not read is ignored.</param>
    /// <param name="rows">One JSON object per row, UTF-8; copied.</param>
    /// <exception cref="InvalidDataException">A row is not one JSON object.</exception>
    public void SetReference(string name, IEnumerable<ReadOnlyMemory<byte>> rows)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(rows);
        Flush();
        if (!references.TryGetValue(name, out var table))
            return;
        var paths = plan.References.Find(r => r.Name.Equals(name, StringComparison.OrdinalIgnoreCase))!.Paths;
        var reader = new EventReader(paths);
        var read = new List<Row>();
        var row = new Row(paths.SlotCount);
        foreach (var bytes in rows)
        {
            if (!reader.TryRead(bytes.Span, row.Columns))
                throw new InvalidDataException($"row {read.Count + 1} of the reference input {name} is not one JSON object");
            read.Add(row.Owned());
        }

        table.Rows = [.. read];
        table.Version++;
    }

    void IFailureSink.Fail(QueryIdentity failed, Row row, string reason) => Fail(failed, row.Event, reason);

    private void Fail(QueryIdentity failed, long number, string reason)
    {
        if (number > 0)
        {
            if (failed.LastFailed == number)
                return;
            failed.LastFailed = number;
        }

        bad++;
        var origin = current;
        ReadOnlyMemory<byte> payload = currentPayload.AsMemory(currentStart, currentLength);
        if (number <= 0 || (number != current.Number && !held.TryGet(number, out origin, out payload)))
        {
            sink.OnDeadLetter(new DeadLetter(reason, failed.Name, 0, default, null));
            return;
        }

        var arrival = (origin.Arrival - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        sink.OnDeadLetter(new DeadLetter(reason, failed.Name, arrival, payload, origin.Device));
    }

    void IFailureSink.Hold(Row row) => held.Hold(row.Event, current, currentPayload.AsSpan(currentStart, currentLength));

    void IFailureSink.Release(Row row) => held.Release(row.Event);

    /// <summary>Writes the complete state (docs/formats/query-snapshot.md). Reference rows are not part of it.</summary>
    public void Save(Stream target)
    {
        ArgumentNullException.ThrowIfNull(target);
        Flush();
        using var body = new MemoryStream();
        using (var writer = new StateWriter(body))
        {
            writer.Write(query.Text);
            writer.Write(events);
            writer.Write(bad);
            writer.Write(order.Late);
            writer.Write(order.Early);
            writer.Write(order.OutOfOrder);
            foreach (var select in plan.Selects)
                writer.Write(select.Query.LastFailed);
            writer.Write(graph.Operators.Count);
            foreach (var step in graph.Operators)
            {
                if (batched is null || !batched.TrySave(step, writer))
                    step.Save(writer);
            }

            held.Save(writer);
        }

        SnapshotEnvelope.Write(target, SnapshotMagic, SnapshotVersion, body);
    }

    /// <summary>Takes over a saved state. Only for an execution that has not been fed yet.</summary>
    /// <exception cref="InvalidDataException">The snapshot is damaged, of another version, or of another script.</exception>
    public void Restore(Stream source)
    {
        ArgumentNullException.ThrowIfNull(source);
        using var body = SnapshotEnvelope.Read(source, SnapshotMagic, SnapshotVersion);
        using var reader = new StateReader(body);
        try
        {
            if (!reader.ReadBytes().AsSpan().SequenceEqual(Encoding.UTF8.GetBytes(query.Text)))
                throw new InvalidDataException("the snapshot belongs to another script");
            events = reader.ReadLong();
            bad = reader.ReadLong();
            order.Late = reader.ReadLong();
            order.Early = reader.ReadLong();
            order.OutOfOrder = reader.ReadLong();
            foreach (var select in plan.Selects)
                select.Query.LastFailed = reader.ReadLong();
            if (reader.ReadInt() != graph.Operators.Count)
                throw new InvalidDataException("the snapshot belongs to another script");
            foreach (var step in graph.Operators)
            {
                if (batched is null || !batched.TryLoad(step, reader, body))
                    step.Load(reader);
            }

            held.Load(reader);
            batched?.ShowRestored();
        }
        catch (EndOfStreamException)
        {
            throw new InvalidDataException("the snapshot is damaged: it ends too early");
        }
    }

    /// <summary>Ends the threads. What has been pushed and not flushed is gone.</summary>
    public void Dispose() => batched?.Dispose();
}
