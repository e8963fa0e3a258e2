using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;
using Millrace.StreamSql.Windows;

namespace Millrace.StreamSql.Operators;

/// <summary>A function over the history of a query's source: what it is computed from; shared by all executions.</summary>
internal abstract class AnalyticPlan
{
    public Node[] PartitionBy { get; init; } = [];

    public Node? When { get; init; }

    public long Limit { get; init; }

    public abstract Analytic Create(int partitions);
}

/// <summary>State of one analytic function. <see cref="Evaluate"/> may fail the frame; <see cref="Commit"/> then does not run.</summary>
internal abstract class Analytic(AnalyticPlan plan, int partitions)
{
    private readonly KeyWriter key = new();
    private long swept = long.MinValue;

    protected int Partitions => partitions;

    protected Truth Applies { get; private set; }

    protected ReadOnlySpan<byte> Key => key.Key;

    protected uint Hash { get; private set; }

    protected int Shard => (int)(Hash % (uint)partitions);

    public abstract long HeldBytes { get; }

    /// <summary>Computes the value for the current row and remembers what <see cref="Commit"/> will store.</summary>
    public void Evaluate(Frame frame, out Value result)
    {
        key.Clear();
        foreach (var part in plan.PartitionBy)
        {
            part.Evaluate(frame, out var value);
            key.Add(value);
        }

        Hash = KeyMap.HashOf(key.Key);
        Applies = plan.When is null ? Truth.True : plan.When.Test(frame);
        Compute(frame, out result);
    }

    protected abstract void Compute(Frame frame, out Value result);

    /// <summary>Adds the current row to the history.</summary>
    public abstract void Commit(long time);

    /// <summary>Drops keys that nothing can reach any more, now and then.</summary>
    public void Sweep(long time)
    {
        if (plan.Limit <= 0 || time == long.MaxValue || (swept != long.MinValue && time - swept < plan.Limit / 2))
            return;
        if (swept != long.MinValue)
            Drop(time - plan.Limit);
        swept = time;
    }

    protected abstract void Drop(long through);

    public abstract void Save(StateWriter writer);

    public abstract void Load(StateReader reader);
}

/// <summary>LAG (offset ≥ 1) and LAST (offset 0).</summary>
internal sealed class LagPlan : AnalyticPlan
{
    public required Node Argument { get; init; }

    public required int Offset { get; init; }

    public Node? Default { get; init; }

    public override Analytic Create(int partitions) => new Lag(this, partitions);
}

internal sealed class Lag : Analytic
{
    private struct Entry
    {
        public long Time;
        public Value Value;
    }

    private sealed class History
    {
        public KeyMap Keys = new();
        public Chunked<Entry> Entries;

        // Rows stored so far of each key; the newest is at (count − 1) modulo depth.
        public Chunked<int> Counts = new();
        public long TextBytes;

        public History(int depth) => Entries = new Chunked<Entry>(depth);
    }

    private readonly LagPlan plan;
    private readonly int depth;
    private readonly History[] shards;
    private Value pending;

    public Lag(LagPlan plan, int partitions)
        : base(plan, partitions)
    {
        this.plan = plan;
        depth = Math.Max(1, plan.Offset);
        shards = [.. Enumerable.Range(0, partitions).Select(_ => new History(depth))];
    }

    public override long HeldBytes => shards.Sum(s => s.Keys.HeldBytes + s.Entries.HeldBytes + s.Counts.HeldBytes + s.TextBytes);

    protected override void Compute(Frame frame, out Value result)
    {
        pending = Value.Null;
        if (Applies == Truth.True)
            plan.Argument.Evaluate(frame, out pending);
        if (plan.Offset == 0 && Applies == Truth.True)
        {
            result = pending;
            return;
        }

        var history = shards[Shard];
        var entry = history.Keys.Find(Key, Hash);
        var back = Math.Max(1, plan.Offset);
        if (entry >= 0)
        {
            var count = history.Counts.One(entry);
            if (count >= back)
            {
                ref var found = ref history.Entries.At(entry)[(count - back) % depth];
                if (frame.Time - found.Time < plan.Limit)
                {
                    result = found.Value;
                    return;
                }
            }
        }

        if (plan.Default is null)
            result = Value.Null;
        else
            plan.Default.Evaluate(frame, out result);
    }

