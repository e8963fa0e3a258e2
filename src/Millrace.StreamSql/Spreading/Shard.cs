using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.State;

namespace Millrace.StreamSql.Spreading;

/// <summary>
/// The spread SELECTs for the rows of one shard, and an extractor of events. It has a plan of its own, because expressions keep
/// scratch values: so many threads may work as there are shards.
/// </summary>
internal sealed class Shard : IFailureSink
{
    /// <summary>So many rows before its turn a row's key is asked for.</summary>
    private const int AnnouncedAhead = 7;

    private readonly ScriptPlan plan;
    private readonly SpreadPlan spread;
    private readonly int number;
    private readonly QueryGraph graph;
    private readonly List<StreamRelation> streams = [];
    private readonly List<Source> sources = [];
    private readonly List<Tap> taps = [];
    private readonly EventReader[] readers;
    private readonly EventReader[] waitingReaders;
    private readonly Row[] waitingRows;
    private readonly EventClock?[] clocks;
    private readonly SpreadHash[] hashes;
    private readonly int count;
    private readonly bool looksAhead;
    private int step;
    private byte[]? payload;
    private Batch.ShardWork work = null!;

    /// <summary>Hands the rows of one stream to its readers in this shard.</summary>
    private sealed class Source : Operator
    {
        public override void OnRow(int port, Row row) => Emit(row);

        public override bool LooksAhead => Targets.Exists(t => t.Operator.LooksAhead);

        public override void Announce(Row row)
        {
            foreach (var (target, _) in Targets)
                target.Announce(row);
        }
    }

    /// <summary>Keeps the rows of one SELECT for the merge; those that go to an output alone may be written as JSON right away.</summary>
    private sealed class Tap(Shard shard, int index, OutputItem[]? items) : Operator
    {
        private readonly JsonBuffer json = new();
        private readonly Frame frame = new() { Sources = new Row[1] };

        public bool WritesJson { get; set; }

        public override void OnRow(int port, Row row)
        {
            json.Clear();
            if (WritesJson && items is not null)
            {
                frame.Sources[0] = row;
                frame.Time = row.Time;
                frame.Error = null;
                OutputItem.Write(json, items, frame, writeNulls: true);
            }

            shard.work.Taps[index].Add(shard.step, row, shard.payload, json.Written);
        }
    }

    /// <param name="number">Of this shard.</param>
    /// <param name="count">Of all shards.</param>
    public Shard(CompiledQuery query, IReadOnlyDictionary<string, ReferenceTable> references, int number, int count)
    {
        plan = StreamQuery.Bind(query.Text, query.Options, out _, out _);
        spread = SpreadPlan.Of(plan);
        this.number = number;
        this.count = count;
        graph = new QueryGraph(plan, query.Options, this, references) { KeepsRank = true };

        // Outputs ask for columns: all are there before the SELECTs are made.
        var items = plan.Outputs.ToDictionary(o => o, o => o.Queries.Select(q => ResultShape.Items(q.Star(0))).ToArray());
        foreach (var stream in plan.Inputs.SelectMany(i => i.Streams))
        {
            streams.Add(stream);
            sources.Add(new Source());
            graph.AddStream(stream, sources[^1]);
        }

        foreach (var select in plan.Selects.Where(spread.IsSpread))
            graph.AddSelect(select);
        foreach (var select in Tapped(plan, spread))
        {
            var output = plan.Outputs.Find(o => o.Queries is [var only] && ReferenceEquals(only, select.Result));
            taps.Add(new Tap(this, taps.Count, output is null ? null : items[output][0]));
            graph[select.Result].Targets.Add((taps[^1], 0));
        }

        graph.Complete();
        looksAhead = sources.Exists(x => x.LooksAhead);
        readers = [.. plan.Inputs.Select(i => new EventReader(i.Paths))];
        waitingReaders = [.. plan.Inputs.Select(i => new EventReader(i.Paths))];
        waitingRows = [.. plan.Inputs.Select(i => new Row(i.Paths.SlotCount))];
        clocks = [.. streams.Select(s => s.TimestampBy is null ? null : new EventClock(s.TimestampBy))];
        hashes = [.. streams.Select(s => new SpreadHash(spread.ColumnsOf(s)))];
    }

    /// <summary>Spread SELECTs whose rows somebody reads who is not in the shards, in the order of the plan.</summary>
    public static List<SelectPlan> Tapped(ScriptPlan plan, SpreadPlan spread) => plan.Selects.FindAll(s => spread.IsSpread(s)
        && (plan.Outputs.Exists(o => o.Queries.Contains(s.Result)) || plan.Unions.Exists(u => u.Branches.Contains(s.Result))
            || plan.Selects.Exists(r => r.Reads(s.Result) && !spread.IsSpread(r))));

