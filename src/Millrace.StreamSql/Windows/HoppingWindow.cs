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
    // Kept with each key: in how many panes it is, the end of the newest of them, and its place there.
    private const int MemberWords = 3;
    private const int Panes = 0;
    private const int NewestEnd = 1;
    private const int NewestPlace = 2;

    private readonly long size;
    private readonly long hop;
    private readonly long offset;
    private readonly long pane;
    private readonly List<Pane> panes = [];     // oldest first
    private readonly Stack<Pane> spare = new();
    private readonly Accumulators combined;
    private readonly KeyOrder order = new();
    private readonly List<KeyMap> sorted = [];      // the one map, as the order takes it
    private readonly RowPipeline pipeline;
    private KeyMap keys = new(MemberWords);
    private int live;                       // groups that some pane holds
    private int ordered = -1;               // number of keys when they were sorted last
    private long next = long.MinValue;      // end of the next window that can hold rows

    /// <summary>Accumulators by place; references only once a value needs one.</summary>
    private sealed class Accumulators(AggregateSet aggregates)
    {
        private readonly Chunked<ulong> words = new(aggregates.Words);
        private readonly Chunked<object?> references = new(aggregates.References);

        public int Count { get; private set; }

        public bool HasReferences { get; private set; }

        public long HeldBytes => words.HeldBytes + references.HeldBytes;

        public int Add()
        {
            words.Add(Count);
            if (HasReferences)
                references.Add(Count);
            return Count++;
        }

        public Span<ulong> Words(int place) => words.At(place);

        public Span<object?> References(int place) => HasReferences ? references.At(place) : [];

        public void MakeReferences()
        {
            for (var place = 0; place < Count && !HasReferences; place++)
                references.Add(place);
            HasReferences = true;
        }

        public void Add(int place, ReadOnlySpan<Value> arguments)
        {
            if (!HasReferences && aggregates.NeedsReferences(arguments))
                MakeReferences();
            aggregates.Add(Words(place), References(place), arguments);
        }

        public void Merge(int place, Accumulators later, int laterPlace)
            => aggregates.Merge(Words(place), References(place), later.Words(laterPlace), later.References(laterPlace));

        public void Clear()
        {
            for (var place = 0; place < Count && HasReferences; place++)
                references.At(place).Clear();
            Count = 0;
        }
    }

    private sealed class Pane(AggregateSet aggregates)
    {
        private readonly Chunked<int> groups = new();

        public long End;

        public Accumulators Values { get; } = new(aggregates);

        public int Count => Values.Count;

        public long HeldBytes => groups.HeldBytes + Values.HeldBytes;

        public ref int Group(int place) => ref groups.One(place);

        public int Add(int group)
        {
            groups.Add(Count);
            groups.One(Count) = group;
            return Values.Add();
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
        pipeline = new RowPipeline(aggregates.ArgumentCount);
        sorted.Add(keys);
    }

    public override long HeldBytes
        => panes.Sum(p => p.HeldBytes) + spare.Sum(p => p.HeldBytes) + combined.HeldBytes + keys.HeldBytes;

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
            Drain();
            panes.Add(NewPane(paneEnd));
            if (panes.Count == 1)
                next = end;
        }

        if (keys.Count < RowPipeline.KeysMin || !pipeline.TryAdd(key, hash, arguments))
        {
            Drain();
            Add(key, hash, arguments);
            return;
        }

        keys.PrefetchSlot(hash);
        if (pipeline.TryGetArrived(out var arrived))
            keys.PrefetchRecord(arrived);
        if (pipeline.IsFull)
            AddOldest();
    }

    private void Add(ReadOnlySpan<byte> key, uint hash, ReadOnlySpan<Value> arguments)
        => panes[^1].Values.Add(PlaceOf(panes[^1], key, hash), arguments);

    private void AddOldest()
    {
        pipeline.Remove(out var key, out var hash, out var row);
        Add(key, hash, row);
    }

    private void Drain()
    {
        while (pipeline.Count > 0)
            AddOldest();
    }

    private Pane NewPane(long end)
    {
        var result = spare.Count > 0 ? spare.Pop() : new Pane(Aggregates);
        result.End = end;
        return result;
    }

    private int PlaceOf(Pane newest, ReadOnlySpan<byte> key, uint hash)
    {
        var record = keys.PlaceOf(key, hash, out _);
        var member = keys.WordsAt(record);
        if (member[Panes] > 0 && (long)member[NewestEnd] == newest.End)
            return (int)member[NewestPlace];
        live += member[Panes]++ == 0 ? 1 : 0;
        member[NewestEnd] = (ulong)newest.End;
        var place = newest.Add(keys.NumberAt(record));
        member[NewestPlace] = (ulong)place;
        return place;
    }

    private ref ulong PanesOf(int group) => ref keys.WordsAt(keys.PlaceOf(group))[Panes];

    public override void Advance(long time)
    {
        while (panes.Count > 0 && next < time)
        {
            Drain();
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
            combined.Add();
        foreach (var part in panes)
        {
            if (part.Values.HasReferences)
                combined.MakeReferences();
            for (var place = 0; place < part.Count; place++)
                combined.Merge(part.Group(place), part.Values, place);
        }

        // The keys of one window are mostly those of the last.
        if (ordered != keys.Count)
            order.Sort(sorted);
        ordered = keys.Count;
        var items = order.Sorted;
        for (var index = 0; index < items.Length; index++)
        {
            if (index + PrefetchDistance < items.Length)
                keys.PrefetchPlace(KeyOrder.PlaceOf(items[index + PrefetchDistance]));
            var record = KeyOrder.PlaceOf(items[index]);
            if (keys.WordsAt(record)[Panes] == 0)
                continue;
            var group = keys.NumberAt(record);
            var (bytes, at) = keys.Locate(record);
            Results.Emit(next, bytes, at, combined.Words(group), combined.References(group));
        }

        combined.Clear();
    }

    private void Leave(Pane old)
    {
        for (var place = 0; place < old.Count; place++)
            live -= --PanesOf(old.Group(place)) == 0 ? 1 : 0;
        old.Values.Clear();
        spare.Push(old);
    }

    private void ForgetEmptyGroups()
    {
        var old = keys;
        var numbers = new int[old.Count];
        keys = sorted[0] = new KeyMap(MemberWords);
        ordered = -1;
        for (var group = 0; group < old.Count; group++)
        {
            var member = old.WordsAt(old.PlaceOf(group));
            if (member[Panes] == 0)
                continue;
            var key = old.KeyAt(group);
            var record = keys.PlaceOf(key, KeyMap.HashOf(key), out _);
            member.CopyTo(keys.WordsAt(record));
            numbers[group] = keys.NumberAt(record);
        }

        foreach (var part in panes)
        {
            for (var place = 0; place < part.Count; place++)
                part.Group(place) = numbers[part.Group(place)];
        }
    }

    public override void Save(StateWriter writer)
    {
        Drain();
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
        var end = reader.ReadLong();
        var count = reader.ReadCount();
        if (count > 0)
            next = panes.Count == 0 ? end : Math.Min(next, end);
        for (; count > 0; count--)
        {
            var part = PaneOf(reader.ReadLong());
            if (Aggregates.References > 0)
                part.Values.MakeReferences();
            for (var shards = reader.ReadInt(); shards > 0; shards--)
            {
                for (var groups = reader.ReadCount(); groups > 0; groups--)
                {
                    var key = reader.ReadBytes();
                    if (!reader.Wants(key))
                    {
                        Aggregates.Load(reader, new ulong[Aggregates.Words], new object?[Aggregates.References]);
                        continue;
                    }

                    var place = PlaceOf(part, key, KeyMap.HashOf(key));
                    Aggregates.Load(reader, part.Values.Words(place), part.Values.References(place));
                }
            }
        }
    }

    private Pane PaneOf(long end)
    {
        var index = panes.FindIndex(p => p.End >= end);
        if (index >= 0 && panes[index].End == end)
            return panes[index];
        var added = NewPane(end);
        panes.Insert(index < 0 ? panes.Count : index, added);
        return added;
    }
}
