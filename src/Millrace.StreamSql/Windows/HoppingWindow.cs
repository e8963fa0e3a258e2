using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Windows;

/// <summary>
/// Hopping windows: rows go into panes of the greatest common divisor of size and hop; a window combines its panes. A group has
/// one number in all panes, so a row costs one search of its key and combining none. Hot.
/// </summary>
internal sealed class HoppingWindow : Window
{
    private readonly long size;
    private readonly long hop;
    private readonly long offset;
    private readonly long pane;
    private readonly List<Pane> panes = [];     // oldest first
    private readonly Stack<Pane> spare = new();
    private readonly Accumulators combined;
    private readonly KeyOrder order = new();
    private readonly List<KeyMap> sorted = [];      // the one map, as the order takes it
    private KeyMap keys = new();
    private Chunked<Member> members = new();
    private int live;                       // groups that some pane holds
    private int ordered = -1;               // number of keys when they were sorted last
    private long next = long.MinValue;      // end of the next window that can hold rows

    private struct Member
    {
        /// <summary>Panes that hold the group.</summary>
        public int Panes;

        /// <summary>Its place in the newest pane, if that pane says the same of the place.</summary>
        public int Place;
    }

    private sealed class Accumulators(AggregateSet aggregates)
    {
        private readonly Chunked<ulong> words = new(aggregates.Words);
        private readonly Chunked<object?> references = new(aggregates.References);

        public long HeldBytes => words.HeldBytes + references.HeldBytes;

        public void Add(int place)
        {
            words.Add(place);
            if (aggregates.References > 0)
                references.Add(place);
        }

        public Span<ulong> Words(int place) => words.At(place);

        public Span<object?> References(int place) => aggregates.References == 0 ? [] : references.At(place);
    }

    private sealed class Pane(AggregateSet aggregates)
    {
        private readonly Chunked<int> groups = new();

        public long End;

        public int Count { get; private set; }

        public Accumulators Values { get; } = new(aggregates);

        public long HeldBytes => groups.HeldBytes + Values.HeldBytes;

        public ref int Group(int place) => ref groups.One(place);

        public bool Holds(int group, int place) => place < Count && groups.One(place) == group;

        public int Add(int group)
        {
            groups.Add(Count);
            groups.One(Count) = group;
            Values.Add(Count);
            return Count++;
        }

        public void Clear()
        {
            for (var place = 0; place < Count; place++)
                Values.References(place).Clear();
            Count = 0;
        }
    }

    public HoppingWindow(AggregateSet aggregates, int partitions, IWindowResults results, long size, long hop, long offset)
        : base(aggregates, partitions, results)
    {
        this.size = size;
        this.hop = hop;
        this.offset = offset;
        pane = Divisor(size, hop);
        combined = new Accumulators(aggregates);
        sorted.Add(keys);
    }

    public override long HeldBytes
        => panes.Sum(p => p.HeldBytes) + spare.Sum(p => p.HeldBytes) + combined.HeldBytes + keys.HeldBytes + members.HeldBytes;

    private static long Divisor(long a, long b)
    {
        while (b != 0)
            (a, b) = (b, a % b);
        return a;
    }

    public override void Add(long time, ReadOnlySpan<byte> key, uint hash, Value[] arguments, ReadOnlySpan<byte> session)
    {
        var end = EndOf(time, hop, offset);
        if (time <= end - size)
            return;     // hop > size leaves gaps
        var paneEnd = EndOf(time, pane, offset);
        if (panes.Count == 0 || panes[^1].End != paneEnd)
        {
            panes.Add(NewPane(paneEnd));
            if (panes.Count == 1)
                next = end;
        }

        var newest = panes[^1];
        var place = PlaceOf(newest, key, hash);
        Aggregates.Add(newest.Values.Words(place), newest.Values.References(place), arguments);
    }

    private Pane NewPane(long end)
    {
        var result = spare.Count > 0 ? spare.Pop() : new Pane(Aggregates);
        result.End = end;
        return result;
    }