    public override void Commit(long time)
    {
        if (Applies != Truth.True)
            return;
        var history = shards[Shard];
        var entry = history.Keys.GetOrAdd(Key, Hash, out var added);
        if (added)
        {
            history.Entries.Add(entry);
            history.Counts.Add(entry);
        }

        ref var count = ref history.Counts.One(entry);
        ref var slot = ref history.Entries.At(entry)[count % depth];
        var value = pending.Owned();
        history.TextBytes += value.HeldBytes - slot.Value.HeldBytes;
        slot = new Entry { Time = time, Value = value };
        count = count == int.MaxValue ? (int.MaxValue % depth) + depth : count + 1;
    }

    protected override void Drop(long through)
    {
        for (var index = 0; index < shards.Length; index++)
        {
            var old = shards[index];
            var live = 0;
            for (var entry = 0; entry < old.Keys.Count; entry++)
                live += Newest(old, entry) > through ? 1 : 0;
            if (live * 2 > old.Keys.Count)
                continue;
            var kept = new History(depth);
            for (var entry = 0; entry < old.Keys.Count; entry++)
            {
                if (Newest(old, entry) <= through)
                    continue;
                var key = old.Keys.KeyAt(entry);
                var target = kept.Keys.GetOrAdd(key, KeyMap.HashOf(key), out _);
                kept.Entries.Add(target);
                kept.Counts.Add(target);
                old.Entries.At(entry).CopyTo(kept.Entries.At(target));
                kept.Counts.One(target) = old.Counts.One(entry);
                foreach (ref var held in kept.Entries.At(target))
                    kept.TextBytes += held.Value.HeldBytes;
            }

            shards[index] = kept;
        }
    }

    private long Newest(History history, int entry)
        => history.Entries.At(entry)[(history.Counts.One(entry) - 1) % depth].Time;

    public override void Save(StateWriter writer)
    {
        writer.Write(shards.Sum(s => s.Keys.Count));
        foreach (var history in shards)
        {
            for (var entry = 0; entry < history.Keys.Count; entry++)
            {
                writer.WriteBytes(history.Keys.KeyAt(entry));
                var count = history.Counts.One(entry);
                var kept = Math.Min(count, depth);
                writer.Write(kept);
                for (var back = kept; back >= 1; back--)
                {
                    ref var slot = ref history.Entries.At(entry)[(count - back) % depth];
                    writer.Write(slot.Time);
                    writer.Write(slot.Value);
                }
            }
        }
    }

    public override void Load(StateReader reader)
    {
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var key = reader.ReadBytes();
            var hash = KeyMap.HashOf(key);
            var history = shards[hash % (uint)shards.Length];
            var entry = history.Keys.GetOrAdd(key, hash, out _);
            history.Entries.Add(entry);
            history.Counts.Add(entry);
            var kept = reader.ReadCount();
            for (var row = 0; row < kept; row++)
            {
                var slot = new Entry { Time = reader.ReadLong(), Value = reader.ReadValue() };
                history.Entries.At(entry)[row % depth] = slot;
                history.TextBytes += slot.Value.HeldBytes;
            }

            history.Counts.One(entry) = kept;
        }
    }
}

/// <summary>ISFIRST: the first matching row of a key in an aligned interval (k·n, (k+1)·n].</summary>
internal sealed class IsFirstPlan : AnalyticPlan
{
    public override Analytic Create(int partitions) => new IsFirst(this, partitions);
}

internal sealed class IsFirst(IsFirstPlan plan, int partitions) : Analytic(plan, partitions)
{
    private sealed class History
    {
        public KeyMap Keys = new();
        public Chunked<long> Intervals = new();
    }

    private readonly History[] shards = [.. Enumerable.Range(0, partitions).Select(_ => new History())];

    public override long HeldBytes => shards.Sum(s => s.Keys.HeldBytes + s.Intervals.HeldBytes);

    protected override void Compute(Frame frame, out Value result)
    {
        var history = shards[Shard];
        var first = Applies == Truth.True;
        if (first)
        {
            var entry = history.Keys.Find(Key, Hash);
            first = entry < 0 || history.Intervals.One(entry) != Window.EndOf(frame.Time, plan.Limit, 0);
        }

        result = Value.Of(first ? 1L : 0L);
    }

    public override void Commit(long time)
    {
        if (Applies != Truth.True)
            return;
        var history = shards[Shard];
        var entry = history.Keys.GetOrAdd(Key, Hash, out var added);
        if (added)
            history.Intervals.Add(entry);
        history.Intervals.One(entry) = Window.EndOf(time, plan.Limit, 0);
    }

