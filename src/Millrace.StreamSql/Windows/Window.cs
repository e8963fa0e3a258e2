using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Windows;

/// <summary>Receives the result of one group of one window.</summary>
internal interface IWindowResults
{
    /// <summary>The key and the accumulator are valid during the call.</summary>
    void Emit(long end, byte[] key, int keyOffset, ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references);
}

/// <summary>
/// One window of a GROUP BY. Rows come in order of their timestamps; <see cref="Advance"/> says that all rows before a time
/// have come, and every result that ends before it is due. Results come in order of end, then of key.
/// </summary>
internal abstract class Window(AggregateSet aggregates, int partitions, IWindowResults results)
{
    /// <summary>So many results ahead the next one's record is asked for.</summary>
    protected const int PrefetchDistance = 8;

    private readonly KeyOrder order = new();
    private readonly List<KeyMap> maps = [];

    protected AggregateSet Aggregates => aggregates;

    protected IWindowResults Results => results;

    protected int Partitions => partitions;

    /// <summary>Whether <see cref="Announce"/> does anything.</summary>
    public virtual bool LooksAhead => false;

    /// <summary>A row with this key will come soon.</summary>
    public virtual void Announce(uint hash)
    {
    }

    public abstract void Add(long time, ReadOnlySpan<byte> key, uint hash, Value[] arguments, ReadOnlySpan<byte> session);

    public abstract void Advance(long time);

    public abstract void Save(StateWriter writer);

    /// <summary>Adds what was saved, of the wanted keys: the parts of a state with different keys may be loaded one after the other.</summary>
    public abstract void Load(StateReader reader);

    public abstract long HeldBytes { get; }

    protected GroupTable[] NewTables()
    {
        var tables = new GroupTable[partitions];
        for (var index = 0; index < partitions; index++)
            tables[index] = new GroupTable(aggregates);
        return tables;
    }

    /// <summary>Emits all groups of the shards, in order of their keys whatever the number of shards.</summary>
    protected void Flush(long end, GroupTable[] tables)
    {
        maps.Clear();
        foreach (var table in tables)
            maps.Add(table.Keys);
        var items = order.Sort(maps);
        for (var index = 0; index < items.Length; index++)
        {
            if (index + PrefetchDistance < items.Length)
                maps[KeyOrder.MapOf(items[index + PrefetchDistance])].PrefetchPlace(KeyOrder.PlaceOf(items[index + PrefetchDistance]));
            var table = tables[KeyOrder.MapOf(items[index])];
            var place = KeyOrder.PlaceOf(items[index]);
            var (bytes, offset) = table.Keys.Locate(place);
            results.Emit(end, bytes, offset, table.Keys.WordsAt(place), table.ReferencesAt(place));
        }
    }

    /// <summary>The smallest multiple of <paramref name="step"/> (shifted by <paramref name="offset"/>) that is not before <paramref name="time"/>.</summary>
    public static long EndOf(long time, long step, long offset)
    {
        var shifted = time - offset;
        var floor = Math.DivRem(shifted, step, out var rest);
        if (rest > 0)
            floor++;
        return (floor * step) + offset;
    }

    protected static void Save(StateWriter writer, GroupTable[] tables)
    {
        // Groups are written as one table, so that the number of shards may change between save and load.
        writer.Write(tables.Length);
        foreach (var table in tables)
            table.Save(writer);
    }

    protected void Load(StateReader reader, GroupTable[] tables)
    {
        var saved = reader.ReadInt();
        var scratch = new GroupTable(aggregates);
        for (var index = 0; index < saved; index++)
        {
            scratch.Load(reader);
            for (var group = 0; group < scratch.Count; group++)
            {
                var key = scratch.Keys.KeyAt(group);
                if (reader.Wants(key))
                    tables[KeyMap.HashOf(key) % (uint)tables.Length].Merge(key, scratch.Words(group), scratch.References(group));
            }
        }
    }
}

/// <summary>Tumbling windows; with size 0 the groups of equal timestamps (snapshot windows). One window is open at a time.</summary>
internal sealed class TumblingWindow(AggregateSet aggregates, int partitions, IWindowResults results, long size, long offset)
    : Window(aggregates, partitions, results)
{
    private readonly RowPipeline pipeline = new(aggregates.ArgumentCount);
    private GroupTable[]? tables;
    private long end;
    private bool open;

    public override long HeldBytes => tables?.Sum(t => t.HeldBytes) ?? 0;

    public override void Add(long time, ReadOnlySpan<byte> key, uint hash, Value[] arguments, ReadOnlySpan<byte> session)
    {
        if (!open)
        {
            end = size == 0 ? time : EndOf(time, size, offset);
            open = true;
            tables ??= NewTables();
        }

        var table = TableOf(hash);
        if (table.Count < RowPipeline.KeysMin || !pipeline.TryAdd(key, hash, arguments))
        {
            Drain();
            table.Add(key, hash, arguments);
            return;
        }

        table.Keys.PrefetchSlot(hash);
        if (pipeline.TryGetArrived(out var arrived))
            TableOf(arrived).Keys.PrefetchRecord(arrived);
        if (pipeline.IsFull)
            AddOldest();
    }

    private GroupTable TableOf(uint hash) => tables!.Length == 1 ? tables[0] : tables[hash % (uint)tables.Length];

    private void AddOldest()
    {
        pipeline.Remove(out var key, out var hash, out var row);
        TableOf(hash).Add(key, hash, row);
    }

    private void Drain()
    {
        while (pipeline.Count > 0)
            AddOldest();
    }

    public override void Advance(long time)
    {
        if (!open || end >= time)
            return;
        Drain();
        Flush(end, tables!);
        foreach (var table in tables!)
            table.Clear();
        open = false;
    }

    public override void Save(StateWriter writer)
    {
        Drain();
        writer.Write(open);
        if (!open)
            return;
        writer.Write(end);
        Save(writer, tables!);
    }

    public override void Load(StateReader reader)
    {
        if (!reader.ReadBool())
            return;
        open = true;
        end = reader.ReadLong();
        tables ??= NewTables();
        Load(reader, tables);
    }
}

