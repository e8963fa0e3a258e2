using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.State;

namespace Millrace.StreamSql.Spreading;

/// <summary>Gets what has come of a batch, in the order of a single thread.</summary>
internal interface IBatchTarget
{
    /// <summary>From here on rows and failures belong to this event.</summary>
    void BeginEvent(in EventOrigin origin, byte[] payload, int start, int length);

    void Fail(int query, long number, string reason);

    /// <summary>Nothing is worked on at the moment: time to look at the memory.</summary>
    void OnQuiet();
}

/// <summary>
/// An execution with several threads. Events are collected into a batch; while the next one is collected, all threads read the
/// events (phase 0), one puts them in order (1), and each shard runs the spread SELECTs over its rows (2). The caller's thread
/// then merges the rows of the shards into the order of a single thread and runs what is not spread. A shard has its part of
/// the keys, so what it computes does not depend on the others, and the merge does not depend on who was faster.
/// </summary>
internal sealed class BatchedExecution : IPhasedWork, IDisposable
{
    /// <summary>Events that a member reads at a time.</summary>
    private const int ChunkEvents = 64;

    /// <summary>A smaller batch is done before another thread has woken up.</summary>
    private const int WakeEvents = 128;

    private const int Extracting = 0;
    private const int Ordering = 1;
    private const int Working = 2;

    private readonly ScriptPlan plan;
    private readonly QueryGraph graph;
    private readonly InputStream[] streams;
    private readonly int[][] streamsOfInput;
    private readonly List<QueryIdentity>[] readersOfInput;
    private readonly StepRecorder recorder;
    private readonly OrderCounters counters;
    private readonly IWaitingEventReader waitingEvents;
    private readonly IBatchTarget target;
    private readonly Shard[] shards;
    private readonly MergedTap[] taps;
    private readonly bool[] writesJson;
    private readonly Dictionary<Operator, int> spreadSelects = [];
    private readonly int[] nextFailure;
    private Crew? crew;
    private Batch collecting;
    private Batch? working;         // worked on, or waiting to be merged
    private Batch active;           // whose phases run
    private Exception? broken;

    /// <summary>A SELECT whose rows leave the shards here.</summary>
    /// <param name="Output">The output that alone gets them.</param>
    private sealed record MergedTap(int Index, Operator Operator, int Stream, bool IsGrouped, Row Row, OutputOperator? Output);

    public BatchedExecution(
        CompiledQuery query, ScriptPlan plan, SpreadPlan spread, QueryGraph graph, IReadOnlyDictionary<string, ReferenceTable> references,
        InputStream[] streams, StepRecorder recorder, OrderCounters counters, IWaitingEventReader waitingEvents, IBatchTarget target)
    {
        this.plan = plan;
        this.graph = graph;
        this.streams = streams;
        this.recorder = recorder;
        this.counters = counters;
        this.waitingEvents = waitingEvents;
        this.target = target;
        var threads = query.Options.Threads;
        shards = [.. Enumerable.Range(0, threads).Select(number => new Shard(query, references, number, threads))];
        var relations = plan.Inputs.SelectMany(i => i.Streams).ToList();
        streamsOfInput = [.. plan.Inputs.Select(i => i.Streams.Select(s => relations.IndexOf(s)).ToArray())];
        readersOfInput = [.. plan.Inputs.Select(i => i.Streams.SelectMany(s => s.Readers).Distinct().ToList())];
        taps =
        [
            .. Shard.Tapped(plan, spread).Select((s, index) => new MergedTap(
                index, graph[s.Result], relations.IndexOf(spread.RootOf(s)), spread.IsGrouped(s), new Row(s.Result.ColumnCount),
                graph[s.Result].Targets is [(OutputOperator { HasOnePort: true } only, _)] ? only : null)),
        ];
        writesJson = new bool[taps.Length];
        foreach (var select in plan.Selects.Where(spread.IsSpread))
            spreadSelects.Add(graph[select.Result], plan.Selects.IndexOf(select));
        for (var stream = 0; stream < streams.Length; stream++)
            recorder.WantsMarks[stream] = streams[stream].WantsWatermarks || Array.Exists(taps, t => t.Stream == stream && t.Operator.Targets.Exists(x => x.Operator.WantsWatermarks));
        nextFailure = new int[shards.Length];
        collecting = active = NewBatch();
        ShownLowWaters = [.. streams.Select(s => s.LowWater)];
    }

    /// <summary>Per stream, its low-water mark behind what has been merged.</summary>
    public long[] ShownLowWaters { get; }

    /// <summary>What the order policies have counted in what has been merged.</summary>
    public (long Late, long Early, long OutOfOrder) ShownCounts { get; private set; }

    private Batch NewBatch() => new([.. plan.Inputs.Select(i => i.Paths.SlotCount)], streams.Length, shards.Length);

