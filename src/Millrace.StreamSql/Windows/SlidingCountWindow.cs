using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Windows;

/// <summary>
/// Sliding windows of which only the number of rows is asked: <see cref="SlidingWindow"/> without the rows. Rows leave in the
/// order in which they came, so one queue of times and groups serves all groups, and a group is a number. Hot.
/// </summary>
internal sealed class SlidingCountWindow : Window
{
    // Kept with each key: the number of its rows; the top bit: it is in the list of touched groups. A group is its key's place.
    private const ulong TouchedFlag = 1UL << 63;

    private readonly long size;
    private readonly Comparison<int> byKey;
    private readonly RowQueue rows = new();
    private readonly AnnouncedKeys announced = new();
    private readonly List<int> touched = [];
    private readonly ulong[] words;
    private readonly object?[] references;
    private KeyMap keys = new(1);
    private int live;
    private long instant = long.MinValue;

    public SlidingCountWindow(AggregateSet aggregates, int partitions, IWindowResults results, long size)
        : base(aggregates, partitions, results)
    {
        this.size = size;
        words = new ulong[aggregates.Words];
        references = new object?[aggregates.References];
        byKey = (a, b) => keys.KeyAtPlace(a).SequenceCompareTo(keys.KeyAtPlace(b));
    }

    /// <summary>Times and groups of the rows in the window, oldest first, in blocks that are used again.</summary>
    private sealed class RowQueue
    {
        private const int BlockRows = 4096;

        private sealed class Block
        {
            public readonly long[] Times = new long[BlockRows];
            public readonly int[] Groups = new int[BlockRows];
        }

        private readonly Queue<Block> blocks = new();
        private Block? head;
        private Block? tail;
        private Block? spare;
        private int first;
        private int next = BlockRows;

        public int Count { get; private set; }

        public long HeldBytes => (blocks.Count + (spare is null ? 0 : 1)) * BlockRows * 12L;

        public long FirstTime => head!.Times[first];

        public void Add(long time, int group)
        {
            if (next == BlockRows)
            {
                tail = spare ?? new Block();
                spare = null;
                blocks.Enqueue(tail);
                head ??= tail;
                next = 0;
            }

            tail!.Times[next] = time;
            tail.Groups[next++] = group;
            Count++;
        }

        public int Remove()
        {
            var group = head!.Groups[first++];
            Count--;
            if (first == BlockRows || Count == 0)
            {
                spare = blocks.Dequeue();
                first = 0;
                if (!blocks.TryPeek(out head))
                    next = BlockRows;
            }

            return group;
        }

        /// <summary>The group of a row further behind in the oldest block.</summary>
        public bool TryGetAhead(int distance, out int group)
        {
            var index = first + distance;
            var exists = index < BlockRows && distance < Count;
            group = exists ? head!.Groups[index] : -1;
            return exists;
        }

        /// <summary>Every row, oldest first; <paramref name="change"/> gives each its new group.</summary>
        public void ForEach(Func<long, int, int> change)
        {
            var index = first;
            var left = Count;
            foreach (var block in blocks)
            {
                for (; index < BlockRows && left > 0; index++, left--)
                    block.Groups[index] = change(block.Times[index], block.Groups[index]);
                index = 0;
            }
        }
    }

    public override long HeldBytes => rows.HeldBytes + keys.HeldBytes;

    public override bool LooksAhead => true;

    public override void Announce(uint hash)
    {
        keys.PrefetchSlot(hash);
        keys.PrefetchRecord(announced.Next(hash));
    }

    public override void Add(long time, ReadOnlySpan<byte> key, uint hash, Value[] arguments, ReadOnlySpan<byte> session)
    {
        // Advance(time) has run: every earlier instant is finished.
        if (instant != time)
            Begin(time);
        var group = GroupOf(key, hash);
        rows.Add(time, group);
        ref var count = ref CountOf(group);
        live += (count & ~TouchedFlag) == 0 ? 1 : 0;
        count++;
        Touch(group, ref count);
    }

    private int GroupOf(ReadOnlySpan<byte> key, uint hash) => keys.PlaceOf(key, hash, out _);

    private ref ulong CountOf(int group) => ref keys.WordsAt(group)[0];

    private void Touch(int group, ref ulong count)
    {
        if ((count & TouchedFlag) != 0)
            return;
        count |= TouchedFlag;
        touched.Add(group);
    }

