using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>Accumulators per group key: words and, where an aggregate needs them, references, in chunks. Hot.</summary>
internal sealed class GroupTable(AggregateSet aggregates)
{
    private readonly KeyMap keys = new();
    private readonly Chunked<ulong> words = new(aggregates.Words);
    private readonly Chunked<object?> references = new(aggregates.References);

    public int Count => keys.Count;

    public KeyMap Keys => keys;

    public long HeldBytes => keys.HeldBytes + words.HeldBytes + references.HeldBytes + HeldByReferences();

    public Span<ulong> Words(int group) => words.At(group);

    public Span<object?> References(int group) => aggregates.References == 0 ? [] : references.At(group);

    public int GetOrAdd(ReadOnlySpan<byte> key, uint hash)
    {
        var group = keys.GetOrAdd(key, hash, out var added);
        if (added)
        {
            words.Add(group);
            if (aggregates.References > 0)
                references.Add(group);
        }

        return group;
    }

    public void Add(ReadOnlySpan<byte> key, uint hash, Value[] arguments)
    {
        var group = GetOrAdd(key, hash);
        aggregates.Add(Words(group), References(group), arguments);
    }

    /// <summary>Merges a later table into this one.</summary>
    public void Merge(GroupTable later)
    {
        for (var group = 0; group < later.Count; group++)
        {
            var key = later.keys.KeyAt(group);
            var target = GetOrAdd(key, KeyMap.HashOf(key));
            aggregates.Merge(Words(target), References(target), later.Words(group), later.References(group));
        }
    }

    public void Clear()
    {
        if (aggregates.References > 0)
        {
            for (var group = 0; group < Count; group++)
                References(group).Clear();
        }

        keys.Clear();
    }

    private long HeldByReferences()
    {
        if (aggregates.References == 0)
            return 0;
        long held = 0;
        for (var group = 0; group < Count; group++)
            held += aggregates.HeldBytes(References(group));
        return held;
    }

    public void Save(StateWriter writer)
    {
        writer.Write(Count);
        for (var group = 0; group < Count; group++)
        {
            writer.WriteBytes(keys.KeyAt(group));
            aggregates.Save(writer, Words(group), References(group));
        }
    }

    public void Load(StateReader reader)
    {
        Clear();
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var key = reader.ReadBytes();
            var group = GetOrAdd(key, KeyMap.HashOf(key));
            aggregates.Load(reader, Words(group), References(group));
        }
    }
}
