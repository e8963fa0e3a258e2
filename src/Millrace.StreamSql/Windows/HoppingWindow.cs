using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Windows;

/// <summary>
/// Hopping windows: rows go into panes of the greatest common divisor of size and hop; a window combines its panes. The newest
/// pane has its accumulators beside the keys; those that take no more rows are packed in order of the keys, so a window reads
/// them side by side from front to back. Hot.
/// </summary>
internal sealed class HoppingWindow : Window
{
    /// <summary>With fewer keys those without a group are not worth forgetting.</summary>
    private const int ForgetKeysMin = 1024;

    private readonly long size;
    private readonly long hop;
    private readonly long offset;
    private readonly long pane;
    private readonly List<PackedPane> panes = [];     // oldest first
    private readonly Stack<PackedPane> spare = new();
    private readonly GroupSet openGroups = new();
    private readonly ulong[] usedBits;
    private readonly ulong[] words;
    private readonly ulong[] combinedWords;
    private readonly object?[] combinedReferences;
    private readonly KeyOrder order = new();
    private readonly List<KeyMap> sorted = [];      // the one map, as the order takes it
    private readonly RowPipeline pipeline;
    private GroupTable open;                // keys of all panes, accumulators of the one that takes rows
    private long openEnd;
    private bool isOpen;
    private int ordered = -1;               // number of keys when they were sorted last
    private long next = long.MinValue;      // end of the next window that can hold rows

    /// <summary>Groups by number.</summary>
    private sealed class GroupSet
    {
        private ulong[] bits = [];

        public int Count { get; private set; }

        public int Highest { get; private set; }

        public long HeldBytes => bits.Length * 8L;

        public bool Contains(int group) => group >> 6 < bits.Length && (bits[group >> 6] & (1UL << group)) != 0;

        public void Add(int group)
        {
            if (group >> 6 >= bits.Length)
                Array.Resize(ref bits, Math.Max(bits.Length * 2, (group >> 6) + 1));
            ref var word = ref bits[group >> 6];
            if ((word & (1UL << group)) != 0)
                return;
            word |= 1UL << group;
            Count++;
            Highest = Math.Max(Highest, group);
        }

        public void Clear()
        {
            Array.Clear(bits);
            Count = Highest = 0;
        }
    }

    public HoppingWindow(AggregateSet aggregates, int partitions, IWindowResults results, long size, long hop, long offset)
        : base(aggregates, partitions, results)
    {
        this.size = size;
        this.hop = hop;
        this.offset = offset;
        pane = Divisor(size, hop);
        usedBits = new ulong[aggregates.Words];
        words = new ulong[aggregates.Words];
        combinedWords = new ulong[aggregates.Words];
        combinedReferences = new object?[aggregates.References];
        pipeline = new RowPipeline(aggregates.ArgumentCount);
        open = new GroupTable(aggregates, isDense: true);
        sorted.Add(open.Keys);
    }

    public override long HeldBytes
        => panes.Sum(p => p.HeldBytes) + spare.Sum(p => p.HeldBytes) + open.HeldBytes + openGroups.HeldBytes;

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
        if (!isOpen || openEnd != paneEnd)
        {
            Open(paneEnd);
            if (panes.Count == 0)
                next = end;
        }

        if (open.Count < RowPipeline.KeysMin || !pipeline.TryAdd(key, hash, arguments))
        {
            Drain();
            Add(key, hash, arguments);
            return;
        }