    private void Begin(long time)
    {
        instant = time;
        while (rows.Count > 0 && rows.FirstTime <= instant - size)
        {
            var group = rows.Remove();
            if (rows.TryGetAhead(PrefetchDistance, out var ahead))
                keys.PrefetchPlace(ahead);
            ref var count = ref CountOf(group);
            count--;
            live -= (count & ~TouchedFlag) == 0 ? 1 : 0;
            Touch(group, ref count);
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

            if (rows.Count == 0 || rows.FirstTime >= time - size)
                return;
            Begin(rows.FirstTime + size);
        }
    }

    private void Finish()
    {
        if (touched.Count > 1)
            touched.Sort(byKey);
        foreach (var group in touched)
        {
            ref var count = ref CountOf(group);
            count &= ~TouchedFlag;
            if (count == 0)
                continue;
            words.AsSpan().Fill(count);
            var (bytes, offset) = keys.Locate(group);
            Results.Emit(instant, bytes, offset, words, references);
        }

        touched.Clear();
        if (keys.Count >= 1024 && live * 4 <= keys.Count)
            ForgetEmptyGroups();
    }

    private void ForgetEmptyGroups()
    {
        var old = keys;
        keys = new KeyMap(1);
        rows.ForEach((_, group) =>
        {
            var key = old.KeyAtPlace(group);
            var kept = GroupOf(key, KeyMap.HashOf(key));
            CountOf(kept) = old.WordsAt(group)[0];
            return kept;
        });
    }

    // As SlidingWindow writes it: groups with their rows, the rows that will leave, the groups touched.
    public override void Save(StateWriter writer)
    {
        var times = new SortedDictionary<int, List<long>>();
        foreach (var group in touched)
            times.Add(group, []);
        rows.ForEach((time, group) =>
        {
            if (!times.TryGetValue(group, out var list))
                times.Add(group, list = []);
            list.Add(time);
            return group;
        });

        var numbers = new Dictionary<int, int>();
        writer.Write(instant);
        writer.Write(times.Count);
        foreach (var (group, list) in times)
        {
            numbers.Add(group, numbers.Count);
            writer.WriteBytes(keys.KeyAtPlace(group));
            writer.Write(list.Count);
            writer.Write(0);
            foreach (var time in list)
            {
                writer.Write(time);
                writer.Write(ReadOnlySpan<Value>.Empty);
            }
        }

        writer.Write(rows.Count);
        rows.ForEach((time, group) =>
        {
            writer.Write(time + size);
            writer.Write(numbers[group]);
            return group;
        });
        writer.Write(touched.Count);
        foreach (var group in touched)
            writer.Write(numbers[group]);
    }

    public override void Load(StateReader reader)
    {
        const int unwanted = -1;
        var saved = reader.ReadLong();
        var groups = new int[reader.ReadCount()];
        for (var index = 0; index < groups.Length; index++)
        {
            var key = reader.ReadBytes();
            groups[index] = reader.Wants(key) ? GroupOf(key, KeyMap.HashOf(key)) : unwanted;
            var count = reader.ReadCount();
            _ = reader.ReadInt();
            for (; count > 0; count--)
            {
                _ = reader.ReadLong();
                _ = reader.ReadValues();
            }
        }

        var all = new List<(long Time, int Group)>();
        rows.ForEach((time, group) =>
        {
            all.Add((time, group));
            return group;
        });
        while (rows.Count > 0)
            rows.Remove();
        for (var count = reader.ReadCount(); count > 0; count--)
        {
            var time = reader.ReadLong() - size;
            var group = groups[reader.ReadInt()];
            if (group == unwanted)
                continue;
            all.Add((time, group));
            live += (CountOf(group)++ & ~TouchedFlag) == 0 ? 1 : 0;
        }

        foreach (var (time, group) in all.OrderBy(r => r.Time))
            rows.Add(time, group);
        for (var count = reader.ReadCount(); count > 0; count--)
        {
            var group = groups[reader.ReadInt()];
            if (group != unwanted)
                Touch(group, ref CountOf(group));
        }

        // Where one part has begun an instant, it has begun for all.
        instant = Math.Max(instant, saved);
        if (touched.Count > 0)
            Begin(instant);
    }
}