    /// <summary>Rough bytes of state in the shards. Waits until nothing is worked on.</summary>
    public long HeldBytes()
    {
        Guarded(Quiet);
        return shards.Sum(s => s.HeldBytes);
    }

    /// <summary>Collects an event; true when the batch is full: it is time for <see cref="Turn"/>.</summary>
    public bool Add(int input, in EventOrigin origin, ReadOnlySpan<byte> payload)
    {
        ThrowIfBroken();
        collecting.Add(input, origin, payload);
        return collecting.IsFull;
    }

    /// <summary>Every event of an input to come arrives then or later.</summary>
    public void AddMark(int input, long arrival)
    {
        if (collecting.IsFull)
            Turn();
        collecting.AddMark(input, arrival);
    }

    /// <summary>Hands the collected events to the threads and what they have made of the batch before to the sink.</summary>
    public void Turn() => Guarded(() =>
    {
        Quiet();
        target.OnQuiet();
        var done = working;
        Begin(collecting);
        collecting = done ?? NewBatch();
        if (done is not null)
            Merge(done);
    });

    /// <summary>Works on all that has been collected: afterwards nothing is under way.</summary>
    public void Flush() => Guarded(() =>
    {
        Quiet();
        if (working is { } done)
        {
            working = null;
            Merge(done);
            if (collecting.Count == 0)
            {
                collecting = done;
                return;
            }
        }

        if (collecting.Count == 0)
            return;
        if (collecting.Count < WakeEvents)
        {
            Prepare(collecting);
            for (var phase = 0; phase <= Working; phase++)
            {
                for (var item = 0; item < ItemsOf(phase); item++)
                    Do(phase, item, member: 0);
            }
        }
        else
        {
            Begin(collecting);
            working = null;
            Quiet();
        }

        Merge(collecting);
        target.OnQuiet();
    });

    private void ThrowIfBroken()
    {
        if (broken is not null)
            throw new InvalidOperationException("the execution has ended: " + broken.Message, broken);
    }

    private void Guarded(Action work)
    {
        ThrowIfBroken();
        try
        {
            work();
        }
        catch (Exception e)
        {
            broken = e;
            throw;
        }
    }

    private void Quiet() => crew?.Finish();

    private void Begin(Batch batch)
    {
        Prepare(batch);
        working = batch;
        crew ??= new Crew(shards.Length);
        crew.Begin(this);
    }

    private void Prepare(Batch batch)
    {
        active = batch;
        foreach (var tap in taps)
            writesJson[tap.Index] = tap.Output is { WritesJson: true };
    }

    public int Phases => 3;

    public int ItemsOf(int phase) => phase switch
    {
        Extracting => (active.Count + ChunkEvents - 1) / ChunkEvents,
        Ordering => 1,
        _ => spreadSelects.Count > 0 ? shards.Length : 0,
    };

    public void Do(int phase, int item, int member)
    {
        switch (phase)
        {
            case Extracting:
                shards[member].Extract(active, item * ChunkEvents, Math.Min(active.Count, (item + 1) * ChunkEvents));
                break;
            case Ordering:
                Order(active);
                break;
            default:
                shards[item].Work(active, writesJson);
                break;
        }
    }

    /// <summary>As a single thread does with one event after the other.</summary>
    private void Order(Batch batch)
    {
        recorder.Batch = batch;
        for (var index = 0; index < batch.Count; index++)
        {
            ref readonly var item = ref batch.Events[index];
            var own = streamsOfInput[item.Input];
            recorder.Event = index;
            if (item.IsMark)
            {
                foreach (var stream in own)
                    streams[stream].Advance(item.Origin.Arrival);
                continue;
            }

            foreach (var stream in own)
                streams[stream].ReleaseDue(item.Origin.Arrival);
            item.Row.Event = item.Origin.Number;
            if (item.Problem is not null)
            {
                foreach (var reader in readersOfInput[item.Input])
                    recorder.Fail(reader, item.Row, item.Problem);
                foreach (var stream in own)
                    streams[stream].Advance(item.Origin.Arrival);
                continue;
            }

            foreach (var stream in own)
            {
                var place = batch.At(index, stream);
                streams[stream].Push(item.Row, item.Origin, batch.Payload(item), batch.Times[place], batch.Hashes[place]);
            }
        }

        batch.Counted = (counters.Late, counters.Early, counters.OutOfOrder);
        for (var stream = 0; stream < streams.Length; stream++)
            batch.LowWaters[stream] = streams[stream].LowWater;
    }

