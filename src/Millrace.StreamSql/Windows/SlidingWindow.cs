using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Windows;

/// <summary>
/// The rows of one key within a moving span of time, and their aggregates at constant cost per row: rows that came since the
/// last turn are accumulated in one piece (back), the others have an accumulator of themselves and all later ones up to the
/// turn (front). Nothing is subtracted, so nothing drifts. Aggregates that keep all rows are computed when asked for.
/// </summary>
internal sealed class MovingRows(AggregateSet aggregates)
{
    private struct Entry
    {
        public long Time;
        public Value[] Arguments;
        public ulong[]? Words;
        public object?[]? References;
    }

    private Entry[] entries = new Entry[2];
    private int first;
    private int turn;       // entries before it have front accumulators
    private int last;
    private ulong[]? backWords;
    private object?[]? backReferences;

    public int Count => last - first;

    public long FirstTime => entries[first].Time;

    public long HeldBytes
        => 120 + (entries.Length * 40L) + (Count * ((aggregates.ArgumentCount * 24L) + (aggregates.IsConstantSize ? aggregates.Words * 8L : 0)));

    public void Add(long time, Value[] arguments)
    {
        var own = arguments.Length == 0 ? [] : new Value[arguments.Length];
        for (var index = 0; index < own.Length; index++)
            own[index] = arguments[index].Owned();
        Append(new Entry { Time = time, Arguments = own });
        AddToBack(own);
    }

    private void Append(in Entry entry)
    {
        if (last == entries.Length)
        {
            var live = last - first;
            var target = live * 2 > entries.Length ? new Entry[entries.Length * 2] : entries;
            Array.Copy(entries, first, target, 0, live);
            if (ReferenceEquals(target, entries))
                Array.Clear(entries, live, last - live);
            entries = target;
            turn -= first;
            last = live;
            first = 0;
        }

        entries[last++] = entry;
    }

    private void AddToBack(Value[] arguments)
    {
        if (!aggregates.IsConstantSize)
            return;
        backWords ??= new ulong[aggregates.Words];
        backReferences ??= aggregates.References == 0 ? [] : new object?[aggregates.References];
        aggregates.Add(backWords, backReferences, arguments);
    }

    /// <summary>Removes rows at or before <paramref name="time"/>.</summary>
    public void RemoveThrough(long time)
    {
        while (first < last && entries[first].Time <= time)
        {
            entries[first++] = default;
            if (first > turn || (first == turn && first < last))
                Turn();
        }

        if (first == last)
        {
            first = turn = last = 0;
            ClearBack();
        }
    }

    private void Turn()
    {
        turn = last;
        ClearBack();
        if (aggregates.IsConstantSize)
            BuildFront(first, last);
    }

    private void BuildFront(int from, int to)
    {
        for (var index = to - 1; index >= from; index--)
        {
            ref var entry = ref entries[index];
            entry.Words = new ulong[aggregates.Words];
            entry.References = aggregates.References == 0 ? [] : new object?[aggregates.References];
            aggregates.Add(entry.Words, entry.References, entry.Arguments);
            if (index + 1 < to)
                aggregates.Merge(entry.Words, entry.References, entries[index + 1].Words, entries[index + 1].References);
        }
    }

    private void ClearBack()
    {
        if (backWords is not null)
            Array.Clear(backWords);
        if (backReferences is not null)
            Array.Clear(backReferences);
    }

    /// <summary>Accumulates all rows into cleared <paramref name="words"/> and <paramref name="references"/>.</summary>
    public void Accumulate(Span<ulong> words, Span<object?> references)
    {
        if (!aggregates.IsConstantSize)
        {
            for (var index = first; index < last; index++)
                aggregates.Add(words, references, entries[index].Arguments);
            return;
        }

        if (first < turn)
            aggregates.Merge(words, references, entries[first].Words, entries[first].References);
        if (turn < last)
            aggregates.Merge(words, references, backWords, backReferences);
    }

    public void Save(StateWriter writer)
    {
        writer.Write(Count);
        writer.Write(Math.Max(0, turn - first));
        for (var index = first; index < last; index++)
        {
            writer.Write(entries[index].Time);
            writer.Write(entries[index].Arguments.AsSpan());
        }
    }

    public void Load(StateReader reader)
    {
        first = turn = last = 0;
        ClearBack();
        var count = reader.ReadCount();
        var before = reader.ReadInt();
        for (var index = 0; index < count; index++)
            Append(new Entry { Time = reader.ReadLong(), Arguments = reader.ReadValues() });
        turn = Math.Clamp(before, 0, count);
        if (aggregates.IsConstantSize)
            BuildFront(0, turn);
        for (var index = turn; index < last; index++)
            AddToBack(entries[index].Arguments);
    }
}