    public long HeldBytes => graph.Operators.Sum(o => o.HeldBytes);

    void IFailureSink.Fail(QueryIdentity query, Row row, string reason)
        => work.Failures.Add(new Failure(step, query.Number, row.Event, reason));

    /// <summary>Reads events of a batch: their paths, TIMESTAMP BY, and the shards of their rows.</summary>
    public void Extract(Batch batch, int from, int to)
    {
        for (var index = from; index < to; index++)
        {
            ref var item = ref batch.Events[index];
            if (item.IsMark)
                continue;
            var input = plan.Inputs[item.Input];
            var reader = readers[item.Input];
            var columns = item.Row.Columns;
            if (!reader.TryRead(batch.Payload(item), columns))
            {
                item.Problem = BadEvents.NotAnObject;
                continue;
            }

            item.Buffer = reader.ExchangeBuffer(item.Buffer ?? []);
            if (!EventCompletion.TryComplete(input, item.Origin, item.Row, out var column))
            {
                item.Problem = BadEvents.NotOfItsType(column);
                continue;
            }

            for (var stream = 0; stream < streams.Count; stream++)
            {
                if (!ReferenceEquals(streams[stream].Input, input))
                    continue;
                if (clocks[stream] is { } clock)
                    batch.Times[batch.At(index, stream)] = clock.Read(item.Row);
                batch.Hashes[batch.At(index, stream)] = hashes[stream].Of(item.Row);
            }
        }
    }

    /// <summary>Works on this shard's steps of a batch that has been put in order.</summary>
    /// <param name="writesJson">Per tap, whether its output's rows are wanted as JSON.</param>
    public void Work(Batch batch, bool[] writesJson)
    {
        work = batch.Shards[number];
        if (work.Taps.Length == 0)
            work.Taps = [.. Tapped(plan, spread).Select(s => new TapRows(s.Result.ColumnCount))];
        for (var tap = 0; tap < taps.Count; tap++)
            taps[tap].WritesJson = writesJson[tap];
        var row = new Row(0);
        for (var turn = 0; turn < work.Steps.Count; turn++)
        {
            if (looksAhead && turn + AnnouncedAhead < work.Steps.Count)
                Announce(batch, batch.Steps[work.Steps[turn + AnnouncedAhead]], row);
            step = work.Steps[turn];
            var next = batch.Steps[step];
            if (next.Kind == StepKind.Row)
            {
                // A row object of its own: another shard may have the event under another TIMESTAMP BY.
                ref readonly var item = ref batch.Events[next.Index];
                row.Columns = item.Row.Columns;
                payload = item.Buffer;
                row.Event = item.Origin.Number;
            }
            else
            {
                var waited = batch.Waited[next.Index];
                payload = null;
                row.Columns = ReadAgain(streams[next.Stream].Input, waited).Columns;
                row.Event = waited.Origin.Number;
            }

            row.Time = next.Time;
            sources[next.Stream].Emit(row);
        }

        // One mark is as good as many here: results are put in order by their times.
        step = batch.Steps.Count;
        payload = null;
        for (var stream = 0; stream < sources.Count; stream++)
        {
            if (batch.Marks[stream] != long.MinValue)
                sources[stream].Forward(batch.Marks[stream]);
        }
    }

    private void Announce(Batch batch, in Step next, Row row)
    {
        if (next.Kind != StepKind.Row)
            return;
        row.Columns = batch.Events[next.Index].Row.Columns;
        sources[next.Stream].Announce(row);
    }

    /// <summary>The payload was read once when it came; it cannot fail now.</summary>
    private Row ReadAgain(InputPlan input, in WaitingEvent waited)
    {
        var row = waitingRows[input.Index];
        waitingReaders[input.Index].TryRead(waited.Payload.AsSpan(0, waited.Length), row.Columns);
        EventCompletion.TryComplete(input, waited.Origin, row, out _);
        return row;
    }

    public void Save(StateWriter writer, int select) => graph[plan.Selects[select].Result].Save(writer);

    /// <summary>Takes this shard's part of the state of all.</summary>
    public void Load(StateReader reader, int select)
    {
        var own = plan.Selects[select];
        ((SelectOperator)graph[own.Result]).Load(reader, key => IsMine(spread.PositionsIn(key, own)));
    }

    /// <summary>Whether keys are of this shard in which the values by which rows are spread stand at these positions.</summary>
    private KeyFilter IsMine(int[] positions) => key => SpreadHash.Of(key, positions) % (uint)count == (uint)number;
}
