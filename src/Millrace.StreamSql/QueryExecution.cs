using System.Text;
using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Operators;
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
/// are interleaved.
/// </summary>
public sealed class QueryExecution : IFailureSink, IWaitingEventReader
{
    /// <summary>Bytes that open a snapshot, followed by the version.</summary>
    private static ReadOnlySpan<byte> SnapshotMagic => "MRQS"u8;

    internal const int SnapshotVersion = 1;

    private const int MemoryCheckEvents = 4096;

    /// <summary>Events that wait at most: enough for two reads from memory, few enough to stay in the nearest cache.</summary>
    private const int PendingMax = 8;

    private readonly CompiledQuery query;
    private readonly ScriptPlan plan;
    private readonly IQuerySink sink;
    private readonly InputReader[] inputs;
    private readonly Dictionary<string, ReferenceTable> references = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<Operator> operators = [];
    private readonly List<OutputOperator> outputs = [];
    private readonly OrderCounters order = new();
    private readonly PendingEvent[] pending = [.. Enumerable.Range(0, PendingMax).Select(_ => new PendingEvent())];
    private readonly bool looksAhead;
    private int firstPending;
    private int pendingCount;
    private long events;
    private long bad;
    private EventOrigin current;
    private byte[] currentPayload = [];
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
        var producers = new Dictionary<Relation, Operator>();
        foreach (var reference in plan.References)
            references.Add(reference.Name, new ReferenceTable());
        var streams = new Dictionary<InputPlan, List<InputStream>>();
        foreach (var input in plan.Inputs)
        {
            var list = new List<InputStream>();
            foreach (var stream in input.Streams)
            {
                var source = new InputStream(stream, query.Options, order, this, this) { ReleasesByKey = plan.PermitsKeyOrder(stream) };
                list.Add(source);
                operators.Add(source);
                producers.Add(stream, source);
            }

            streams.Add(input, list);
        }

        var outputItems = plan.Outputs.Select(o => o.Queries.Select(q => ResultShape.Items(q.Star(0))).ToArray()).ToArray();
        var unionColumns = plan.Unions.ToDictionary(u => u, u => u.ColumnsByBranch());
        Wire(producers, unionColumns);
        for (var index = 0; index < plan.Outputs.Count; index++)
        {
            var target = new OutputOperator(plan.Outputs[index].Name, index, outputItems[index], !plan.TakesRowsByKey(plan.Outputs[index]), sink);
            operators.Add(target);
            outputs.Add(target);
            for (var port = 0; port < plan.Outputs[index].Queries.Count; port++)
                producers[plan.Outputs[index].Queries[port]].Targets.Add((target, port));
        }

        for (var index = operators.Count - 1; index >= 0; index--)
        {
            var step = operators[index];
            step.WantsWatermarks = step.UsesWatermarks || step.Targets.Exists(t => t.Operator.WantsWatermarks);
        }