/// <summary>Sliding windows: per group a result at every instant at which a row enters or leaves.</summary>
internal sealed class SlidingWindow(AggregateSet aggregates, int partitions, IWindowResults results, long size)
    : Window(aggregates, partitions, results)
{
    private sealed class Group
    {
        public required byte[] Key;
        public required MovingRows Rows;
        public long Touched = long.MinValue;
    }

    private sealed class Shard
    {
        public KeyMap Keys = new();
        public readonly List<Group?> Groups = [];
        public int Live;
    }

    private readonly Shard[] shards = [.. Enumerable.Range(0, partitions).Select(_ => new Shard())];
    private readonly Queue<(long Time, Group Group)> leaving = new();
    private readonly List<Group> touched = [];
    private readonly ulong[] words = new ulong[aggregates.Words];
    private readonly object?[] references = new object?[aggregates.References];
    private long instant = long.MinValue;

    public override long HeldBytes
    {
        get
        {
            var held = leaving.Count * 16L;
            foreach (var shard in shards)
            {
                held += shard.Keys.HeldBytes + (shard.Groups.Count * 8L);
                foreach (var group in shard.Groups)
                    held += group is null ? 0 : 56 + group.Key.Length + group.Rows.HeldBytes;
            }

            return held;
        }
    }

    public override void Add(long time, ReadOnlySpan<byte> key, uint hash, Value[] arguments, ReadOnlySpan<byte> session)
    {
        // Advance(time) has run: every earlier instant is finished.
        if (instant != time)
            Begin(time);
        var group = GroupOf(key, hash);
        group.Rows.Add(time, arguments);
        leaving.Enqueue((time + size, group));
        Touch(group);
    }

    private Group GroupOf(ReadOnlySpan<byte> key, uint hash)
    {
        var shard = shards[hash % (uint)shards.Length];
        var number = shard.Keys.GetOrAdd(key, hash, out var added);
        if (added)
        {
            shard.Groups.Add(null);
        }

        if (shard.Groups[number] is { } existing)
            return existing;
        var group = new Group { Key = key.ToArray(), Rows = new MovingRows(Aggregates) };
        shard.Groups[number] = group;
        shard.Live++;
        return group;
    }

    private void Touch(Group group)
    {
        if (group.Touched == instant)
            return;
        group.Touched = instant;
        touched.Add(group);
    }

    private void Begin(long time)
    {
        instant = time;
        while (leaving.TryPeek(out var next) && next.Time <= instant)
        {
            leaving.Dequeue();
            Touch(next.Group);
        }
    }

    public override void Advance(long time)
    {
        while (true)
        {
            if (touched.Count > 0)
            {
                if (instant >= time)
                    return;
                Finish();
            }

            if (!leaving.TryPeek(out var next) || next.Time >= time)
                return;
            Begin(next.Time);
        }
    }

    private void Finish()
    {
        if (touched.Count > 1)
            touched.Sort((a, b) => a.Key.AsSpan().SequenceCompareTo(b.Key));
        foreach (var group in touched)
        {
            group.Rows.RemoveThrough(instant - size);
            if (group.Rows.Count == 0)
            {
                Forget(group);
                continue;
            }

            Array.Clear(words);
            Array.Clear(references);
            group.Rows.Accumulate(words, references);
            Results.Emit(instant, group.Key, 0, words, references);
        }

        touched.Clear();
    }

    /// <summary>Empty groups go; when most of the keys are gone the map is built anew.</summary>
    private void Forget(Group group)
    {
        var hash = KeyMap.HashOf(group.Key);
        var shard = shards[hash % (uint)shards.Length];
        shard.Groups[shard.Keys.Find(group.Key, hash)] = null;
        shard.Live--;
        if (shard.Groups.Count < 1024 || shard.Live * 4 > shard.Groups.Count)
            return;
        var live = shard.Groups.Where(g => g is not null).ToList();
        shard.Keys = new KeyMap();
        shard.Groups.Clear();
        foreach (var kept in live)
        {
            shard.Keys.GetOrAdd(kept!.Key, KeyMap.HashOf(kept.Key), out _);
            shard.Groups.Add(kept);
        }
    }

    public override void Save(StateWriter writer)
    {
        var live = shards.SelectMany(s => s.Groups).OfType<Group>().ToList();
        var numbers = new Dictionary<Group, int>();
        writer.Write(instant);
        writer.Write(live.Count);
        foreach (var group in live)
        {
            numbers.Add(group, numbers.Count);
            writer.WriteBytes(group.Key);
            group.Rows.Save(writer);
        }

        writer.Write(leaving.Count);
        foreach (var (time, group) in leaving)
        {
            writer.Write(time);
            writer.Write(numbers[group]);
        }

        writer.Write(touched.Count);
        foreach (var group in touched)
            writer.Write(numbers[group]);
    }

    public override void Load(StateReader reader)
    {
        instant = reader.ReadLong();
        var count = reader.ReadCount();
        var groups = new List<Group>(count);
        for (var index = 0; index < count; index++)
        {
            var key = reader.ReadBytes();
            var group = GroupOf(key, KeyMap.HashOf(key));
            group.Rows.Load(reader);
            groups.Add(group);
        }

        count = reader.ReadCount();
        for (var index = 0; index < count; index++)
            leaving.Enqueue((reader.ReadLong(), groups[reader.ReadInt()]));
        count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var group = groups[reader.ReadInt()];
            group.Touched = instant;
            touched.Add(group);
        }
    }
}