/// <summary>Session windows, per session key. A session closes a timeout after its last row or at a checkpoint.</summary>
internal sealed class SessionWindow(
    AggregateSet aggregates, int partitions, IWindowResults results, long timeout, long durationMax)
    : Window(aggregates, partitions, results)
{
    private sealed class Session
    {
        public required byte[] Key;
        public long Start;
        public long Last;
        public required GroupTable Groups;
    }

    private readonly Dictionary<string, Session> sessions = [];
    private readonly PriorityQueue<Session, (long End, long Number)> closing = new();
    private readonly List<Session> due = [];
    private long number;

    public override long HeldBytes => sessions.Count * 200L + sessions.Values.Take(64).Sum(s => s.Groups.HeldBytes) * Math.Max(1, sessions.Count / 64);

    /// <summary>Latin-1 keeps the bytes of a key one to one in a string.</summary>
    private static string NameOf(ReadOnlySpan<byte> key) => System.Text.Encoding.Latin1.GetString(key);

    private long EndOf(Session session)
    {
        // The first checkpoint more than the maximum after the start.
        var checkpoint = (Math.DivRem(session.Start + durationMax, durationMax).Quotient + 1) * durationMax;
        return Math.Min(session.Last + timeout, checkpoint);
    }

    public override void Add(long time, ReadOnlySpan<byte> key, uint hash, Value[] arguments, ReadOnlySpan<byte> session)
    {
        var name = NameOf(session);
        if (!sessions.TryGetValue(name, out var current))
        {
            current = new Session { Key = session.ToArray(), Start = time, Last = time, Groups = new GroupTable(Aggregates) };
            sessions.Add(name, current);
            closing.Enqueue(current, (EndOf(current), number++));
        }

        current.Last = time;
        current.Groups.Add(key, hash, arguments);
    }

    /// <summary>A session that a row at <paramref name="time"/> cannot join has ended before it.</summary>
    public override void Advance(long time)
    {
        while (closing.TryPeek(out _, out var priority) && priority.End < time)
        {
            // All sessions with this end together, in order of their keys.
            due.Clear();
            while (closing.TryPeek(out var candidate, out var other) && other.End == priority.End)
            {
                closing.Dequeue();
                var end = EndOf(candidate);
                if (end == priority.End)
                    due.Add(candidate);
                else
                    closing.Enqueue(candidate, (end, number++));
            }

            if (due.Count == 0)
                continue;
            due.Sort((a, b) => a.Key.AsSpan().SequenceCompareTo(b.Key));
            var merged = new List<(Session Session, int Group)>();
            foreach (var session in due)
            {
                sessions.Remove(NameOf(session.Key));
                for (var group = 0; group < session.Groups.Count; group++)
                    merged.Add((session, group));
            }

            merged.Sort((a, b) =>
            {
                var order = a.Session.Groups.Keys.KeyAt(a.Group).SequenceCompareTo(b.Session.Groups.Keys.KeyAt(b.Group));
                return order != 0 ? order : a.Session.Key.AsSpan().SequenceCompareTo(b.Session.Key);
            });
            foreach (var (session, group) in merged)
            {
                var (bytes, offset) = session.Groups.Keys.Locate(session.Groups.Keys.PlaceOf(group));
                Results.Emit(priority.End, bytes, offset, session.Groups.Words(group), session.Groups.References(group));
            }
        }
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(sessions.Count);
        foreach (var session in sessions.Values)
        {
            writer.WriteBytes(session.Key);
            writer.Write(session.Start);
            writer.Write(session.Last);
            session.Groups.Save(writer);
        }
    }

    public override void Load(StateReader reader)
    {
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var session = new Session
            {
                Key = reader.ReadBytes(),
                Start = reader.ReadLong(),
                Last = reader.ReadLong(),
                Groups = new GroupTable(Aggregates),
            };
            session.Groups.Load(reader);
            if (!reader.Wants(session.Key))
                continue;
            sessions.Add(NameOf(session.Key), session);
            closing.Enqueue(session, (EndOf(session), number++));
        }
    }
}
