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

    protected int Shard => partitions == 1 ? 0 : (int)(Hash % (uint)partitions);

    public abstract long HeldBytes { get; }

    /// <summary>Whether <see cref="Announce"/> does anything.</summary>
    public virtual bool LooksAhead => false;

    /// <summary>A row with this key will come soon.</summary>
    public void Announce(Frame frame)
    {
        if (!LooksAhead)
            return;
        WriteKey(frame);
        Prefetch(KeyMap.HashOf(key.Key));
    }

    protected virtual void Prefetch(uint hash)
    {
    }

    /// <summary>Computes the value for the current row and remembers what <see cref="Commit"/> will store.</summary>
    public void Evaluate(Frame frame, out Value result)
    {
        WriteKey(frame);
        Hash = KeyMap.HashOf(key.Key);
        Applies = plan.When is null ? Truth.True : plan.When.Test(frame);
        Compute(frame, out result);
    }

    private void WriteKey(Frame frame)
    {
        key.Clear();
        foreach (var part in plan.PartitionBy)
        {
            part.Evaluate(frame, out var value);
            key.Add(value);
        }
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
    // Kept with each key: rows stored so far, then per row time, kind and bits; the newest is at (count − 1) modulo depth.
    private const int WordsPerRow = 3;

    private sealed class History(int depth)
    {
        public readonly KeyMap Keys = new(1 + (depth * WordsPerRow));

        // Bytes of texts, records and arrays; nothing until the first of them comes.
        public readonly Chunked<byte[]?> Texts = new(depth);
        public bool HasTexts;
        public long TextBytes;
    }

    private readonly LagPlan plan;
    private readonly int depth;
    private readonly History[] shards;
    private readonly AnnouncedKeys announced = new();
    private Value pending;
    private int place;

    public Lag(LagPlan plan, int partitions)
        : base(plan, partitions)
    {
        this.plan = plan;
        depth = Math.Max(1, plan.Offset);
        shards = [.. Enumerable.Range(0, partitions).Select(_ => new History(depth))];
    }

    public override long HeldBytes => shards.Sum(s => s.Keys.HeldBytes + s.Texts.HeldBytes + s.TextBytes);

    public override bool LooksAhead => plan.PartitionBy.Length > 0 && Array.TrueForAll(plan.PartitionBy, k => k is ColumnNode { Source: 0 });

    protected override void Prefetch(uint hash)
    {
        shards[hash % (uint)shards.Length].Keys.PrefetchSlot(hash);
        var arrived = announced.Next(hash);
        shards[arrived % (uint)shards.Length].Keys.PrefetchRecord(arrived);
    }

    protected override void Compute(Frame frame, out Value result)
    {
        pending = Value.Null;
        if (Applies == Truth.True)
            plan.Argument.Evaluate(frame, out pending);
        var history = shards[Shard];
        place = history.Keys.FindPlace(Key, Hash);
        if (plan.Offset == 0 && Applies == Truth.True)
        {
            result = pending;
            return;
        }

        if (place >= 0)
        {
            var words = history.Keys.WordsAt(place);
            var back = Math.Max(1, plan.Offset);
            if ((int)words[0] >= back)
            {
                var row = ((int)words[0] - back) % depth;
                if (frame.Time - TimeOf(words, row) < plan.Limit)
                {
                    result = ValueOf(history, place, row);
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
        if (place < 0)
            place = NewKey(history, Key, Hash);
        var words = history.Keys.WordsAt(place);
        var count = (int)words[0];
        Store(history, place, count % depth, time, pending.Owned());
        words[0] = (ulong)(count == int.MaxValue ? (int.MaxValue % depth) + depth : count + 1);
    }

    private static int NewKey(History history, ReadOnlySpan<byte> key, uint hash)
    {
        var place = history.Keys.PlaceOf(key, hash, out _);
        if (history.HasTexts)
            history.Texts.Add(history.Keys.NumberAt(place));
        return place;
    }

    private static long TimeOf(ReadOnlySpan<ulong> words, int row) => (long)words[1 + (row * WordsPerRow)];

    private static Value ValueOf(History history, int place, int row)
    {
        var words = history.Keys.WordsAt(place).Slice(1 + (row * WordsPerRow), WordsPerRow);
        var kind = (Kind)words[1];
        return new Value
        {
            Kind = kind,
            Bits = (long)words[2],
            Buffer = kind < Kind.Text ? null : history.Texts.At(history.Keys.NumberAt(place))[row],
        };
    }

    private static void Store(History history, int place, int row, long time, in Value value)
    {
        if (value.IsSlice && !history.HasTexts)
        {
            history.HasTexts = true;
            for (var entry = 0; entry < history.Keys.Count; entry++)
                history.Texts.Add(entry);
        }

        if (history.HasTexts)
        {
            history.TextBytes += value.HeldBytes - ValueOf(history, place, row).HeldBytes;
            history.Texts.At(history.Keys.NumberAt(place))[row] = value.Buffer;
        }

        var words = history.Keys.WordsAt(place).Slice(1 + (row * WordsPerRow), WordsPerRow);
        words[0] = (ulong)time;
        words[1] = (ulong)value.Kind;
        words[2] = (ulong)value.Bits;
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
                var target = NewKey(kept, key, KeyMap.HashOf(key));
                var source = old.Keys.PlaceOf(entry);
                kept.Keys.WordsAt(target)[0] = old.Keys.WordsAt(source)[0];
                for (var row = 0; row < depth; row++)
                    Store(kept, target, row, TimeOf(old.Keys.WordsAt(source), row), ValueOf(old, source, row));
            }

            shards[index] = kept;
        }
    }

    private long Newest(History history, int entry)
    {
        var words = history.Keys.WordsAt(history.Keys.PlaceOf(entry));
        return TimeOf(words, ((int)words[0] - 1) % depth);
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(shards.Sum(s => s.Keys.Count));
        foreach (var history in shards)
        {
            for (var entry = 0; entry < history.Keys.Count; entry++)
            {
                var source = history.Keys.PlaceOf(entry);
                var count = (int)history.Keys.WordsAt(source)[0];
                var kept = Math.Min(count, depth);
                writer.WriteBytes(history.Keys.KeyAt(entry));
                writer.Write(kept);
                for (var back = kept; back >= 1; back--)
                {
                    var row = (count - back) % depth;
                    writer.Write(TimeOf(history.Keys.WordsAt(source), row));
                    writer.Write(ValueOf(history, source, row));
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
            var kept = reader.ReadCount();
            if (!reader.Wants(key))
            {
                for (var row = 0; row < kept; row++)
                    _ = (reader.ReadLong(), reader.ReadValue());
                continue;
            }

            var history = shards[hash % (uint)shards.Length];
            var target = NewKey(history, key, hash);
            for (var row = 0; row < kept; row++)
                Store(history, target, row % depth, reader.ReadLong(), reader.ReadValue());
            history.Keys.WordsAt(target)[0] = (ulong)kept;
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
            var interval = reader.ReadLong();
            if (!reader.Wants(key))
                continue;
            var hash = KeyMap.HashOf(key);
            var history = shards[hash % (uint)shards.Length];
            var entry = history.Keys.GetOrAdd(key, hash, out _);
            history.Intervals.Add(entry);
            history.Intervals.One(entry) = interval;
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
            var rows = new MovingRows(plan.Aggregate);
            rows.Load(reader);
            if (!reader.Wants(key))
                continue;
            var hash = KeyMap.HashOf(key);
            var history = shards[hash % (uint)shards.Length];
            history.Keys.GetOrAdd(key, hash, out _);
            history.Rows.Add(rows);
        }
    }
}
