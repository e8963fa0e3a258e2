using System.Runtime.CompilerServices;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>
/// Rows on their way into a large table: while one waits for its turn, what it needs is on its way from memory into the cache.
/// With a hundred thousand keys that halves the time of a row. Hot: a row waits as its key's bytes and numbers.
/// </summary>
internal sealed class RowPipeline(int argumentCount)
{
    /// <summary>Rows that wait at most.</summary>
    public const int Depth = 32;

    /// <summary>So many rows after a key's slot was asked for, its record is.</summary>
    public const int RecordAfter = 16;

    /// <summary>Tables with fewer keys are in the cache anyway.</summary>
    public const int KeysMin = 2048;

    private const int KeyBytesMax = 48;

    private readonly Entry[] entries = new Entry[Depth];
    private readonly Value[] arguments = new Value[Depth * argumentCount];
    private int first;

    [InlineArray(KeyBytesMax)]
    private struct KeyBytes
    {
        private byte first;
    }

    private struct Entry
    {
        public uint Hash;
        public int Length;
        public KeyBytes Key;
    }

    public int Count { get; private set; }

    public bool IsFull => Count == Depth;

    /// <summary>Takes a row; false when it must be added at once, after those that wait: its key is long, or it brings text.</summary>
    public bool TryAdd(ReadOnlySpan<byte> key, uint hash, ReadOnlySpan<Value> row)
    {
        if (key.Length > KeyBytesMax)
            return false;
        foreach (ref readonly var value in row)
        {
            if (value.IsSlice)
                return false;
        }

        var index = (first + Count++) & (Depth - 1);
        ref var entry = ref entries[index];
        entry.Hash = hash;
        entry.Length = key.Length;
        key.CopyTo(entry.Key);
        row.CopyTo(arguments.AsSpan(index * argumentCount, argumentCount));
        return true;
    }

    /// <summary>Hash of the row whose slot should be there by now; false when there is none yet.</summary>
    public bool TryGetArrived(out uint hash)
    {
        hash = Count > RecordAfter ? entries[(first + Count - 1 - RecordAfter) & (Depth - 1)].Hash : 0;
        return Count > RecordAfter;
    }

    /// <summary>Takes the oldest row out; key and values are valid until the next row is taken in.</summary>
    public void Remove(out ReadOnlySpan<byte> key, out uint hash, out ReadOnlySpan<Value> row)
    {
        ref var entry = ref entries[first];
        key = ((ReadOnlySpan<byte>)entry.Key)[..entry.Length];
        hash = entry.Hash;
        row = arguments.AsSpan(first * argumentCount, argumentCount);
        first = (first + 1) & (Depth - 1);
        Count--;
    }
}