        looksAhead = operators.Exists(o => o is InputStream && o.LooksAhead);
        inputs = [.. plan.Inputs.Select(i => new InputReader(i))];
        foreach (var input in inputs)
            input.Streams.AddRange(streams[input.Plan]);
    }

    /// <summary>Selects in text order, each union as soon as its branches are there: producers come before consumers.</summary>
    private void Wire(Dictionary<Relation, Operator> producers, Dictionary<UnionRelation, Node[][]> unionColumns)
    {
        var unions = plan.Unions.ToList();
        foreach (var select in plan.Selects)
        {
            producers.Add(select.Result, WireSelect(select, producers));
            foreach (var union in unions.Where(u => Array.TrueForAll(u.Branches, producers.ContainsKey)).ToList())
            {
                unions.Remove(union);
                var merge = new UnionOperator(unionColumns[union]);
                operators.Add(merge);
                for (var port = 0; port < union.Branches.Length; port++)
                    producers[union.Branches[port]].Targets.Add((merge, port));
                producers.Add(union, merge);
            }
        }
    }

    private SelectOperator WireSelect(SelectPlan select, Dictionary<Relation, Operator> producers)
    {
        var last = producers[select.Source];
        var applies = new List<ApplyPlan>();
        var sources = 1;
        for (var index = 0; index < select.Links.Count; index++)
        {
            Operator next;
            switch (select.Links[index])
            {
                case StreamLink join:
                    next = new JoinOperator(
                        new JoinPlan
                        {
                            LeftSources = join.LeftSources,
                            IsLeftJoin = join.IsLeftJoin,
                            Bounds = join.Bounds,
                            LeftSpan = join.LeftSpan,
                            EqualKeys = join.EqualKeys,
                            On = join.On,
                            RightColumns = join.Right.ColumnCount,
                        },
                        select.Query,
                        this);
                    producers[join.Right].Targets.Add((next, 1));
                    break;
                case ReferenceLink join:
                    next = new ReferenceJoinOperator(
                        new ReferenceJoinPlan
                        {
                            LeftSources = join.LeftSources,
                            IsLeftJoin = join.IsLeftJoin,
                            EqualKeys = join.EqualKeys,
                            On = join.On,
                            RightColumns = join.Right.ColumnCount,
                        },
                        references[join.Right.Name],
                        select.Query,
                        this);
                    break;
                case ApplyLink apply when select.Links.Skip(index).All(l => l is ApplyLink):
                    applies.Add(apply.Plan);
                    continue;
                default:
                    next = new ApplyOperator(((ApplyLink)select.Links[index]).Plan, sources, select.Query, this);
                    break;
            }

            // The left side first: at equal times it goes before the right one.
            last.Targets.Insert(select.Links[index] is StreamLink ? LeftPosition(last, next) : last.Targets.Count, (next, 0));
            operators.Add(next);
            last = next;
            sources++;
        }

        if (select.Match is { } match)
        {
            var matcher = new MatchOperator(match, select.Source.ColumnCount, select.Query, this);
            last.Targets.Add((matcher, 0));
            operators.Add(matcher);
            last = matcher;
        }

        var program = new SelectProgram
        {
            Sources = sources,
            Applies = [.. applies],
            Analytics = [.. select.Analytics],
            Where = select.Where,
            Group = select.Group,
            Having = select.Having,
            IsDistinct = select.IsDistinct,
            DistinctColumns = select.DistinctColumns,
            Columns = [.. select.Result.Columns],
        };
        var result = new SelectOperator(program, select.Query, this, query.Options.Partitions)
        {
            TakesRowsByKey = plan.TakesRowsByKey(select),
        };
        last.Targets.Add((result, 0));
        operators.Add(result);
        return result;
    }

    private static int LeftPosition(Operator producer, Operator join)
    {
        var right = producer.Targets.FindIndex(t => ReferenceEquals(t.Operator, join));
        return right < 0 ? producer.Targets.Count : right;
    }

    /// <summary>The compiled script that runs here.</summary>
    public CompiledQuery Query => query;

    /// <summary>Everything counted so far.</summary>
    public QueryCounters Counters => new(events, outputs.Sum(o => o.NextNumber), bad, order.Late, order.Early, order.OutOfOrder);

    /// <summary>The lowest watermark of all inputs in ticks since 0001-01-01 UTC; null before the first event, MaxValue at the end.</summary>
    public long? WatermarkTicks
    {
        get
        {
            var lowest = operators.OfType<InputStream>().Select(s => s.LowWater).DefaultIfEmpty(long.MaxValue).Min();
            return lowest == long.MinValue ? null : lowest;
        }
    }

    /// <summary>Number of the next row of an output.</summary>
    public long NextRowNumber(int outputOrdinal) => outputs[outputOrdinal].NextNumber;

    /// <summary>Rough bytes of state held now.</summary>
    public long EstimateMemory() => operators.Sum(o => o.HeldBytes);

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
    /// <see cref="Flush"/>: until then memory brings the state that it will meet. With many keys that is twice as fast.
    /// </summary>
    public void Post(int input, long arrivalMicroseconds, ReadOnlySpan<byte> payload, EventProperties properties = default)
        => PostAt(input, ToTicks(arrivalMicroseconds), payload, properties);

    /// <summary>As <see cref="Post"/>, with the arrival in ticks since 0001-01-01 UTC.</summary>
    public void PostAt(int input, long arrivalTicks, ReadOnlySpan<byte> payload, EventProperties properties = default)
    {
        if (stopped)
            throw new QueryMemoryException("the query has been stopped: its state exceeded the memory limit");
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
            ? "the payload is not one JSON object"
            : !TryComplete(reader.Plan, next.Origin, row, out var column)
            ? $"the field {column} cannot be converted to its declared type"
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

    /// <summary>Gives all events that wait their turn.</summary>
    public void Flush()
    {
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
        BeginEvent(next.Origin, next.Payload, next.Length);
        if (next.Failure is { } reason)
        {
            foreach (var failed in reader.Readers)
                Fail(failed, row, reason);
            foreach (var stream in reader.Streams)
                stream.Advance(next.Origin.Arrival);
        }
        else
        {
            for (var index = 0; index < reader.Streams.Count; index++)
            {
                // The stream before may have released events that waited.
                if (index > 0)
                    BeginEvent(next.Origin, next.Payload, next.Length);
                reader.Streams[index].Push(row, next.Origin, next.Payload.AsSpan(0, next.Length));
            }
        }

        if (events % MemoryCheckEvents == 0)
            CheckMemory();
    }

    /// <summary>From here on a failing row of this event is a dead letter with this payload.</summary>
    private void BeginEvent(in EventOrigin origin, byte[] payload, int length)
    {
        current = origin;
        currentPayload = payload;
        currentLength = length;
    }

    private void CheckMemory()
    {
        var limit = query.Options.MemoryLimitBytes;
        if (limit <= 0)
            return;
        var held = EstimateMemory();
        if (held <= limit)
            return;
        stopped = true;
        throw new QueryMemoryException(
            $"the query's state takes about {held / 1048576.0:0.0} MiB, more than its limit of {limit / 1048576.0:0.0} MiB: the query is stopped");
    }

    /// <summary>Adds what is not in the payload: system fields, the device's id, declared types.</summary>
    private static bool TryComplete(InputPlan input, in EventOrigin origin, Row row, out string column)
    {
        column = "";
        foreach (var (slot, field) in input.SystemSlots)
        {
            ref var value = ref row.Columns[slot];
            if (value.Kind != Kind.Missing)
                continue;
            value = field switch
            {
                SystemField.EnqueuedTime => Value.OfTicks(origin.Arrival),
                SystemField.Partition when origin.Partition >= 0 => Value.Of((long)origin.Partition),
                SystemField.Device or SystemField.DeviceAsId when origin.Device is not null => Value.Of(origin.Device),
                _ => value,
            };
        }

        foreach (var (slot, type, name) in input.Declared)
        {
            ref var value = ref row.Columns[slot];
            if (value.IsNull)
                continue;
            if (!Conversion.TryCast(value, type, out var converted))
            {
                column = name;
                return false;
            }

            value = converted;
        }

        if (input.WholeSlot >= 0 && (input.Declared.Count > 0 || (input.IdSlot >= 0 && origin.Device is not null)))
            Rebuild(input, origin, row);
        return true;
    }

    /// <summary>The event as a record, where its fields are not simply those of the payload.</summary>
    private static void Rebuild(InputPlan input, in EventOrigin origin, Row row)
    {
        var target = new JsonBuffer();
        target.Add((byte)'{');
        var first = true;
        var hasId = false;
        var fields = new FieldEnumerator(row.Columns[input.WholeSlot]);
        while (fields.MoveNext())
        {
            hasId |= JsonText.EqualsIgnoringCase(fields.Name, "id"u8, true);
            if (!first)
                target.Add((byte)',');
            first = false;
            target.Add((byte)'"');
            target.Add(fields.RawName);
            target.Add("\":"u8);
            var name = Encoding.UTF8.GetString(fields.Name);
            var declared = input.Declared.FindIndex(d => d.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
            target.Add(declared < 0 || fields.Value.IsNull ? fields.Value : row.Columns[input.Declared[declared].Slot]);
        }

        if (!hasId && input.IdSlot >= 0 && origin.Device is not null)
        {
            if (!first)
                target.Add((byte)',');
            target.Add("\"id\":"u8);
            target.AddString(Encoding.UTF8.GetBytes(origin.Device));
        }

        target.Add((byte)'}');
        row.Columns[input.WholeSlot] = Value.OfBytes(Kind.Record, target.ToArray());
    }

    Row IWaitingEventReader.Read(InputPlan input, in EventOrigin origin, ReadOnlySpan<byte> payload)
    {
        // The payload was read once when it came; it cannot fail now.
        var reader = inputs[input.Index];
        reader.Waiting.TryRead(payload, reader.WaitingRow.Columns);
        TryComplete(input, origin, reader.WaitingRow, out _);
        BeginEvent(origin, reader.Waiting.Buffer, reader.Waiting.Length);
        return reader.WaitingRow;
    }

    /// <summary>Tells that every event of one input still to come arrives at this time or later: silent inputs go on.</summary>
    public void AdvanceArrival(int input, long arrivalMicroseconds) => AdvanceArrivalAt(input, ToTicks(arrivalMicroseconds));

    /// <summary>As <see cref="AdvanceArrival(int, long)"/>, for all inputs.</summary>
    public void AdvanceArrival(long arrivalMicroseconds)
    {
        for (var input = 0; input < inputs.Length; input++)
            AdvanceArrival(input, arrivalMicroseconds);
    }

    /// <summary>As <see cref="AdvanceArrival(int, long)"/>, in ticks since 0001-01-01 UTC.</summary>
    public void AdvanceArrivalAt(int input, long arrivalTicks)
    {
        Flush();
        foreach (var stream in inputs[input].Streams)
            stream.Advance(arrivalTicks);
    }

    /// <summary>Ends all inputs: whatever is open and holds events is emitted. Push nothing afterwards.</summary>
    public void Complete()
    {
        Flush();
        foreach (var input in inputs)
        {
            foreach (var stream in input.Streams)
                stream.Advance(long.MaxValue);
        }
    }

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

    void IFailureSink.Fail(QueryIdentity failed, Row row, string reason) => Fail(failed, row, reason);

    private void Fail(QueryIdentity failed, Row row, string reason)
    {
        if (row.Event > 0)
        {
            if (failed.LastFailed == row.Event)
                return;
            failed.LastFailed = row.Event;
        }

        bad++;
        var isCurrent = row.Event > 0 && row.Event == current.Number;
        var arrival = isCurrent ? (current.Arrival - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond : 0;
        var payload = isCurrent ? currentPayload.AsMemory(0, currentLength) : ReadOnlyMemory<byte>.Empty;
        sink.OnDeadLetter(new DeadLetter(reason, failed.Name, arrival, payload, isCurrent ? current.Device : null));
    }

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
            writer.Write(operators.Count);
            foreach (var step in operators)
                step.Save(writer);
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
            if (reader.ReadInt() != operators.Count)
                throw new InvalidDataException("the snapshot belongs to another script");
            foreach (var step in operators)
                step.Load(reader);
        }
        catch (EndOfStreamException)
        {
            throw new InvalidDataException("the snapshot is damaged: it ends too early");
        }
    }
}
