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
    private readonly int width = aggregates.ArgumentCount;
    private long[] times = [];
    private Value[] arguments = [];     // as many a row as the aggregates take
    private int first;
    private int turn;       // rows before it have front accumulators
    private int last;
    private int frontStart;     // the row whose front accumulator is the first
    private ulong[] frontWords = [];
    private object?[] frontReferences = [];
    private ulong[]? backWords;
    private object?[]? backReferences;

    public int Count => last - first;

    public long FirstTime => times[first];

    public long HeldBytes
        => 120 + (times.Length * 8L) + (arguments.Length * 24L) + (frontWords.Length * 8L) + (frontReferences.Length * 8L)
            + ((backWords?.Length ?? 0) * 8L) + ((backReferences?.Length ?? 0) * 8L);

    public void Add(long time, ReadOnlySpan<Value> row)
    {
        MakeRoom();
        times[last] = time;
        var own = arguments.AsSpan(last * width, width);
        for (var index = 0; index < own.Length; index++)
            own[index] = row[index].Owned();
        last++;
        AddToBack(own);
    }

    private void MakeRoom()
    {
        if (last < times.Length)
            return;
        var live = last - first;
        if (live * 2 <= times.Length && live > 0)
        {
            Array.Copy(times, first, times, 0, live);
            Array.Copy(arguments, first * width, arguments, 0, live * width);
            Array.Clear(arguments, live * width, (last - live) * width);
        }
        else
        {
            var capacity = Math.Max(2, times.Length + (times.Length / 2));
            var moved = new long[capacity];
            var movedArguments = width == 0 ? [] : new Value[capacity * width];
            Array.Copy(times, first, moved, 0, live);
            Array.Copy(arguments, first * width, movedArguments, 0, live * width);
            times = moved;
            arguments = movedArguments;
        }

        turn -= first;
        frontStart -= first;
        last = live;
        first = 0;
    }

    private void AddToBack(ReadOnlySpan<Value> row)
    {
        if (!aggregates.IsConstantSize)
            return;
        backWords ??= new ulong[aggregates.Words];
        backReferences ??= aggregates.References == 0 ? [] : new object?[aggregates.References];
        aggregates.Add(backWords, backReferences, row);
    }

    /// <summary>Removes rows at or before <paramref name="time"/>.</summary>
    public void RemoveThrough(long time)
    {
        while (first < last && times[first] <= time)
        {
            arguments.AsSpan(first * width, width).Clear();
            first++;
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
        var words = aggregates.Words;
        var references = aggregates.References;
        if (frontWords.Length < (to - from) * words)
        {
            frontWords = new ulong[(to - from) * words];
            frontReferences = references == 0 ? [] : new object?[(to - from) * references];
        }

        Array.Clear(frontWords);
        Array.Clear(frontReferences);
        frontStart = from;
        for (var index = to - 1; index >= from; index--)
        {
            aggregates.Add(FrontWords(index), FrontReferences(index), arguments.AsSpan(index * width, width));
            if (index + 1 < to)
                aggregates.Merge(FrontWords(index), FrontReferences(index), FrontWords(index + 1), FrontReferences(index + 1));
        }
    }

    private Span<ulong> FrontWords(int row) => frontWords.AsSpan((row - frontStart) * aggregates.Words, aggregates.Words);

    private Span<object?> FrontReferences(int row)
        => frontReferences.AsSpan((row - frontStart) * aggregates.References, aggregates.References);

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
                aggregates.Add(words, references, arguments.AsSpan(index * width, width));
            return;
        }

        if (first < turn)
            aggregates.Merge(words, references, FrontWords(first), FrontReferences(first));
        if (turn < last)
            aggregates.Merge(words, references, backWords, backReferences);
    }

    public void Save(StateWriter writer)
    {
        writer.Write(Count);
        writer.Write(Math.Max(0, turn - first));
        for (var index = first; index < last; index++)
        {
            writer.Write(times[index]);
            writer.Write(arguments.AsSpan(index * width, width));
        }
    }

    public void Load(StateReader reader)
    {
        first = turn = last = 0;
        ClearBack();
        var count = reader.ReadCount();
        turn = Math.Clamp(reader.ReadInt(), 0, count);
        for (var index = 0; index < count; index++)
        {
            MakeRoom();
            times[last] = reader.ReadLong();
            if (reader.ReadValues() is var row && row.Length != width)
                throw new InvalidDataException("the snapshot is damaged: a row has too many or too few values");
            row.CopyTo(arguments.AsSpan(last * width, width));
            last++;
        }

        if (aggregates.IsConstantSize)
            BuildFront(0, turn);
        for (var index = turn; index < last; index++)
            AddToBack(arguments.AsSpan(index * width, width));
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
        var saved = reader.ReadLong();
        var groups = new Group?[reader.ReadCount()];
        for (var index = 0; index < groups.Length; index++)
        {
            var key = reader.ReadBytes();
            var rows = new MovingRows(Aggregates);
            rows.Load(reader);
            if (!reader.Wants(key))
                continue;
            groups[index] = GroupOf(key, KeyMap.HashOf(key));
            groups[index]!.Rows = rows;
        }

        var isFirst = leaving.Count == 0;
        for (var count = reader.ReadCount(); count > 0; count--)
        {
            var time = reader.ReadLong();
            if (groups[reader.ReadInt()] is { } group)
                leaving.Enqueue((time, group));
        }

        if (!isFirst)
            SortLeaving();
        for (var count = reader.ReadCount(); count > 0; count--)
        {
            if (groups[reader.ReadInt()] is not { } group)
                continue;
            group.Touched = saved;
            touched.Add(group);
        }

        // Where one part has begun an instant, it has begun for all.
        instant = Math.Max(instant, saved);
        if (touched.Count > 0)
            Begin(instant);
    }

    private void SortLeaving()
    {
        var ordered = leaving.OrderBy(l => l.Time).ToList();
        leaving.Clear();
        ordered.ForEach(leaving.Enqueue);
    }
}