    protected override void Drop(long through)
    {
        for (var index = 0; index < shards.Length; index++)
        {
            var old = shards[index];
            var kept = new History();
            for (var entry = 0; entry < old.Keys.Count; entry++)
            {
                if (old.Intervals.One(entry) <= through)
                    continue;
                var key = old.Keys.KeyAt(entry);
                var target = kept.Keys.GetOrAdd(key, KeyMap.HashOf(key), out _);
                kept.Intervals.Add(target);
                kept.Intervals.One(target) = old.Intervals.One(entry);
            }

            shards[index] = kept;
        }
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(shards.Sum(s => s.Keys.Count));
        foreach (var history in shards)
        {
            for (var entry = 0; entry < history.Keys.Count; entry++)
            {
                writer.WriteBytes(history.Keys.KeyAt(entry));
                writer.Write(history.Intervals.One(entry));
            }
        }
    }

    public override void Load(StateReader reader)
    {
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var key = reader.ReadBytes();
            var hash = KeyMap.HashOf(key);
            var history = shards[hash % (uint)shards.Length];
            var entry = history.Keys.GetOrAdd(key, hash, out _);
            history.Intervals.Add(entry);
            history.Intervals.One(entry) = reader.ReadLong();
        }
    }
}

/// <summary>SUM, AVG, MIN, MAX, COUNT and the rankings OVER (… LIMIT DURATION …): over the rows in (t − n, t].</summary>
internal sealed class MovingPlan : AnalyticPlan
{
    public required AggregateSet Aggregate { get; init; }

    public override Analytic Create(int partitions) => new Moving(this, partitions);
}

internal sealed class Moving(MovingPlan plan, int partitions) : Analytic(plan, partitions)
{
    private sealed class History
    {
        public KeyMap Keys = new();
        public List<MovingRows> Rows = [];
    }

    private readonly History[] shards = [.. Enumerable.Range(0, partitions).Select(_ => new History())];
    private readonly Value[] arguments = new Value[plan.Aggregate.ArgumentCount];
    private readonly ulong[] words = new ulong[plan.Aggregate.Words];
    private readonly object?[] references = new object?[plan.Aggregate.References];
    private readonly Value[] results = new Value[1];

    public override long HeldBytes
    {
        get
        {
            long held = 0;
            foreach (var history in shards)
            {
                held += history.Keys.HeldBytes;
                foreach (var rows in history.Rows)
                    held += rows.HeldBytes;
            }

            return held;
        }
    }

    protected override void Compute(Frame frame, out Value result)
    {
        if (Applies == Truth.True)
            plan.Aggregate.EvaluateArguments(frame, arguments);
        Array.Clear(words);
        Array.Clear(references);
        var history = shards[Shard];
        var entry = history.Keys.Find(Key, Hash);
        if (entry >= 0)
        {
            history.Rows[entry].RemoveThrough(frame.Time - plan.Limit);
            history.Rows[entry].Accumulate(words, references);
        }

        if (Applies == Truth.True && frame.Error is null)
            plan.Aggregate.Add(words, references, arguments);
        plan.Aggregate.Results(words, references, frame, results);
        result = results[0];
    }

    public override void Commit(long time)
    {
        if (Applies != Truth.True)
            return;
        var history = shards[Shard];
        var entry = history.Keys.GetOrAdd(Key, Hash, out var added);
        if (added)
            history.Rows.Add(new MovingRows(plan.Aggregate));
        history.Rows[entry].Add(time, arguments);
    }

    protected override void Drop(long through)
    {
        for (var index = 0; index < shards.Length; index++)
        {
            var old = shards[index];
            var kept = new History();
            for (var entry = 0; entry < old.Keys.Count; entry++)
            {
                old.Rows[entry].RemoveThrough(through);
                if (old.Rows[entry].Count == 0)
                    continue;
                var key = old.Keys.KeyAt(entry);
                kept.Keys.GetOrAdd(key, KeyMap.HashOf(key), out _);
                kept.Rows.Add(old.Rows[entry]);
            }

            shards[index] = kept;
        }
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(shards.Sum(s => s.Keys.Count));
        foreach (var history in shards)
        {
            for (var entry = 0; entry < history.Keys.Count; entry++)
            {
                writer.WriteBytes(history.Keys.KeyAt(entry));
                history.Rows[entry].Save(writer);
            }
        }
    }

    public override void Load(StateReader reader)
    {
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var key = reader.ReadBytes();
            var hash = KeyMap.HashOf(key);
            var history = shards[hash % (uint)shards.Length];
            history.Keys.GetOrAdd(key, hash, out _);
            var rows = new MovingRows(plan.Aggregate);
            rows.Load(reader);
            history.Rows.Add(rows);
        }
    }
}