    private void Merge(Batch batch)
    {
        Array.Clear(nextFailure);
        for (var index = 0; index < batch.Steps.Count; index++)
        {
            var step = batch.Steps[index];
            switch (step.Kind)
            {
                case StepKind.Mark:
                    MergeMark(batch, step);
                    break;
                case StepKind.Failure:
                    ref readonly var failed = ref batch.Events[step.Index];
                    target.BeginEvent(failed.Origin, batch.Payloads, failed.Start, failed.Length);
                    var failure = batch.Failures[(int)step.Time];
                    target.Fail(failure.Query, failure.Event, failure.Reason);
                    break;
                default:
                    MergeRow(batch, index, step);
                    break;
            }
        }

        // What remains came of the last marks.
        for (var shard = 0; shard < shards.Length; shard++)
            MergeFailures(batch, shard, int.MaxValue);
        foreach (var tap in taps)
            MergeGrouped(batch, tap, long.MaxValue);
        batch.LowWaters.CopyTo(ShownLowWaters, 0);
        ShownCounts = batch.Counted;
        batch.Clear();
    }

    private void MergeMark(Batch batch, in Step step)
    {
        foreach (var tap in taps)
        {
            if (tap.Stream == step.Stream)
                MergeGrouped(batch, tap, step.Time);
        }

        streams[step.Stream].Forward(step.Time);
        foreach (var tap in taps)
        {
            if (tap.Stream == step.Stream)
                tap.Operator.Forward(step.Time);
        }
    }

    private void MergeRow(Batch batch, int index, in Step step)
    {
        var isReadHere = streams[step.Stream].Targets.Count > 0;
        Row? row = null;
        if (step.Kind == StepKind.Waited)
        {
            var waited = batch.Waited[step.Index];
            if (isReadHere)
                row = waitingEvents.Read(streams[step.Stream].Input, waited.Origin, waited.Payload.AsSpan(0, waited.Length));
            else
                target.BeginEvent(waited.Origin, waited.Payload, 0, waited.Length);
            if (row is not null)
                row.Event = waited.Origin.Number;
        }
        else
        {
            ref readonly var item = ref batch.Events[step.Index];
            target.BeginEvent(item.Origin, batch.Payloads, item.Start, item.Length);
            row = item.Row;
        }

        if (step.Shard >= 0)
        {
            MergeFailures(batch, step.Shard, index);
            foreach (var tap in taps)
            {
                if (tap.IsGrouped || tap.Stream != step.Stream)
                    continue;
                var made = batch.Shards[step.Shard].Taps[tap.Index];
                while (made.HasNext && made.NextStep == index)
                    Pass(tap, made);
            }
        }

        if (!isReadHere)
            return;
        row!.Time = step.Time;
        streams[step.Stream].Emit(row);
    }

    private void MergeFailures(Batch batch, int shard, int through)
    {
        var failures = batch.Shards[shard].Failures;
        for (; nextFailure[shard] < failures.Count && failures[nextFailure[shard]].Step <= through; nextFailure[shard]++)
        {
            var failure = failures[nextFailure[shard]];
            target.Fail(failure.Query, failure.Event, failure.Reason);
        }
    }

    /// <summary>Results of windows that end before a time: in the order of their ends, windows and keys.</summary>
    private void MergeGrouped(Batch batch, MergedTap tap, long before)
    {
        if (!tap.IsGrouped)
            return;
        while (true)
        {
            TapRows? first = null;
            foreach (var shard in batch.Shards)
            {
                if (tap.Index < shard.Taps.Length && shard.Taps[tap.Index] is { HasNext: true } candidate && candidate.NextTime < before
                    && (first is null || candidate.CompareNext(first) < 0))
                    first = candidate;
            }

            if (first is null)
                return;
            Pass(tap, first);
        }
    }

    private static void Pass(MergedTap tap, TapRows made)
    {
        made.Take(tap.Row);
        tap.Operator.Emit(tap.Row);
    }

    /// <summary>Saves what shards hold of an operator's state as one; false when the operator is not spread.</summary>
    public bool TrySave(Operator step, StateWriter writer)
    {
        if (!spreadSelects.TryGetValue(step, out var select))
            return false;
        var merged = graph.NewSelect(plan.Selects[select]);
        foreach (var shard in shards)
        {
            using var part = new MemoryStream();
            using (var partWriter = new StateWriter(part))
                shard.Save(partWriter, select);
            part.Position = 0;
            using var partReader = new StateReader(part);
            merged.Load(partReader);
        }

        merged.Save(writer);
        return true;
    }

    /// <summary>Gives every shard its part of an operator's state; false when the operator is not spread.</summary>
    public bool TryLoad(Operator step, StateReader reader, MemoryStream body)
    {
        if (!spreadSelects.TryGetValue(step, out var select))
            return false;
        var start = body.Position;
        foreach (var shard in shards)
        {
            body.Position = start;
            shard.Load(reader, select);
        }

        return true;
    }

    /// <summary>What a restored execution shows before its first batch.</summary>
    public void ShowRestored()
    {
        for (var stream = 0; stream < streams.Length; stream++)
            ShownLowWaters[stream] = streams[stream].LowWater;
        ShownCounts = (counters.Late, counters.Early, counters.OutOfOrder);
    }

    public void Dispose()
    {
        broken ??= new ObjectDisposedException(nameof(QueryExecution));
        crew?.Dispose();
    }
}