    private int PlaceOf(Pane newest, ReadOnlySpan<byte> key, uint hash)
    {
        var group = keys.GetOrAdd(key, hash, out var added);
        if (added)
            members.Add(group);
        ref var member = ref members.One(group);
        if (member.Panes > 0 && newest.Holds(group, member.Place))
            return member.Place;
        member.Place = newest.Add(group);
        live += member.Panes++ == 0 ? 1 : 0;
        return member.Place;
    }

    public override void Advance(long time)
    {
        while (panes.Count > 0 && next < time)
        {
            Combine();
            next += hop;
            while (panes.Count > 0 && panes[0].End <= next - size)
            {
                Leave(panes[0]);
                panes.RemoveAt(0);
            }

            if (panes.Count > 0)
                next = Math.Max(next, EndOf(panes[0].End, hop, offset));
        }

        if (keys.Count >= 1024 && live * 4 <= keys.Count)
            ForgetEmptyGroups();
    }

    /// <summary>Emits the window that ends at <see cref="next"/>: no pane begins after it, and those before it are gone.</summary>
    private void Combine()
    {
        for (var group = 0; group < keys.Count; group++)
            combined.Add(group);
        foreach (var part in panes)
        {
            for (var place = 0; place < part.Count; place++)
            {
                var group = part.Group(place);
                Aggregates.Merge(combined.Words(group), combined.References(group), part.Values.Words(place), part.Values.References(place));
            }
        }

        // The keys of one window are mostly those of the last.
        if (ordered != keys.Count)
            order.Sort(sorted);
        ordered = keys.Count;
        foreach (var item in order.Sorted)
        {
            var group = KeyOrder.NumberOf(item);
            if (members.One(group).Panes == 0)
                continue;
            var (bytes, at, _) = keys.Locate(group);
            Results.Emit(next, bytes, at, combined.Words(group), combined.References(group));
        }

        for (var group = 0; group < keys.Count; group++)
            combined.References(group).Clear();
    }

    private void Leave(Pane old)
    {
        for (var place = 0; place < old.Count; place++)
            live -= --members.One(old.Group(place)).Panes == 0 ? 1 : 0;
        old.Clear();
        spare.Push(old);
    }

    private void ForgetEmptyGroups()
    {
        var old = keys;
        var oldMembers = members;
        var numbers = new int[old.Count];
        keys = sorted[0] = new KeyMap();
        members = new Chunked<Member>();
        ordered = -1;
        for (var group = 0; group < old.Count; group++)
        {
            if (oldMembers.One(group).Panes == 0)
                continue;
            var key = old.KeyAt(group);
            numbers[group] = keys.GetOrAdd(key, KeyMap.HashOf(key), out _);
            members.Add(numbers[group]);
            members.One(numbers[group]) = oldMembers.One(group);
        }

        foreach (var part in panes)
        {
            for (var place = 0; place < part.Count; place++)
                part.Group(place) = numbers[part.Group(place)];
        }
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(next);
        writer.Write(panes.Count);
        foreach (var part in panes)
        {
            writer.Write(part.End);
            writer.Write(1);        // one shard
            writer.Write(part.Count);
            for (var place = 0; place < part.Count; place++)
            {
                writer.WriteBytes(keys.KeyAt(part.Group(place)));
                Aggregates.Save(writer, part.Values.Words(place), part.Values.References(place));
            }
        }
    }

    public override void Load(StateReader reader)
    {
        next = reader.ReadLong();
        for (var count = reader.ReadCount(); count > 0; count--)
        {
            var part = NewPane(reader.ReadLong());
            panes.Add(part);
            for (var shards = reader.ReadInt(); shards > 0; shards--)
            {
                for (var groups = reader.ReadCount(); groups > 0; groups--)
                {
                    var key = reader.ReadBytes();
                    var place = PlaceOf(part, key, KeyMap.HashOf(key));
                    Aggregates.Load(reader, part.Values.Words(place), part.Values.References(place));
                }
            }
        }
    }
}
