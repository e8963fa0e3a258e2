using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>Accumulators per group key: words beside the key and, once a value needs one, references in chunks. Hot.</summary>
internal sealed class GroupTable(AggregateSet aggregates, bool isDense = false)
{
    private readonly KeyMap keys = new(aggregates.Words, isDense);
    private readonly Chunked<object?> references = new(aggregates.References);
    private bool hasReferences;

    public int Count => keys.Count;

    public KeyMap Keys => keys;

    public long HeldBytes => keys.HeldBytes + references.HeldBytes + HeldByReferences();

    public Span<ulong> Words(int group) => keys.WordsAt(keys.PlaceOf(group));

    public Span<object?> References(int group) => hasReferences ? references.At(group) : [];

    public Span<object?> ReferencesAt(int place) => hasReferences ? references.At(keys.NumberAt(place)) : [];

    public bool HasReferences => hasReferences;

    /// <summary>Adds a row to its group; returns the place of the group's key.</summary>
    public int Add(ReadOnlySpan<byte> key, uint hash, ReadOnlySpan<Value> arguments)
    {
        var place = PlaceOf(key, hash);
        if (!hasReferences && aggregates.NeedsReferences(arguments))
            MakeReferences();
        aggregates.Add(keys.WordsAt(place), ReferencesAt(place), arguments);
        return place;
    }

    private int PlaceOf(ReadOnlySpan<byte> key, uint hash)
    {
        var place = keys.PlaceOf(key, hash, out var added);
        if (added && hasReferences)
            references.Add(keys.Count - 1);
        return place;
    }

    private void MakeReferences()
    {
        hasReferences = true;
        for (var group = 0; group < keys.Count; group++)
            references.Add(group);
    }

    /// <summary>Adds a group as it was accumulated elsewhere; returns the place of its key.</summary>
    public int Merge(ReadOnlySpan<byte> key, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        if (!hasReferences && !later.IsEmpty)
            MakeReferences();
        var place = PlaceOf(key, KeyMap.HashOf(key));
        aggregates.Merge(keys.WordsAt(place), ReferencesAt(place), laterWords, later);
        return place;
    }

    public void Clear()
    {
        if (hasReferences)
        {
            for (var group = 0; group < Count; group++)
                References(group).Clear();
        }

        keys.Clear();
    }

    private long HeldByReferences()
    {
        if (!hasReferences)
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
        if (aggregates.References > 0 && !hasReferences)
            MakeReferences();
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var key = reader.ReadBytes();
            var place = PlaceOf(key, KeyMap.HashOf(key));
            aggregates.Load(reader, keys.WordsAt(place), ReferencesAt(place));
        }
    }
}