        open.Keys.PrefetchSlot(hash);
        if (pipeline.TryGetArrived(out var arrived))
            open.Keys.PrefetchRecord(arrived);
        if (pipeline.IsFull)
            AddOldest();
    }

    private void Add(ReadOnlySpan<byte> key, uint hash, ReadOnlySpan<Value> arguments)
        => openGroups.Add(open.Keys.NumberAt(open.Add(key, hash, arguments)));

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

    /// <summary>Makes a pane the one that takes rows. It is there already only when the state of several shards is loaded.</summary>
    private void Open(long end)
    {
        Close();
        openEnd = end;
        isOpen = true;
        var index = IndexFor(end);
        if (index == panes.Count || panes[index].End != end)
            return;
        var packed = panes[index];
        for (packed.Rewind(); packed.Group >= 0; packed.MoveNext())
        {
            packed.Read(words);
            open.Merge(open.Keys.KeyAt(packed.Group), words, packed.References);
            openGroups.Add(packed.Group);
        }

        Leave(index);
    }

    /// <summary>Index of the first pane that does not end before a time.</summary>
    private int IndexFor(long end)
    {
        var index = panes.Count;
        while (index > 0 && panes[index - 1].End >= end)
            index--;
        return index;
    }

    private void Leave(int index)
    {
        panes[index].Clear();
        spare.Push(panes[index]);
        panes.RemoveAt(index);
    }

    /// <summary>Packs the pane that takes rows; it takes no more.</summary>
    private void Close()
    {
        if (!isOpen)
            return;
        Drain();
        isOpen = false;
        Array.Clear(usedBits);
        for (var group = 0; group <= openGroups.Highest; group++)
        {
            if (!openGroups.Contains(group))
                continue;
            var held = open.Words(group);
            for (var index = 0; index < held.Length; index++)
                usedBits[index] |= PackedPane.Turned(held[index]);
        }

        var packed = spare.Count > 0 ? spare.Pop() : new PackedPane(Aggregates);
        packed.Begin(openEnd, openGroups.Count, openGroups.Highest, usedBits, open.HasReferences);
        var items = Sorted();
        for (var index = 0; index < items.Length; index++)
        {
            Prefetch(items, index);
            var place = KeyOrder.PlaceOf(items[index]);
            var group = open.Keys.NumberAt(place);
            if (!openGroups.Contains(group))
                continue;
            packed.Add(group, open.Keys.WordsAt(place), open.ReferencesAt(place));
            open.Keys.WordsAt(place).Clear();
            open.ReferencesAt(place).Clear();
        }

        openGroups.Clear();
        panes.Insert(IndexFor(openEnd), packed);
    }

    /// <summary>All keys in order. The keys of one pane are mostly those of the last.</summary>
    private ReadOnlySpan<long> Sorted()
    {
        if (ordered != open.Count)
            order.Sort(sorted);
        ordered = open.Count;
        return order.Sorted;
    }

    private void Prefetch(ReadOnlySpan<long> items, int index)
    {
        if (index + PrefetchDistance < items.Length)
            open.Keys.PrefetchPlace(KeyOrder.PlaceOf(items[index + PrefetchDistance]));
    }

    public override void Advance(long time)
    {
        while ((isOpen || panes.Count > 0) && next < time)
        {
            Drain();
            var emitted = Combine();
            next += hop;
            while (panes.Count > 0 && panes[0].End <= next - size)
                Leave(0);

            if (openEnd > next - size)
                Close();
            isOpen = false;
            if (panes.Count == 0)
                ForgetAllGroups();
            else
                next = Math.Max(next, EndOf(panes[0].End, hop, offset));
            if (open.Count >= ForgetKeysMin && emitted * 4 <= open.Count)
                ForgetEmptyGroups();
        }
    }

    /// <summary>Emits the window that ends at <see cref="next"/>: no pane begins after it, and those before it are gone.</summary>
    private int Combine()
    {
        var emitted = 0;
        var haveReferences = open.HasReferences;
        foreach (var part in panes)
        {
            part.Rewind();
            haveReferences |= part.HasReferences;
        }

        var items = Sorted();
        for (var index = 0; index < items.Length; index++)
        {
            Prefetch(items, index);
            var place = KeyOrder.PlaceOf(items[index]);
            if (!TryCombine(place, haveReferences ? combinedReferences : []))
                continue;
            var (bytes, at) = open.Keys.Locate(place);
            Results.Emit(next, bytes, at, combinedWords, haveReferences ? combinedReferences : []);
            emitted++;
        }

        return emitted;
    }

    /// <summary>
    /// Combines a group of the panes whose cursors have come to it and of the one that takes rows; false when it is in none.
    /// </summary>
    private bool TryCombine(int place, Span<object?> references)
    {
        var group = open.Keys.NumberAt(place);
        var found = false;
        combinedWords.AsSpan().Clear();
        references.Clear();
        foreach (var part in panes)
        {
            if (part.Group != group)
                continue;
            found = true;
            part.Read(words);
            Aggregates.Merge(combinedWords, references, words, part.References);
            part.MoveNext();
        }

        if (!openGroups.Contains(group))
            return found;
        Aggregates.Merge(combinedWords, references, open.Keys.WordsAt(place), open.ReferencesAt(place));
        return true;
    }

    private void ForgetAllGroups()
    {
        open.Clear();
        openGroups.Clear();
        ordered = -1;
    }

    private void ForgetEmptyGroups()
    {
        var old = open.Keys;
        var numbers = new int[old.Count];
        foreach (var part in panes)
        {
            for (part.Rewind(); part.Group >= 0; part.MoveNext())
                numbers[part.Group] = 1;
        }

        open = new GroupTable(Aggregates, isDense: true);
        sorted[0] = open.Keys;
        ordered = -1;
        for (var group = 0; group < numbers.Length; group++)
        {
            if (numbers[group] == 0)
                continue;
            var key = old.KeyAt(group);
            numbers[group] = open.Keys.GetOrAdd(key, KeyMap.HashOf(key), out _);
        }

        foreach (var part in panes)
            part.Renumber(numbers);
    }

    public override void Save(StateWriter writer)
    {
        Drain();
        writer.Write(next);
        writer.Write(panes.Count + (isOpen ? 1 : 0));
        foreach (var part in panes)
        {
            WritePane(writer, part.End, part.Count);
            for (part.Rewind(); part.Group >= 0; part.MoveNext())
            {
                part.Read(words);
                writer.WriteBytes(open.Keys.KeyAt(part.Group));
                Aggregates.Save(writer, words, part.References);
            }
        }

        if (!isOpen)
            return;
        WritePane(writer, openEnd, openGroups.Count);
        for (var group = 0; group <= openGroups.Highest; group++)
        {
            if (!openGroups.Contains(group))
                continue;
            writer.WriteBytes(open.Keys.KeyAt(group));
            Aggregates.Save(writer, open.Words(group), open.References(group));
        }
    }

    private static void WritePane(StateWriter writer, long end, int groups)
    {
        writer.Write(end);
        writer.Write(1);        // one shard
        writer.Write(groups);
    }

    public override void Load(StateReader reader)
    {
        var end = reader.ReadLong();
        var count = reader.ReadCount();
        if (count > 0)
            next = isOpen ? Math.Min(next, end) : end;
        var saved = new GroupTable(Aggregates);
        for (; count > 0; count--)
        {
            Open(reader.ReadLong());
            for (var shards = reader.ReadInt(); shards > 0; shards--)
            {
                saved.Load(reader);
                for (var group = 0; group < saved.Count; group++)
                {
                    var key = saved.Keys.KeyAt(group);
                    if (reader.Wants(key))
                        openGroups.Add(open.Keys.NumberAt(open.Merge(key, saved.Words(group), saved.References(group))));
                }
            }
        }

        if (panes.Count > 0 && panes[^1].End > openEnd)
            Open(panes[^1].End);
    }
}
