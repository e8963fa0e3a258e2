using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Spreading;

/// <summary>
/// Rows that one SELECT of one shard has made of a batch, in their order, until they are merged with those of the other shards.
/// Values of an event stay where its payload lies; other text is copied. Hot: rows cost no objects.
/// </summary>
internal sealed class TapRows(int columns)
{
    /// <summary>What a batch with many results has taken is given back.</summary>
    private const int KeptMax = 64 * 1024;

    private readonly ByteStore bytes = new();
    private Entry[] entries = [];
    private Value[] values = [];

    private struct Entry
    {
        public int Step;
        public long Time;
        public long Event;
        public ResultRank Rank;
        public Value Json;
    }

    public int Count { get; private set; }

    /// <summary>The next row to be taken.</summary>
    public int Next { get; set; }

    public bool HasNext => Next < Count;

    public int NextStep => entries[Next].Step;

    public long NextTime => entries[Next].Time;

    /// <param name="payload">Bytes that stay as they are until the rows are gone.</param>
    public void Add(int step, Row row, byte[]? payload, ReadOnlySpan<byte> json)
    {
        if (Count == entries.Length)
        {
            Array.Resize(ref entries, Math.Max(64, Count * 2));
            Array.Resize(ref values, entries.Length * columns);
        }

        ref var entry = ref entries[Count];
        entry.Step = step;
        entry.Time = row.Time;
        entry.Event = row.Event;
        entry.Rank = default;
        if (row.Rank.Key is not null)
        {
            var key = bytes.Add(Kind.Text, row.Rank.KeyBytes);
            entry.Rank = new ResultRank(row.Rank.Window, key.Buffer, key.Offset, key.Length);
        }

        entry.Json = json.IsEmpty ? default : bytes.Add(Kind.Record, json);
        var own = values.AsSpan(Count * columns, columns);
        row.Columns.CopyTo(own);
        foreach (ref var value in own)
        {
            if (value.IsSlice && !ReferenceEquals(value.Buffer, payload))
                value = bytes.Add(value.Kind, value.Span);
        }

        Count++;
    }

    /// <summary>Takes the next row into <paramref name="row"/>.</summary>
    public void Take(Row row)
    {
        ref readonly var entry = ref entries[Next];
        row.Time = entry.Time;
        row.Event = entry.Event;
        row.Rank = entry.Rank;
        row.Json = entry.Json;
        values.AsSpan(Next * columns, columns).CopyTo(row.Columns);
        Next++;
    }

    /// <summary>Order of the next rows of two shards, by time, window and key; rows of equal rank come from one shard.</summary>
    public int CompareNext(TapRows other)
    {
        ref readonly var mine = ref entries[Next];
        ref readonly var theirs = ref other.entries[other.Next];
        if (mine.Time != theirs.Time)
            return mine.Time < theirs.Time ? -1 : 1;
        return mine.Rank.Window != theirs.Rank.Window
            ? mine.Rank.Window.CompareTo(theirs.Rank.Window)
            : mine.Rank.KeyBytes.SequenceCompareTo(theirs.Rank.KeyBytes);
    }

    public void Clear()
    {
        Count = Next = 0;
        bytes.Clear();
        if (entries.Length <= KeptMax)
            return;
        entries = [];
        values = [];
    }

    /// <summary>Bytes behind each other in blocks that do not move.</summary>
    private sealed class ByteStore
    {
        private const int BlockBytes = 64 * 1024;
        private const int BlocksKept = 32;

        private readonly List<byte[]> blocks = [];
        private int current;
        private int used;

        public Value Add(Kind kind, ReadOnlySpan<byte> text)
        {
            while (current < blocks.Count && used + text.Length > blocks[current].Length)
            {
                current++;
                used = 0;
            }

            if (current == blocks.Count)
            {
                blocks.Add(new byte[Math.Max(BlockBytes, text.Length)]);
                used = 0;
            }

            text.CopyTo(blocks[current].AsSpan(used));
            var result = Value.Slice(kind, blocks[current], used, text.Length);
            used += text.Length;
            return result;
        }

        public void Clear()
        {
            if (blocks.Count > BlocksKept)
                blocks.RemoveRange(BlocksKept, blocks.Count - BlocksKept);
            current = used = 0;
        }
    }
}
